"""ResNet v2 (pre-activation bottleneck) for 32x32 images, at any depth 9n + 2.

The network is the v2 model of the classic Keras example `cifar10_resnet`, after
He et al. 2016, "Identity Mappings in Deep Residual Networks", https://arxiv.org/abs/1603.05027,
with two changes that a user sees: images enter as raw pixels, because the normalization is the
model's first layer, and the model ends in logits, because losses and Grad-CAM need logits.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers, regularizers

from utils.model.batch_norm import FusedBatchNormalization
from utils.number_checks import check_real, check_whole
from utils.text_table import align_columns

# Channels inside and at the end of a bottleneck, for the stages at 32x32, 16x16 and 8x8 pixels.
STAGE_WIDTHS = ((16, 64), (64, 128), (128, 256))


def resnet_v2(
    depth,
    *,
    num_classes=10,
    input_shape=(32, 32, 3),
    mean=0.0,
    std=255.0,
    l2=1e-4,
    bn_momentum=0.9,
    augment=None,
    dtype="float32",
    name=None,
):
    """Builds a ResNet v2.

    Args:
        depth: int, 9n + 2 with n >= 1 bottlenecks a stage: 11, 20, 29, ..., 56, ..., 164.
        num_classes: int >= 2, number of logits.
        input_shape: (height, width, channels); height and width are multiples of 4.
        mean: scalar, (channels,) or (height, width, channels): subtracted from the pixels.
        std: scalar or (channels,), > 0: divides the pixels after that. Both in pixel units, 0..255.
        l2: float >= 0, coefficient of the L2 penalty on every convolution kernel.
        bn_momentum: float in [0, 1), momentum of the moving batch-norm statistics. Keras's
            default 0.99 lags behind when an epoch has only 98 steps.
        augment: optional layer for normalized float images, active in training only.
        dtype: Keras dtype policy of the layers, for example `"mixed_bfloat16"`.
        name: optional name of the model, by default `"resnet{depth}v2"`.

    Returns:
        A functional `keras.Model`: pixels (batch, height, width, channels), uint8 (of
        floats in 0..255 the fractions are cut off), to logits (batch, num_classes), float32.
        `"last_relu"` is the last activation after the last Add; its map is 4 times smaller than the
        image on each side.

    Raises:
        ValueError: on a depth that is not 9n + 2 or an argument outside its range.
    """
    _check_arguments(depth, num_classes, input_shape, l2, bn_momentum)
    blocks = (depth - 2) // 9

    def conv(x, filters, kernel_size, strides, name):
        return layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            data_format="channels_last",  # whatever ~/.keras/keras.json says
            kernel_initializer="he_normal",
            kernel_regularizer=regularizers.L2(l2) if l2 else None,
            dtype=dtype,
            name=name,
        )(x)

    def bn_relu(x, name):
        x = FusedBatchNormalization(momentum=bn_momentum, dtype=dtype, name=f"{name}bn")(x)
        return layers.Activation("relu", dtype=dtype, name=f"{name}relu")(x)

    inputs = keras.Input(input_shape, dtype="uint8", name="pixels")
    x = _normalization(input_shape, mean, std)(inputs)
    if augment is not None:
        x = augment(x)
    x = bn_relu(conv(x, STAGE_WIDTHS[0][0], 3, 1, "stem_conv"), "stem_")
    for stage, (inner, outer) in enumerate(STAGE_WIDTHS, start=1):
        for block in range(1, blocks + 1):
            prefix = f"stage{stage}_block{block}_"
            strides = 2 if stage > 1 and block == 1 else 1
            # The stem has just normalized and activated the input of the very first block.
            first = stage == 1 and block == 1
            y = x if first else bn_relu(x, f"{prefix}1_")
            y = conv(y, inner, 1, strides, f"{prefix}1_conv")
            y = conv(bn_relu(y, f"{prefix}2_"), inner, 3, 1, f"{prefix}2_conv")
            y = conv(bn_relu(y, f"{prefix}3_"), outer, 1, 1, f"{prefix}3_conv")
            if block == 1:  # the number of channels changes, so the shortcut is projected
                x = conv(x, outer, 1, strides, f"{prefix}shortcut_conv")
            x = layers.Add(dtype=dtype, name=f"{prefix}add")([x, y])
    x = bn_relu(x, "last_")
    x = layers.GlobalAveragePooling2D("channels_last", dtype=dtype, name="avg_pool")(x)
    logits = layers.Dense(
        num_classes, kernel_initializer="he_normal", dtype="float32", name="logits"
    )(x)
    return keras.Model(inputs, logits, name=name or f"resnet{depth}v2")


def _normalization(input_shape, mean, std):
    """The first layer, (pixels - mean) / std. Its constants are no weights; always float32."""
    mean, std = np.asarray(mean, "float64"), np.asarray(std, "float64")
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError(f"mean must be finite and std finite and > 0, got {mean} and {std}.")
    axis = -1 if mean.ndim < 2 else (1, 2, 3)
    shape = input_shape[-1:] if mean.ndim < 2 else input_shape
    try:
        mean = np.broadcast_to(mean, shape)
        variance = np.broadcast_to(std**2, shape)
    except ValueError:
        raise ValueError(
            f"mean has shape {mean.shape} and std {std.shape}; each must be a scalar or have "
            f"shape {input_shape[-1:]} (mean also {tuple(input_shape)})."
        ) from None
    return layers.Normalization(
        axis=axis, mean=mean.tolist(), variance=variance.tolist(), dtype="float32", name="normalize"
    )


def _check_arguments(depth, num_classes, input_shape, l2, bn_momentum):
    whole = isinstance(depth, (int, np.integer)) and not isinstance(depth, bool)
    if not whole or depth < 11 or (depth - 2) % 9:
        raise ValueError(
            f"depth must be 9n + 2 with n >= 1 (11, 20, 29, 38, 47, 56, 110, 164, ...), "
            f"got {depth!r}."
        )
    check_whole("num_classes", num_classes, 2)
    sizes = [isinstance(one, (int, np.integer)) and one > 0 for one in input_shape]
    if len(sizes) != 3 or not all(sizes) or input_shape[0] % 4 or input_shape[1] % 4:
        raise ValueError(
            f"input_shape must be (height, width, channels) with height and width multiples of 4 "
            f"(two stages halve the image), got {tuple(input_shape)}."
        )
    check_real("l2", l2, 0)
    if not check_real("bn_momentum", bn_momentum, 0) < 1:
        raise ValueError(f"bn_momentum must be at least 0 and below 1, got {bn_momentum}.")


class Stage(NamedTuple):
    """One row of `stage_table`; all numbers are for one image."""

    name: str
    output_shape: tuple  # (height, width, channels) or (classes,)
    bottlenecks: int
    parameters: int  # trainable or not
    multiply_adds: int  # of convolutions and dense layers
    receptive_field: int  # side, in pixels, of the input square that one output sees


def stage_table(model):
    """Summarizes a model built by `resnet_v2`, stage by stage.

    The receptive field follows the longest path, that is through the 3x3 convolutions: a k x k
    convolution widens it by (k - 1) times the product of all strides before it (Dumoulin and
    Visin 2016, "A guide to convolution arithmetic for deep learning").

    Args:
        model: a `keras.Model` from `resnet_v2`.

    Returns:
        A list of `Stage`: stem, stage 1 to 3, head. The head sees the whole image.

    Raises:
        ValueError: when the model was not built by `resnet_v2`.
    """
    groups = {"stem": [], "stage1": [], "stage2": [], "stage3": [], "head": []}
    for layer in model.layers:
        prefix = layer.name.split("_")[0]
        if prefix in groups:
            groups[prefix].append(layer)
        elif prefix in ("last", "avg", "logits"):
            groups["head"].append(layer)
    if not all(groups.values()):
        missing = [name for name, members in groups.items() if not members]
        raise ValueError(f"{model.name!r} is no model of resnet_v2: no layers for {missing}.")
    rows, field, jump = [], 1, 1
    for name, members in groups.items():
        for layer in members:
            if isinstance(layer, layers.Conv2D) and "shortcut" not in layer.name:
                field += (layer.kernel_size[0] - 1) * jump
                jump *= layer.strides[0]
        bottlenecks = sum(isinstance(layer, layers.Add) for layer in members)
        rows.append(
            Stage(
                name=name.replace("stage", "stage "),
                output_shape=tuple(members[-1].output.shape[1:]),
                bottlenecks=bottlenecks,
                parameters=sum(layer.count_params() for layer in members),
                multiply_adds=sum(_multiply_adds(layer) for layer in members),
                receptive_field=field,
            )
        )
    # Pooling over the whole map joins what all its positions see.
    longer = max(model.inputs[0].shape[1:3])
    rows[-1] = rows[-1]._replace(receptive_field=field + longer - jump)
    return rows


def _multiply_adds(layer):
    """Multiply-adds of one layer for one image, biases not counted."""
    if isinstance(layer, layers.Conv2D):
        return int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
    if isinstance(layer, layers.Dense):
        return int(np.prod(layer.kernel.shape))
    return 0


def format_stage_table(rows):
    """Renders `stage_table` as aligned text, with a row of totals."""
    table = [("stage", "output", "bottlenecks", "parameters", "multiply-adds", "receptive field")]
    for row in rows:
        shape = "x".join(map(str, row.output_shape))
        table.append((row.name, shape, *(f"{value:,}" for value in row[2:])))
    totals = (sum(values) for values in zip(*[row[2:5] for row in rows], strict=True))
    table.append(("total", "", *(f"{value:,}" for value in totals), ""))
    return align_columns(table)
