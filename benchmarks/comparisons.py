"""What is measured: each comparison is a table of variants.

Nothing here imports a backend: the process that asks stays small and computes nothing.
"""

import dataclasses
from dataclasses import dataclass, field

# What this project sets for TensorFlow (`utils.runtime`), left to TensorFlow.
UNSET = {"TF_CPU_ALLOCATOR_USE_BFC": None, "TF_ENABLE_ONEDNN_OPTS": None}
# Keeps oneDNN, and PyTorch's own kernels, to the instructions of a processor without AVX-512. There
# TensorFlow leaves oneDNN off unless it is told otherwise.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
UNSET_AVX2 = {**AVX2, "TF_CPU_ALLOCATOR_USE_BFC": None, "TF_ENABLE_ONEDNN_OPTS": "0"}
QUICK_COUNT = 8  # a rehearsal takes an eighth of the images


@dataclass(frozen=True)
class Variant:
    """One of the things that are compared.

    Attributes:
        what: str, what it is, for people.
        maker: str, `"module.function"` of this package.
        options: dict, keyword arguments of the maker; `count` is the images of a pass.
        backend: name of the Keras backend.
        needs: tuple of packages without which the variant is left out.
        environment: dict of variables to set; None leaves one to the backend.
        passes: int, how often it is timed; the first one of a comparison as often as all others.
    """

    what: str
    maker: str
    options: dict
    backend: str = "tensorflow"
    needs: tuple = ()
    environment: dict = field(default_factory=dict)
    passes: int = 5


@dataclass(frozen=True)
class Comparison:
    """Variants in the order of their table; the first is what the others are compared with.

    Attributes:
        title: str.
        variants: dict of name to `Variant`; the first one takes turns with each of the others.
        alone: bool, whether instead each is measured by itself and nothing is compared.
    """

    title: str
    variants: dict
    alone: bool = False


def plain_torch(options, environment=None):
    """The same network in PyTorch alone."""
    return Variant(
        f"plain PyTorch, {'compiled' if options['compiled'] else 'eager'}, channels last, no "
        "augmentation",
        maker="torch_resnet.train",
        options=options,
        backend="torch",
        needs=("torch",),
        environment=environment or {},
    )


def training(depth, batch_size, steps, precision, parts):
    """The training step beside those of others, and with parts of it left out.

    Args:
        depth, batch_size: ints.
        steps: int, training steps of a pass.
        precision: Keras dtype policy that suits the device, for PyTorch.
        parts: bool, whether to leave parts out, too.
    """
    options = {"depth": depth, "batch_size": batch_size, "count": steps * batch_size}
    shorter = {**options, "count": steps // 2 * batch_size}  # for what is slow
    torch = {**options, "precision": precision}
    variants = {
        "ours": Variant("ours, as trained: augmentation, schedules", "training.ours", options),
        "in-memory": Variant(
            "a bare loop over our compiled step, one batch in memory", "training.in_memory", options
        ),
        "from-host": Variant(
            "ours as until commit 02de6c1: fed by a PyDataset, TensorFlow's own settings",
            maker="training.from_host",
            options=options,
            environment=UNSET,
        ),
        "keras-defaults": Variant(
            "Keras's defaults: fit on arrays, RandomTranslation, RandomFlip, BatchNormalization",
            maker="training.keras_defaults",
            options=shorter,
            environment=UNSET,
        ),
        "keras-mixed": Variant(
            "Keras's defaults, but in the precision that suits the device",
            maker="training.keras_defaults",
            options={**shorter, "precision": precision},
            environment=UNSET,
        ),
        "torch-eager": plain_torch({**torch, "compiled": False}),
        "torch-compiled": plain_torch({**torch, "compiled": True}),
    }
    if precision == "float32":
        del variants["keras-mixed"]  # Keras's default
    if parts:
        variants |= {
            "no-augmentation": Variant(
                "ours without augmentation", "training.without_augmentation", options
            ),
            "keras-batch-norm": Variant(
                "ours with Keras's batch normalization", "training.keras_batch_norm", options
            ),
        }
    else:
        variants |= {
            "generator": Variant(
                "the way of 2019: a Python generator, NumPy shifts, flips and erases each image",
                maker="training.python_generator",
                options=shorter,
                environment=UNSET,
            ),
            "range-test": Variant(
                "ours in the range test",
                maker="training.lr_range_test",
                options={**options, "count": 9 * batch_size},
            ),
            "ours-jax": Variant("ours on JAX", "training.ours", shorter, "jax", needs=("jax",)),
        }
    return Comparison(f"Training step, ResNet{depth}v2, batches of {batch_size}", variants)


def training_avx2(depth, batch_size, steps):
    """The training step with the kernels that an older processor has, in float32."""
    options = {"depth": depth, "batch_size": batch_size, "count": steps * batch_size}
    ours = {**options, "precision": "float32"}
    variants = {
        "ours": Variant(
            "ours, as trained: augmentation, schedules", "training.ours", ours, environment=AVX2
        ),
        "in-memory": Variant(
            "a bare loop over our compiled step, one batch in memory",
            maker="training.in_memory",
            options=ours,
            environment=AVX2,
        ),
        "from-host": Variant(
            "ours as until commit 02de6c1: fed by a PyDataset, TensorFlow's own settings",
            maker="training.from_host",
            options=ours,
            environment=UNSET_AVX2,
        ),
        "torch-eager": plain_torch({**ours, "compiled": False}, AVX2),
        "torch-compiled": plain_torch({**ours, "compiled": True}, AVX2),
    }
    return Comparison(
        f"Training step with AVX2 kernels only, ResNet{depth}v2, batches of {batch_size}", variants
    )


def prediction(count):
    """Ten calls each, to see whether one of them is slow."""
    options = {"depth": 20, "count": count}
    variants = {
        "ours": Variant("predict_logits", "prediction.ours", options),
        "keras": Variant("model.predict", "prediction.keras_predict", options, passes=10),
    }
    return Comparison(f"Prediction of {count:,} images, ResNet20v2", variants)


def grad_cam(count):
    """Maps beside a forward pass and two other libraries, each in batches that suit it."""
    options = {"depth": 56, "batch_size": 256, "count": count}

    def variant(what, maker, batch_size, **others):
        what = f"{what}, batches of {batch_size}"
        return Variant(what, f"grad_cam.{maker}", {**options, "batch_size": batch_size}, **others)

    # In trials tf-keras-vis took least processor time with 256. On PyTorch batches of 256 fetch so
    # much memory anew in every pass that ours and the peer are slower than with 64.
    torch = {"backend": "torch", "needs": ("torch",)}
    peer = {"backend": "torch", "needs": ("torch", "pytorch_grad_cam")}
    keras_vis = "tf-keras-vis on TensorFlow, eager"
    grad_cam_on_torch = "pytorch-grad-cam on Keras's PyTorch backend, eager"
    variants = {
        "ours": variant("ours on TensorFlow, compiled", "ours", 256),
        "forward": variant("a forward pass on TensorFlow, compiled, no maps", "forward_pass", 256),
        "ours-torch": variant("ours on PyTorch, eager", "ours", 64, **torch),
        "tf-keras-vis": variant(keras_vis, "tf_keras_vis", 256, needs=("tf_keras_vis",)),
        "pytorch-grad-cam": variant(grad_cam_on_torch, "pytorch_grad_cam", 64, **peer),
    }
    return Comparison(f"Grad-CAM maps of {count} images, ResNet56v2", variants)


def settings(depth, batch_size, steps):
    """What was tried for speed on a CPU, against what is used; not part of a full measurement."""
    options = {"depth": depth, "batch_size": batch_size, "count": steps * batch_size}

    def variant(what, changes=None, **environment):
        changed = options | (changes or {})
        return Variant(what, "training.changed", changed, environment=environment)

    variants = {
        "ours": Variant("ours", "training.ours", options),
        "no-bfc": variant("TensorFlow's own allocator", TF_CPU_ALLOCATOR_USE_BFC=None),
        "no-onednn": variant("without oneDNN", TF_ENABLE_ONEDNN_OPTS="0"),
        "xla": variant("XLA", {"jit": True}),
        "steps-per-execution": variant("4 steps per execution", {"steps_per_execution": 4}),
        "prefetch-1": variant("1 batch prefetched", {"prefetched": 1}),
        "prefetch-8": variant("8 batches prefetched", {"prefetched": 8}),
        "interop-1": variant("1 inter-op thread", TF_NUM_INTEROP_THREADS="1"),
        "intraop-1": variant("1 intra-op thread", TF_NUM_INTRAOP_THREADS="1"),
        "huge-pages": variant("huge pages", GLIBC_TUNABLES="glibc.malloc.hugetlb=1"),
    }
    return Comparison(
        f"Settings that were tried, ResNet{depth}v2, batches of {batch_size}", variants
    )


def growth():
    """The training pass with more images, more layers, larger batches."""

    def variant(depth, batch_size, count):
        options = {"depth": depth, "batch_size": batch_size, "count": count}
        return Variant(
            f"ResNet{depth}v2, batches of {batch_size}, {count:,} images", "training.ours", options
        )

    variants = {}
    for count in (1000, 2000, 4000, 8000):
        variants[f"images-{count}"] = variant(20, 128, count)
    for depth in (20, 56, 110):
        variants[f"depth-{depth}"] = variant(depth, 128, 256)
    for batch_size in (64, 256, 1024):
        variants[f"batch-{batch_size}"] = variant(20, batch_size, 1024)
    return Comparison("Growth of an epoch of training", variants, alone=True)


def comparisons(on_gpu, precision):
    """All comparisons by name, in a size that suits the device.

    Args:
        on_gpu: bool.
        precision: Keras dtype policy that suits the device.
    """
    batch_size, steps20, steps56 = (512, 98, 98) if on_gpu else (128, 8, 4)
    return {
        "training-resnet20v2": training(20, batch_size, steps20, precision, parts=False),
        "training-resnet56v2": training(56, batch_size, steps56, precision, parts=True),
        "prediction": prediction(10_000),
        "grad-cam": grad_cam(256),
        "growth": growth(),
        "avx2-resnet20v2": training_avx2(20, batch_size, steps20),
        "avx2-resnet56v2": training_avx2(56, batch_size, steps56),
        "settings": settings(20, batch_size, steps20),
    }


def rehearsal(comparison):
    """The same variants with the smallest network, an eighth of the images and two passes."""

    def small(variant):
        options = {**variant.options, "depth": 11}
        least = 9 if variant.maker.endswith("range_test") else 1
        if "batch_size" in options:
            options["batch_size"] = max(8, options["batch_size"] // QUICK_COUNT)
            least *= options["batch_size"]
        least = max(least, options.get("steps_per_execution", 1) * options.get("batch_size", 1))
        options["count"] = max(least, options["count"] // QUICK_COUNT)
        return dataclasses.replace(variant, options=options, passes=2)

    variants = {name: small(variant) for name, variant in comparison.variants.items()}
    return dataclasses.replace(comparison, variants=variants)
