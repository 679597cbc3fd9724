"""Batch normalization in one kernel where Keras on TensorFlow would take a dozen."""

import keras
from keras import layers, ops

from utils.model.replicas import this_replica

FUSED_DTYPES = ("float32", "bfloat16", "float16")  # what TensorFlow's kernel takes


@keras.saving.register_keras_serializable(package="assignment")
class FusedBatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, the same function computed faster on TensorFlow.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Algorithms 1 and 2.

    Keras composes the layer from elementwise operations, each of which reads and writes the whole
    activation. XLA (JAX, and TensorFlow on a GPU) melts them together; TensorFlow's kernels on a
    CPU do not, and a ResNet there spends more time in batch normalization than in convolutions
    (`benchmarks/README.md`). TensorFlow has one kernel for the whole of it, which adds up in
    float32 whatever the precision of its input.

    On other backends, with `synchronized=True`, and for inputs that the kernel does not take (not
    of rank 4, masked, of float64), the layer is Keras's own. Arguments, weights and saved files are
    those of Keras.
    """

    def call(self, inputs, training=None, mask=None):
        fused = (
            keras.backend.backend() == "tensorflow"
            and mask is None
            and not self.synchronized  # across replicas, which the kernel knows nothing of
            and not getattr(self, "renorm", False)  # an option of newer versions of Keras
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in FUSED_DTYPES
        )
        if not fused:
            return super().call(inputs, training=training, mask=mask)
        if training and self.trainable and this_replica()[1] > 1:
            return self._over_all_replicas(inputs)
        return self._fused(inputs, bool(training and self.trainable))

    def _fused(self, inputs, use_batch_statistics):
        import tensorflow as tf  # only here: the other backends live without it

        channels = (self.moving_mean.shape[0],)
        gamma = tf.cast(self.gamma, "float32") if self.scale else tf.ones(channels)
        beta = tf.cast(self.beta, "float32") if self.center else tf.zeros(channels)
        if not use_batch_statistics:
            return tf.compat.v1.nn.fused_batch_norm(
                inputs,
                gamma,
                beta,
                mean=tf.cast(self.moving_mean, "float32"),
                variance=tf.cast(self.moving_variance, "float32"),
                epsilon=self.epsilon,
                is_training=False,
            )[0]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=self.epsilon, is_training=True
        )
        # The kernel hands out the unbiased variance, sum / (n - 1); Keras averages sum / n.
        n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (n - 1.0) / n)
        return outputs

    def _over_all_replicas(self, inputs):
        """With statistics of the whole batch, as one device has them, from all its parts.

        As `synchronized=True` of Keras would give them, but as a property of the run, not of the
        network: that option would be saved with it, and JAX refuses it.
        """
        x = ops.cast(inputs, "float32")
        mean, variance = ops.moments(x, axes=(0, 1, 2), synchronized=True)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        gamma = ops.cast(self.gamma, "float32") if self.scale else None
        beta = ops.cast(self.beta, "float32") if self.center else None
        x = ops.batch_normalization(
            x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(x, inputs.dtype)

    def _move(self, average, value):
        """One step of an exponential moving average, as Keras takes it."""
        value = keras.ops.cast(value, average.dtype)
        average.assign(average * self.momentum + value * (1.0 - self.momentum))
