"""Maps that know nothing of the network."""

import numpy as np
import pytest

from utils.explain.baselines import center_gaussian_maps, edge_maps, random_maps


def test_center_gaussian_and_random_maps():
    center = center_gaussian_maps(2, 32, 16)
    assert center.shape == (2, 32, 16) and center.dtype == np.float32
    np.testing.assert_allclose(center, center[:, ::-1, ::-1], rtol=1e-6)
    assert center.max() <= 1 and center[0].argmax() in (15 * 16 + 7, 15 * 16 + 8, 16 * 16 + 7)
    # Half a side away from the center are 2 standard deviations.
    np.testing.assert_allclose(center_gaussian_maps(1, 1001, 1)[0, 0, 0], np.exp(-2), rtol=5e-3)
    np.testing.assert_array_equal(random_maps(2, 3, 4, seed=5), random_maps(2, 3, 4, seed=5))
    assert (random_maps(2, 3, 4, seed=5) != random_maps(2, 3, 4, seed=6)).any()


def test_edge_maps_are_hot_at_edges_alone():
    images = np.full((2, 32, 32, 3), 40, "uint8")
    images[0, :, 16:] = 200  # one vertical edge
    maps = edge_maps(images)
    assert maps.shape == (2, 32, 32) and maps.dtype == np.float32
    assert set(maps[0].argmax(axis=1)) <= {15, 16} and maps[0, :, :10].max() == 0
    assert not maps[1].any()
    np.testing.assert_allclose(edge_maps(images[..., :1] / 255), maps / 255, atol=0.03)
    with pytest.raises(ValueError, match=r"\(N, h, w, channels\).*got float64 \(32, 32, 3\)"):
        edge_maps(images[0] / 255)
