"""Maps that know nothing of the network: what a heatmap has to beat."""

import cv2
import numpy as np

from utils.explain.checks import to_images


def random_maps(count, height, width, seed=0):
    """Maps of independent uniform noise, float32 (count, height, width) in 0..1.

    For noise as smooth as a Grad-CAM map make it at the layer's resolution, then use
    `utils.explain.overlay.resize_maps`.
    """
    return np.random.default_rng(seed).random((count, height, width), dtype="float32")


def center_gaussian_maps(count, height, width):
    """The guess "it is in the middle": a Gaussian, float32 (count, height, width), maximum <= 1.

    Its standard deviation is a quarter of each side.
    """
    y, x = (4 * ((np.arange(side) + 0.5) / side - 0.5) for side in (height, width))
    one = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 2).astype("float32")
    return np.repeat(one[None], count, axis=0)


def edge_maps(images):
    """The guess "it is where the edges are": the Sobel gradient's magnitude, blurred a little.

    An edge detector knows nothing of the network, yet its maps look convincing (Adebayo et al.
    2018, https://arxiv.org/abs/1810.03292, Section 5): a heatmap has to beat it.

    Args:
        images: (N, h, w, channels), uint8 or float; three channels are RGB.

    Returns:
        float32 (N, h, w), >= 0. The blur has a standard deviation of a thirty-second of the height.

    Raises:
        ValueError: on images of another kind.
    """
    maps = []
    for image in to_images(images).astype("float32"):
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[-1] == 3 else image.mean(-1)
        across, down = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        maps.append(cv2.GaussianBlur(np.hypot(across, down), (0, 0), len(image) / 32))
    return np.stack(maps)
