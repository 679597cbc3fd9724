"""The loss: cross-entropy of logits against integer labels, smoothed on the device."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="assignment")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits against integer labels, with label smoothing.

    Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, Section 7. Keras offers smoothing for
    one-hot labels only; the host would have to build those for every batch.

    Args:
        label_smoothing: float in [0, 1), share of the target spread evenly over all classes.
    """

    def __init__(self, label_smoothing=0.0, name="smoothed_crossentropy", **kwargs):
        kwargs.setdefault("dtype", "float32")  # whatever keras.config.floatx says
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")  # Keras made floats of them
        targets = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        return keras.losses.categorical_crossentropy(
            targets, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
