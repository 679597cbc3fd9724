"""Batches in every form that people hand over are read alike, or refused with a way out."""

import functools
import itertools
import re

import keras
import numpy as np
import pytest

from utils.training.batch_source import checked, held_out_batches
from utils.training.range_test import range_test

RNG = np.random.default_rng(0)
PAIRS = [(RNG.normal(size=(8, 2)).astype("float32"), RNG.normal(size=(8, 1))) for _ in range(4)]
X, Y = PAIRS[0]
OPTIONS = {"num_steps": 11, "start_lr": 0.01, "end_lr": 0.1}


def linear_model():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def losses_of(batches, held_out=None):
    return range_test(linear_model(), batches, held_out=held_out, **OPTIONS).loss


@functools.cache
def plain_losses(held_out=0):
    """Those of a list of pairs of arrays; `held_out` is how many batches, in the same order."""
    return losses_of(PAIRS, [PAIRS[i % 4] for i in range(held_out)] or None)


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return PAIRS[index % 4]


@pytest.mark.parametrize(("batches", "count"), [(iter(PAIRS), 4), ([], 0)])
def test_batches_that_end_too_early(batches, count):
    with pytest.raises(ValueError, match=f"ended after {count} of 11 steps"):
        range_test(linear_model(), batches, num_steps=11)


def test_a_tf_data_set_is_read_like_a_list_of_its_batches():
    tf = pytest.importorskip("tensorflow")
    examples = tf.data.Dataset.from_tensor_slices(tuple(map(np.concatenate, zip(*PAIRS))))
    with pytest.raises(ValueError, match=r"inputs of shape \(2,\), .* by \.batch\(128\)"):
        losses_of(examples)
    assert len(set(losses_of(examples.batch(128)).tolist())) == 11
    found = losses_of(examples.batch(8), held_out=examples.batch(8).take(1))
    np.testing.assert_allclose(found, plain_losses(held_out=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        (X, "Received arrays as batches"),
        ([(X,)], "A batch is a tuple"),
        ([(X[0], Y[0])], r"inputs of shape \(2,\), the model takes \(None, 2\).*batch\(128\)"),
        ([(X[:, :1], Y)], r"inputs of shape \(8, 1\)"),
    ],
)
def test_batches_of_another_form_are_refused(batches, words):
    with pytest.raises(ValueError, match=words):
        losses_of(batches)


@pytest.mark.parametrize("kind", ["arrays", "a dictionary"])
@pytest.mark.parametrize("name", ["batches", "held_out"])
def test_what_an_error_of_arrays_advises_makes_batches_of_any_arrays(kind, name):
    """Floats with targets that are no whole numbers, which `Batches` does not take."""
    x, y = RNG.normal(size=(300, 2)).astype("float32"), RNG.normal(size=(300, 1))
    given = (x, y) if kind == "arrays" else {"x": x, "y": y}
    with pytest.raises(ValueError, match=f"Received {kind} as {name}; pass") as error:
        losses_of(**{"batches": PAIRS} | {name: given})
    batches = eval(re.search(r"\[\(x.*\)\]", str(error.value))[0], {"x": x, "y": y})
    assert [len(part) for part, _ in batches] == [128, 128, 44]
    assert ("Shuffle x and y" in str(error.value)) == (name == "batches")
    expected = [(x[:128], y[:128]), (x[128:256], y[128:256]), (x[256:], y[256:])]
    found, wanted = (losses_of(**{"batches": PAIRS} | {name: one}) for one in (batches, expected))
    assert np.array_equal(found, wanted)


def in_dictionaries(whole):
    """Batches as dictionaries, or with their inputs in one; and the words of the error."""
    if whole:
        return [{"x": x, "y": y} for x, y in PAIRS], r"A batch is a dict; .* keys are \['x', 'y'\]"
    return [
        ({"x": x, "id": y}, y) for x, y in PAIRS
    ], r"holds a dictionary.* keys are \['x', 'id'\]"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("form", ["list", "tf.data"])
def test_what_an_error_of_dictionaries_advises_takes_the_arrays_out(whole, form):
    batches, words = in_dictionaries(whole)
    if form == "tf.data":
        tf = pytest.importorskip("tensorflow")
        examples = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
        batches = tf.data.Dataset.from_tensor_slices(examples).batch(8)
    with pytest.raises(ValueError, match=words) as error:
        losses_of(batches)
    by_map, by_loop = re.search(
        r"by (\.map\(.*\)), otherwise by (\[.*\])", str(error.value)
    ).groups()
    advised = f"batches{by_map}" if form == "tf.data" else by_loop
    found = losses_of(eval(advised, {"batches": batches}))
    np.testing.assert_allclose(found, plain_losses(), rtol=1e-6)


class Foreign:
    """A tensor of another library: `numpy` knows neither its type nor how to read it at once."""

    dtype = "foreign.float32"

    def __init__(self, array, taken=False):
        self.array, self.taken = array, taken
        self.shape, self.ndim = array.shape, array.ndim

    def __array__(self, *args, **kwargs):
        if not self.taken:
            raise TypeError("can't convert: call detach and cpu first")
        return self.array

    def detach(self):
        return self

    def cpu(self):
        return Foreign(self.array, taken=True)


FORMS = {
    "lists": lambda x, y: [x.tolist(), y.tolist()],
    "tensors of another library": lambda x, y: (Foreign(x), Foreign(y)),
    "own tensors": lambda x, y: tuple(map(keras.ops.convert_to_tensor, (x, y))),
    "one array in a list": lambda x, y: ([x], [y]),
    "one array in a dictionary": lambda x, y: ({"x": x}, {"y": y}),
    "weights of samples": lambda x, y: (x, y, [1.0] * len(x)),
    "no weights of samples": lambda x, y: (x, y, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_any_arrays_count_alike(form):
    batches = [FORMS[form](x, y.astype("float32")) for x, y in PAIRS]
    found = losses_of(batches, held_out=batches[:1])
    np.testing.assert_allclose(found, plain_losses(held_out=1), rtol=1e-5)


@pytest.mark.parametrize("kind", ["numpy", "own"])
def test_what_keras_takes_is_handed_on_uncopied(kind):
    x, y = PAIRS[0] if kind == "numpy" else map(keras.ops.convert_to_tensor, PAIRS[0])
    taken = checked([x, y], linear_model(), "the batch")
    assert type(taken) is tuple and taken[0] is x and taken[1] is y


def test_a_data_loader_of_pytorch_is_read_on_every_backend():
    torch = pytest.importorskip("torch")
    x, y = (torch.tensor(np.concatenate(parts)).float() for parts in zip(*PAIRS))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8)
    found = losses_of(loader, held_out=loader)
    np.testing.assert_allclose(found, plain_losses(held_out=4), rtol=1e-5)


class Counted:
    """Knows its length and not how to end, as the data sets of PyTorch."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        assert index < 4, "read beyond its end"
        return PAIRS[index]


class Uncounted(Counted):
    """Ends as sequences of old did: by an IndexError."""

    __len__ = None

    def __getitem__(self, index):
        return PAIRS[index]


class OfExamples:
    """Iterates batches, and indexes examples."""

    def __iter__(self):
        return iter(PAIRS)

    def __len__(self):
        return 32

    def __getitem__(self, index):
        return PAIRS[index // 8][0][index % 8], PAIRS[index // 8][1][index % 8]


class WithoutLength(Pairs):
    __len__ = None
    num_batches = 4


READ_AGAIN = {
    "list": lambda: PAIRS,
    "PyDataset": Pairs,
    "PyDataset without len": WithoutLength,
    "of examples": OfExamples,
    "counted": Counted,
    "uncounted": Uncounted,
    "generator": lambda: iter(PAIRS),
}


@pytest.mark.parametrize("form", READ_AGAIN)
def test_held_out_batches_are_read_after_every_step_whatever_holds_them(form):
    found = losses_of(PAIRS, held_out=READ_AGAIN[form]())
    assert len(set(found.tolist())) == 11
    assert np.array_equal(found, plain_losses(held_out=4))


@pytest.mark.parametrize("form", [form for form in READ_AGAIN if form != "generator"])
def test_batches_with_an_index_are_begun_again(form):
    assert len(set(plain_losses().tolist())) == 11
    assert np.array_equal(losses_of(READ_AGAIN[form]()), plain_losses())


class EndlessPairs(Pairs):
    __len__ = None  # Keras asks for a length only where `num_batches` is not given
    num_batches = None


class EndlessList(Uncounted):
    def __getitem__(self, index):
        return PAIRS[index % 4]


def endless_data(unknown=False):
    tf = pytest.importorskip("tensorflow")
    if unknown:
        return tf.data.Dataset.from_generator(
            lambda: itertools.cycle(PAIRS),
            output_signature=(tf.TensorSpec((8, 2)), tf.TensorSpec((8, 1), "float64")),
        )
    x, y = (np.concatenate(parts) for parts in zip(*PAIRS))
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8).repeat()


ENDLESS = {
    "tf.data": endless_data,
    "tf.data of a generator": lambda: endless_data(unknown=True),
    "generator": lambda: itertools.cycle(PAIRS),
    "index": EndlessList,
    "PyDataset": EndlessPairs,
}


@pytest.mark.parametrize("form", ENDLESS)
def test_held_out_batches_without_end_are_refused_and_some_of_them_taken(form):
    make = ENDLESS[form]
    with pytest.raises(ValueError, match="held_out that does not end") as error:
        losses_of(PAIRS, make())
    names = {"itertools": itertools, "held_out": make()}
    exec(re.search(r"held_out=.*\)(?=\.)", str(error.value))[0], names)
    assert len(names["held_out"]) == 10
    found = losses_of(PAIRS, names["held_out"])
    np.testing.assert_allclose(found, plain_losses(held_out=10), rtol=1e-6)


def test_held_out_batches_are_counted_and_of_1000_none_is_left_out():
    batches = PAIRS * 250
    assert held_out_batches(batches) is batches
    assert held_out_batches(iter(batches)) == batches
    longer = PAIRS * 251  # its end is known
    assert held_out_batches(longer) is longer
    with pytest.raises(ValueError, match="held_out without a batch; pass at least one, or None"):
        held_out_batches(iter([]))
    with pytest.raises(ValueError, match="held_out that does not end"):
        held_out_batches(iter([*batches, PAIRS[0]]))


@pytest.mark.parametrize("form", ENDLESS)
def test_batches_without_end_are_read_for_as_many_steps_as_there_are(form):
    np.testing.assert_allclose(losses_of(ENDLESS[form]()), plain_losses(), rtol=1e-6)


def test_a_batch_without_an_example_is_refused():
    x, y = PAIRS[0]
    with pytest.raises(ValueError, match=r"no example in the batch of step 1, of shape \(0, 2\)"):
        losses_of([PAIRS[0], (x[:0], y[:0])])
