"""Changes real files at random: what a bad disk, a bad network or a bad person makes of them."""

import numpy as np

NUMBERS = (0, 1, 2**7 - 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = [b"null", b"NaN", b"Infinity", b"-1", b"0", b"1e999", b"1" * 400, b"true", b'""', b"[]"]
WORDS += [b"{}", b",", b'"', b"\n", b"\r\n", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80"]
WORDS += [b"=cmd()", b"../../x", b"[" * 3000, b'{"a":' * 3000, b"__import__('os').abort()"]


def mutate(content, others, rng):
    """Changes bytes in one to four ways, one after the other.

    Args:
        content: bytes.
        others: list of bytes, files of the same kind, to take parts from.
        rng: `numpy.random.Generator`.

    Returns:
        bytes.
    """
    new = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        change = CHANGES[rng.integers(len(CHANGES))]
        place = int(rng.integers(len(new) + 1))
        # Headers decide more than what follows.
        place = place if rng.random() < 0.5 else min(place, int(rng.integers(1, 200)))
        change(new, place, others, rng)
    return bytes(new)


def _flip(new, place, others, rng):
    if place < len(new):
        new[place] ^= 1 << int(rng.integers(8))


def _byte(new, place, others, rng):
    new[place : place + 1] = bytes([rng.integers(256)])


def _number(new, place, others, rng):
    size, order = int(rng.choice([1, 2, 4])), str(rng.choice(["little", "big"]))
    value = int(rng.choice(NUMBERS)) % 256**size
    new[place : place + size] = value.to_bytes(size, order)


def _cut(new, place, others, rng):
    del new[place:]


def _remove(new, place, others, rng):
    del new[place : place + int(rng.integers(1, 64))]


def _repeat(new, place, others, rng):
    new[place:place] = new[place : place + int(rng.integers(1, 64))]


def _insert(new, place, others, rng):
    new[place:place] = rng.bytes(int(rng.integers(1, 32)))


def _word(new, place, others, rng):
    end = place + int(rng.integers(0, 12))
    new[place:end] = WORDS[rng.integers(len(WORDS))]


def _splice(new, place, others, rng):
    other = others[rng.integers(len(others))]
    start = int(rng.integers(len(other) + 1))
    length = int(rng.integers(1, 256))
    new[place : place + length] = other[start : start + length]


CHANGES = (_flip, _byte, _number, _cut, _remove, _repeat, _insert, _word, _splice)


def mutation(samples, seed, index):
    """Input `index` of a seed: the same bytes whenever it is asked for.

    Args:
        samples: list of bytes.
        seed, index: ints.

    Returns:
        bytes.
    """
    rng = np.random.default_rng((seed, index))
    return mutate(samples[rng.integers(len(samples))], samples, rng)
