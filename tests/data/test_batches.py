"""Batches: their order, and that what `fit` reads is the same batches in the same order."""

import keras
import numpy as np
import pytest

from utils.data.batches import Batches


def numbered(count):
    """Images that carry their own position in every pixel."""
    return np.arange(count, dtype="uint8")[:, None, None, None] * np.ones((1, 2, 2, 3), "uint8")


def labels_of(pairs):
    """The labels of batches, after a check that each goes with its image."""
    pairs = [tuple(map(keras.ops.convert_to_numpy, pair)) for pair in pairs]
    for x, y in pairs:
        assert x.dtype == np.uint8 and (x[:, 0, 0, 0] == y).all()
    return [y.tolist() for _, y in pairs]


def test_order_is_a_function_of_seed_and_epoch_alone():
    batches = Batches(numbered(10), np.arange(10), 4, seed=5)

    def visited(epoch):
        batches.set_epoch(epoch)
        labels = labels_of(batches[i] for i in range(len(batches)))
        assert list(map(len, labels)) == [4, 4, 4]  # one shape, one compilation
        return sum(labels, [])

    first, second = visited(0), visited(1)
    assert first != second and visited(0) == first
    assert sorted(first[:10]) == list(range(10)) and first[10:] == first[:2]
    assert first[:10] == np.random.default_rng((5, 0)).permutation(10).tolist()


@pytest.mark.parametrize("shape", [(8, 8, 1), (40, 24, 3), (5, 7, 4)])
def test_images_may_have_any_size_and_channels_and_labels_a_column(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), "uint8")
    batches = Batches(images, np.arange(5)[:, None], 4, seed=5)
    x, y = map(keras.ops.convert_to_numpy, batches[0])
    assert x.shape == (4, *shape) and y.shape == (4,)
    np.testing.assert_array_equal(x, images[y])


def test_evaluation_keeps_the_order_and_the_shorter_last_batch():
    batches = Batches(numbered(5), np.arange(5), 2)
    assert labels_of(batches[i] for i in range(3)) == [[0, 1], [2, 3], [4]]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a tf.data pipeline")
@pytest.mark.parametrize("first_epoch, epochs, seed", [(0, 3, 5), (2, 3, 5), (0, 1, None)])
def test_stream_gives_the_batches_of_its_epochs_in_order(first_epoch, epochs, seed):
    batches = Batches(numbered(10), np.arange(10), 4, seed)
    expected = []
    for epoch in range(first_epoch, epochs):
        batches.set_epoch(epoch)
        expected += labels_of(batches[i] for i in range(len(batches)))
    stream = batches.stream(first_epoch, epochs)
    assert labels_of(stream) == expected
    assert len(stream) == (epochs - first_epoch) * len(batches)
    # A fixed shape where all batches are full; the evaluation's last one is shorter.
    assert stream.element_spec[1].shape[0] == (None if seed is None else 4)
    assert stream.options().autotune.enabled is False  # else letting go of it waits for its thread


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="has a tf.data pipeline")
def test_other_backends_pick_each_batch_on_the_device():
    batches = Batches(numbered(10), np.arange(10), 4, seed=5)
    assert batches.stream(0, 3) is batches
    assert not isinstance(batches[0][0], np.ndarray)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a tf.data pipeline")
def test_the_pipeline_counts_in_int32():
    """On a CPU oneDNN says of every operation in int64 that it does not support it."""
    import tensorflow as tf

    calculated = []
    graph = Batches(numbered(10), np.arange(10), 4, seed=5).stream(0, 2)
    while getattr(graph, "_input_dataset", None) is not None:
        graph = graph._input_dataset
        for function in graph._functions():
            calculated += function.function.graph.get_operations()
    outputs = [output.dtype for operation in calculated for output in operation.outputs]
    assert tf.int32 in outputs and tf.int64 not in outputs


def test_a_plain_loop_over_the_batches_ends():
    batches = Batches(np.zeros((5, 8, 8, 3), "uint8"), np.arange(5), 2)
    assert [len(batches[i][1]) for i in range(3)] == [2, 2, 1]
    for index in (3, -1):
        with pytest.raises(IndexError, match=f"no batch {index}; they are 0 to 2"):
            batches[index]
