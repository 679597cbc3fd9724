"""The sentence about the data."""

import dataclasses

from sample_data import noise

from utils.data.answers import data_answer


def test_counts_images_classes_and_numbers():
    data = noise(23, 10)
    assert " ".join(data_answer(data).split()) == (
        "In this run: 23 images to learn from, 2 to 3 of each of the 10 classes, and 10 images to "
        "be tested on, 1 of each of the 10 classes; an image is 32 x 32 pixels with 3 colors, "
        "3,072 numbers from 0 to 255."
    )


def test_a_class_without_an_image_is_counted():
    data = noise(20, 10)
    data = dataclasses.replace(data, y_test=data.y_test * 0)
    assert "0 to 10 of each of the 10 classes; an" in " ".join(data_answer(data).split())
