"""The class-activation methods: from activations and gradients at one layer to one map an image.

Each function is one published rule. All take the activations A and the gradients g of the explained
score with respect to A, float32 (N, h, w, K), and give the signed map, float32 (N, h, w);
`utils.explain.grad_cam` cuts off what is negative and resizes. Sums over k run over the K channels.
"""

from keras import ops


def grad_cam(activations, gradients):
    """Sum of A_k weighted by the mean gradient of the channel.

    Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391, Eq. 1 and 2.
    """
    alpha = ops.mean(gradients, axis=(1, 2), keepdims=True)
    return ops.sum(alpha * activations, axis=-1)


def hires_cam(activations, gradients):
    """Sum of g_k A_k, position by position: exact for any head that is linear in A.

    Draelos and Carin 2020, https://arxiv.org/abs/2011.08891. For average pooling and one
    Dense layer the gradient is the same at all positions, and the map is that of Grad-CAM.
    """
    return ops.sum(gradients * activations, axis=-1)


def layer_cam(activations, gradients):
    """Sum of ReLU(g_k) A_k, position by position; made for earlier layers.

    Jiang et al. 2021, "LayerCAM", https://doi.org/10.1109/TIP.2021.3089943.
    """
    return ops.sum(ops.relu(gradients) * activations, axis=-1)


def grad_cam_plus_plus(activations, gradients):
    """Sum of A_k weighted by ReLU(g_k), each position by its share in the score.

    Chattopadhyay et al. 2018, https://arxiv.org/abs/1710.11063, Eq. 19: with Y = exp(S) the share
    is g^2 / (2 g^2 + T g^3), where T is the sum of A_k over all positions; for g > 0, which is all
    that the ReLU lets through, that is 1 / (2 + T g). The positive factor exp(S) of the weights is
    left out: it scales a map, and would overflow. There is no agreed value between
    implementations; where 2 + T g is 0 the share is taken as 0.
    """
    total = ops.sum(activations, axis=(1, 2), keepdims=True)
    below = 2 + total * gradients
    share = ops.where(below != 0, 1 / ops.where(below != 0, below, 1), 0)
    alpha = ops.sum(share * ops.relu(gradients), axis=(1, 2), keepdims=True)
    return ops.sum(alpha * activations, axis=-1)


def eigen_cam(activations, gradients):
    """Projection of A on its first principal direction; asks for no class and no gradient.

    Muhammad and Yeasin 2020, https://arxiv.org/abs/2008.00299, Section III: A as a matrix of
    positions by channels is U S V^T, the map is A v_1 = u_1 s_1. Of the two signs, that with the
    larger sum is taken.
    """
    shape = ops.shape(activations)
    flat = ops.reshape(activations, (shape[0], shape[1] * shape[2], shape[3]))
    u, s, _ = ops.svd(flat, full_matrices=False)
    first = u[..., 0] * s[..., :1]
    first = ops.where(ops.sum(first, axis=-1, keepdims=True) < 0, -first, first)
    return ops.reshape(first, (shape[0], shape[1], shape[2]))


HOOKS = {
    "grad-cam": grad_cam,
    "hires-cam": hires_cam,
    "layer-cam": layer_cam,
    "grad-cam++": grad_cam_plus_plus,
    "eigen-cam": eigen_cam,
}
