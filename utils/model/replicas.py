"""Which part of a batch is computed here, when a step is spread over several devices."""

import keras


def this_replica():
    """Position of this replica, and how many there are that share a batch in equal parts.

    Under TensorFlow's `MirroredStrategy` every replica runs the step on its own part of the batch.
    JAX compiles one step for all devices, whose code sees the whole batch.

    Returns:
        (int or int32 scalar tensor, int): (0, 1) where there is nothing to share.
    """
    if keras.backend.backend() != "tensorflow":
        return 0, 1
    import tensorflow as tf  # only here: the other backends live without it

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync
