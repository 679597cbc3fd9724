"""Each method against its formula in NumPy, and against what must hold for this kind of network."""

import keras
import numpy as np
import pytest
from keras import ops
from small_models import close, numpy, randomize, values_at

from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import grad_cam
from utils.explain.methods import HOOKS
from utils.model.resnet import resnet_v2

RAW = {"size": None, "normalize": False, "signed": True}
INNER = "stage3_block1_3_relu"  # here the gradient differs from position to position


@pytest.fixture(scope="module")
def model():
    return randomize(resnet_v2(11, mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7)))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def by_hand(activations, gradients, method):
    """The rules once more, for one image, with loops over channels instead of broadcasting."""
    height, width, channels = activations.shape
    result = np.zeros((height, width))
    if method == "eigen-cam":
        flat = activations.reshape(-1, channels)
        values, vectors = np.linalg.eigh(flat.T @ flat)
        result = (flat @ vectors[:, np.argmax(values)]).reshape(height, width)
        return result if result.sum() >= 0 else -result
    for k in range(channels):
        a, g = activations[..., k], gradients[..., k]
        if method == "grad-cam":
            result += g.mean() * a
        elif method == "hires-cam":
            result += g * a
        elif method == "layer-cam":
            result += np.maximum(g, 0) * a
        elif method == "grad-cam++":
            weight = 0.0
            for slope in g.ravel():
                if slope > 0 and 2 * slope**2 + a.sum() * slope**3 != 0:
                    weight += slope**2 / (2 * slope**2 + a.sum() * slope**3) * slope
            result += weight * a
    return result


@pytest.mark.parametrize("method", sorted(HOOKS))
def test_equals_the_formula(method):
    rng = np.random.default_rng(2)
    activations = np.maximum(rng.normal(size=(3, 4, 5, 6)), 0).astype("float32")
    gradients = rng.normal(size=(3, 4, 5, 6)).astype("float32")
    gradients[0, 0] = 0.0
    maps = numpy(HOOKS[method](*map(ops.convert_to_tensor, (activations, gradients))))
    pairs = zip(activations.astype("float64"), gradients.astype("float64"))
    expected = np.stack([by_hand(a, g, method) for a, g in pairs])
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_sign_of_eigen_cam_is_chosen_for_each_image_whatever_its_scale():
    activations = np.random.default_rng(3).normal(size=(12, 4, 5, 6)).astype("float32")
    activations[6:] *= 1e-3
    maps = numpy(HOOKS["eigen-cam"](ops.convert_to_tensor(activations), None))
    for one, map_ in zip(activations.astype("float64"), maps, strict=True):
        expected = by_hand(one, None, "eigen-cam")
        np.testing.assert_allclose(map_, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_for_this_head_hires_cam_is_grad_cam(model, images):
    close(grad_cam(model, images, 3, method="hires-cam", **RAW), grad_cam(model, images, 3, **RAW))


def test_inside_a_branch_the_methods_differ(model, images):
    maps = {name: grad_cam(model, images, 3, INNER, method=name) for name in HOOKS}
    for name in set(HOOKS) - {"grad-cam"}:
        assert np.abs(maps[name] - maps["grad-cam"]).max() > 0.05, name


@pytest.mark.parametrize("classes", [0, 7])
def test_completeness_the_signed_map_and_the_bias_add_up_to_the_logit(model, images, classes):
    """HiResCAM (Draelos and Carin 2020, Section 4): sum of the map + bias = logit."""
    explanation = GradCAM(model, method="hires-cam")(images, classes, signed=True)
    bias = numpy(model.get_layer("logits").bias)[classes]
    total = explanation.maps.sum(axis=(1, 2)) + bias
    np.testing.assert_allclose(total, explanation.logits[:, classes], rtol=1e-4, atol=1e-4)


def test_completeness_fails_inside_a_branch(model, images):
    """The head is not linear from there on: the test above could fail."""
    explanation = GradCAM(model, INNER, "hires-cam")(images, 0, signed=True)
    total = explanation.maps.sum(axis=(1, 2)) + numpy(model.get_layer("logits").bias)[0]
    assert np.abs(total - explanation.logits[:, 0]).max() > 0.1


def test_contrast_is_the_difference_of_two_signed_maps(model, images):
    """Why 3 and not 5? Grad-CAM is linear in the score."""
    three, five = (grad_cam(model, images, one, **RAW) for one in (3, 5))
    close_signed(grad_cam(model, images, 3, contrast=5, **RAW), three - five)
    mixed = grad_cam(model, images, [3, 3, 1, 1, 3], contrast=[5, 5, 2, 2, 5], **RAW)
    close_signed(mixed[[0, 1, 4]], (three - five)[[0, 1, 4]])


def close_signed(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_a_function_as_target(model, images):
    expected = grad_cam(model, images, 3, contrast=5, **RAW)
    maps = grad_cam(model, images, lambda logits: logits[:, 3] - logits[:, 5], **RAW)
    close_signed(maps, expected)
    explain = GradCAM(model, score=lambda logits: logits[:, 3])
    close_signed(explain(images, signed=True).maps, grad_cam(model, images, 3, **RAW))
    assert (explain(images).targets == -1).all()  # no class is explained
    with pytest.raises(ValueError, match="either a function as target, or classes"):
        explain(images, 3)
    with pytest.raises(ValueError, match=r"one score an image, shape \(n,\)"):
        grad_cam(model, images, lambda logits: logits)


def test_signed_maps_cut_at_zero_are_the_others(model, images):
    signed = grad_cam(model, images, 3, **RAW)
    assert signed.min() < 0
    close(grad_cam(model, images, 3, size=None, normalize=False), np.maximum(signed, 0))


def test_several_layers_are_averaged(model, images):
    names = ["stage2_block1_add", "last_relu"]
    each = [grad_cam(model, images, 3, name) for name in names]
    mean = np.mean(each, axis=0)
    expected = mean / np.where(mean.max((1, 2), keepdims=True), mean.max((1, 2), keepdims=True), 1)
    np.testing.assert_allclose(grad_cam(model, images, 3, names), expected, atol=1e-6)
    for bad in (
        {"layer": []},
        {"layer": names, "size": None},
        {"layer": names, "normalize": False},
    ):
        with pytest.raises(ValueError, match="Maps of several layers"):
            grad_cam(model, images, 3, **bad)


def test_signed_maps_of_several_layers_have_one_scale(model, images):
    names = ["stage2_block1_add", "last_relu"]
    for maps in (
        grad_cam(model, images, 3, names, signed=True),
        grad_cam(model, images, 3, "last_relu", signed=True),
    ):
        np.testing.assert_allclose(np.abs(maps).max(axis=(1, 2)), 1, rtol=1e-6)
    each = [grad_cam(model, images, 3, name, signed=True) for name in names]
    mean = np.mean(each, axis=0)
    expected = mean / np.abs(mean).max((1, 2), keepdims=True)
    np.testing.assert_allclose(grad_cam(model, images, 3, names, signed=True), expected, atol=1e-6)


def test_eigen_cam_asks_for_no_class(model, images):
    with pytest.raises(ValueError, match="knows no contrast"):
        grad_cam(model, images, 3, contrast=5, method="eigen-cam")
    with pytest.raises(ValueError, match="eigen-cam explains no function"):
        grad_cam(model, images, lambda logits: logits[:, 0], method="eigen-cam")
    first, other = (grad_cam(model, images, c, method="eigen-cam", **RAW) for c in (0, 9))
    np.testing.assert_array_equal(first, other)
    activations, _ = values_at(model, images, "last_relu", "logits")
    one = by_hand(activations[0], None, "eigen-cam")
    np.testing.assert_allclose(first[0], one, rtol=1e-3, atol=1e-4 * np.abs(one).max())


@pytest.mark.parametrize("method", sorted(HOOKS))
def test_zero_activations_stay_finite(method):
    zeros = ops.zeros((2, 4, 4, 3))
    maps = numpy(HOOKS[method](zeros, zeros + 1.0))
    assert np.isfinite(maps).all() and not maps.any()


def test_unknown_names_are_refused(model, images):
    with pytest.raises(
        ValueError, match="method must be one of grad-cam, hires-cam.*score-cam, got 'cam'"
    ):
        grad_cam(model, images, method="cam")
    with pytest.raises(ValueError, match=r"contrast must be class indices from 0 to 9, got \[10\]"):
        grad_cam(model, images, contrast=10)
    with pytest.raises(ValueError, match=r"contrast must be .* sequence of 5 ints"):
        grad_cam(model, images, contrast=[1, 2])


@pytest.mark.parametrize("method", sorted(HOOKS))
def test_every_method_in_mixed_precision(images, method):
    model = randomize(resnet_v2(11, dtype="mixed_bfloat16"))
    maps = grad_cam(model, images, 3, method=method)
    assert maps.dtype == np.float32 and np.isfinite(maps).all()
    assert keras.backend.standardize_dtype(model.get_layer("last_relu").compute_dtype) == "bfloat16"


def test_several_methods_share_a_gradient(model, images):
    methods = ("layer-cam", "grad-cam")
    together = GradCAM(model, INNER, methods)(images, 3)
    assert together.maps.shape == (5, 2, 8, 8)
    for number, method in enumerate(methods):
        alone = GradCAM(model, INNER, method)(images, 3)
        close(together.maps[:, number], alone.maps)
        close(together.logits, alone.logits)


@pytest.mark.parametrize("methods", [(), ("grad-cam", "gradcam"), None, 3])
def test_methods_that_do_not_exist_are_refused(model, methods):
    with pytest.raises(ValueError, match="method must be one of grad-cam, hires-cam"):
        GradCAM(model, method=methods)


def test_several_methods_with_one_that_asks_for_no_class_know_no_contrast(model, images):
    with pytest.raises(ValueError, match="Eigen-CAM asks for no class"):
        GradCAM(model, INNER, ("grad-cam", "eigen-cam"))(images, 3, contrast=2)


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_every_method_whatever_keras_prefers(images, floatx):
    model = resnet_v2(11)
    keras.config.set_floatx(floatx)
    try:
        maps = GradCAM(model, method=tuple(HOOKS))(images, 3).maps
    finally:
        keras.config.set_floatx("float32")
    assert maps.dtype == np.float32 and np.isfinite(maps).all()
