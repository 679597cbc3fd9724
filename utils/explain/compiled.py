"""Compiles calls of a graph, with and without a gradient, on each backend of Keras.

TensorFlow takes any number of images without a new compilation, JAX compiles for each new batch
size, and PyTorch runs eagerly. Weights are read at each call, not when it is compiled.
"""

import math

import keras
from keras import ops

from utils.explain.keras_graph import run_calls


def compile_forward(calls, image, wanted):
    """Compiles images -> values.

    Args:
        calls: list of `utils.explain.keras_graph.Call`.
        image: `keras.KerasTensor`, the model's input.
        wanted: the numbers of the values to compute.

    Returns:
        Callable, NumPy images to a list of NumPy arrays.
    """

    def forward(images):
        values = {0: images}
        run_calls(calls, values)
        return [values[one] for one in wanted]

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec(image.shape, image.dtype)])
        def run(images):
            with keras.StatelessScope():
                return forward(images)

        return lambda images: [tensor.numpy() for tensor in run(images)]
    if backend == "jax":
        import jax

        variables = variables_of(calls)

        @jax.jit
        def run(state, images):
            with keras.StatelessScope(zip(variables, state)):
                return forward(images)

        return lambda images: jax.device_get(run([v.value for v in variables], images))
    if backend == "torch":
        import torch

        def run(images):
            with torch.no_grad(), keras.StatelessScope():
                return [ops.convert_to_numpy(t) for t in forward(ops.convert_to_tensor(images))]

        return run
    raise ValueError(f"The backend must be tensorflow, jax or torch, got {backend!r}.")


def compile_gradient(calls, image, explained, logits, score, hook, needs_gradient=True):
    """Compiles images and two classes for each -> signed maps and logits.

    Only what depends on the explained value is differentiated, and that for a whole batch at once:
    at inference (batch normalization with its moving statistics) no image influences another one,
    so the gradient of the summed scores with respect to the activations of image i is that of the
    score of image i. What passes around the explained layer, as the shortcut of a bottleneck does,
    is held constant: the gradient is with respect to the explained activations alone.

    Args:
        calls, image: as for `compile_forward`.
        explained: the number of the explained value.
        logits: the number of the logits.
        score: callable, logits (n, classes), targets (n,), contrast (n,) to scores (n,).
        hook: one of `utils.explain.methods.HOOKS`.
        needs_gradient: bool, whether it uses the gradient.

    Returns:
        Callable, NumPy images, targets and contrast (int64) and a scale (float32) to a list of
        three NumPy arrays: signed maps (n, h, w), float32; whether the gradient is finite, bool ();
        and logits (n, classes), float32. The gradient is taken of the score times the scale, and
        divided by it in float32: a power of two changes no digit, but keeps a small gradient in the
        range of a float16. On TensorFlow and PyTorch it raises `ValueError` where no gradient comes
        through; on JAX it is zero then.
    """
    trunk, behind, below = [], [], {explained}
    for call in calls:
        if below & set(call.inputs):
            behind.append(call)
            below |= set(call.outputs)
        else:
            trunk.append(call)

    def activate(images):
        values = {0: images}
        run_calls(trunk, values)
        return values, values[explained]

    def total(values, activations, targets, contrast, scale):
        values = values | {explained: activations}
        run_calls(behind, values)
        found = values[logits]
        found = ops.reshape(ops.cast(found, "float32"), (-1, math.prod(found.shape[1:])))
        return scale * ops.sum(ops.cast(score(found, targets, contrast), "float32")), found

    def weigh(activations, gradients, scale):
        gradients = ops.cast(gradients, "float32") / scale
        finite = ops.all(ops.isfinite(gradients))  # no map tells: a ReLU makes zeros of NaN on JAX
        return hook(ops.cast(activations, "float32"), gradients), finite

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _on_tensorflow(image, activate, total, weigh, needs_gradient)
    if backend == "jax":
        return _on_jax(variables_of(calls), activate, total, weigh)
    if backend == "torch":
        return _on_torch(activate, total, weigh, needs_gradient)
    raise ValueError(
        f"Grad-CAM needs a backend with gradients (tensorflow, jax, torch), got {backend!r}."
    )


def _refuse_stopped():
    raise ValueError(
        "No gradient comes back from the logits to the explained layer: a layer between them stops "
        "it, such as keras.ops.stop_gradient, or gives whole numbers. Explain a layer behind that "
        'one, or use method="score-cam", which needs no gradient.'
    )


def _on_tensorflow(image, activate, total, weigh, needs_gradient):
    import tensorflow as tf

    stopped = []  # filled while the function is compiled
    image_spec = tf.TensorSpec(image.shape, image.dtype)
    class_spec = tf.TensorSpec([None], "int64")

    @tf.function(input_signature=[image_spec, class_spec, class_spec, tf.TensorSpec([], "float32")])
    def explain(images, targets, contrast, scale):
        # No update of a state, and no loss of a regularizer, may be left in the user's layers.
        with keras.StatelessScope():
            values, activations = activate(images)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(activations)
                score, logits = total(values, activations, targets, contrast, scale)
            gradients = tape.gradient(score, activations)
            if gradients is None:
                stopped.append(True)
                gradients = tf.zeros_like(activations)
            return *weigh(activations, gradients, scale), logits

    def run(*arguments):
        found = explain(*arguments)
        if stopped and needs_gradient:
            _refuse_stopped()
        return [tensor.numpy() for tensor in found]

    return run


def _on_jax(variables, activate, total, weigh):
    import jax

    @jax.jit
    def explain(state, images, targets, contrast, scale):
        with keras.StatelessScope(zip(variables, state)):
            values, activations = activate(images)

            def score(activations):
                return total(values, activations, targets, contrast, scale)

            gradients, logits = jax.grad(score, has_aux=True)(activations)
            return *weigh(activations, gradients, scale), logits

    return lambda *arguments: jax.device_get(explain([v.value for v in variables], *arguments))


def _on_torch(activate, total, weigh, needs_gradient):
    import torch

    def explain(*arguments):
        images, targets, contrast, scale = map(ops.convert_to_tensor, arguments)
        with keras.StatelessScope():
            with torch.no_grad():
                values, activations = activate(images)
            with torch.enable_grad():
                activations = activations.detach().requires_grad_()
                score, logits = total(values, activations, targets, contrast, scale)
                gradients = None
                if score.requires_grad:
                    (gradients,) = torch.autograd.grad(score, activations, allow_unused=True)
            if gradients is None:
                if needs_gradient:
                    _refuse_stopped()
                gradients = torch.zeros_like(activations)
            found = *weigh(activations, gradients, scale), logits
        return [ops.convert_to_numpy(tensor.detach()) for tensor in found]

    return explain


def variables_of(calls):
    """The variables that the calls read, each once."""
    found = {}
    for call in calls:
        for variable in getattr(call.operation, "variables", ()):
            found[id(variable)] = variable
    return list(found.values())
