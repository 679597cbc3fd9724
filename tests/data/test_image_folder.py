"""Tests of the image tree."""

import os
import re
import shutil
import socket
import sys
import unicodedata
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from utils.data.image_folder import read_image_tree

NAMES = ("airplane", "bird", "cat")


def write_tree(root, suffix=".png", per_class=2, names=NAMES):
    """Writes a tree of random images; returns `{(split, name): uint8 (n, 32, 32, 3) RGB}`."""
    rng = np.random.default_rng(0)
    written = {}
    for split in ("train", "test"):
        for name in names:
            folder = root / split / name
            folder.mkdir(parents=True)
            images = rng.integers(0, 256, (per_class, 32, 32, 3), np.uint8)
            for index, image in enumerate(images):
                assert cv2.imwrite(str(folder / f"{index:04d}{suffix}"), image[..., ::-1])
            written[split, name] = images
    return written


def test_pixels_labels_and_order(tmp_path):
    written = write_tree(tmp_path)
    x_train, y_train, x_test, y_test, formats = read_image_tree(tmp_path, NAMES)
    np.testing.assert_array_equal(x_train, np.concatenate([written["train", n] for n in NAMES]))
    np.testing.assert_array_equal(x_test, np.concatenate([written["test", n] for n in NAMES]))
    np.testing.assert_array_equal(y_train, [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(y_test, [0, 0, 1, 1, 2, 2])
    assert x_train.dtype == np.uint8 and y_train.dtype == np.int64
    assert formats == {"PNG"}


def test_labels_follow_the_given_order_not_the_alphabet(tmp_path):
    written = write_tree(tmp_path)
    x_train, y_train, _, _, _ = read_image_tree(tmp_path, ("cat", "airplane", "bird"))
    np.testing.assert_array_equal(x_train[y_train == 0], written["train", "cat"])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_red_stays_red_in_a_jpeg(tmp_path, suffix):
    write_tree(tmp_path, suffix)
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / f"train/airplane/0000{suffix}"), red)
    x_train, _, _, _, formats = read_image_tree(tmp_path, NAMES)
    assert x_train[0, ..., 0].min() > 240 and x_train[0, ..., 1:].max() < 15
    assert formats == {"JPEG"}


def test_gray_and_transparent_images_become_rgb(tmp_path):
    write_tree(tmp_path)
    folder = tmp_path / "train/airplane"
    cv2.imwrite(str(folder / "0000.png"), np.full((32, 32), 7, np.uint8))
    transparent = np.full((32, 32, 4), 9, np.uint8)
    transparent[16:, :, 3] = 0
    cv2.imwrite(str(folder / "0001.png"), transparent)
    x_train, _, _, _, _ = read_image_tree(tmp_path, NAMES)
    assert (x_train[0] == 7).all()
    assert (x_train[1, 16:] == 255).all()  # laid on white, as photos are


def test_the_content_decides_not_the_name(tmp_path):
    written = write_tree(tmp_path)
    folder = tmp_path / "train/airplane"
    (folder / "0000.png").rename(folder / "0000.jpg")
    (folder / "0001.png").rename(folder / "0001")
    bird = written["train", "bird"][0][..., ::-1]
    (tmp_path / "train/bird/0000.png").unlink()
    assert cv2.imwrite(str(tmp_path / "train/bird/0000.bmp"), bird)
    lines = []
    x_train, _, _, _, formats = read_image_tree(tmp_path, NAMES, lines.append)
    np.testing.assert_array_equal(x_train, np.concatenate([written["train", n] for n in NAMES]))
    assert formats == {"PNG", "BMP"} and lines == []


def test_what_is_passed_over_is_counted_and_named(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "valid").mkdir()
    (tmp_path / "train/.ipynb_checkpoints").mkdir()
    (tmp_path / "train/airplane/._0000.png").write_bytes(b"x")
    (tmp_path / "train/airplane/more").mkdir()
    (tmp_path / "train/airplane/readme.txt").write_bytes(b"x")
    lines = []
    x_train, *_ = read_image_tree(tmp_path, NAMES, lines.append)
    assert len(x_train) == 6
    assert lines == [
        f"Passed over in {tmp_path}, not images of a class: 5 "
        "(valid, train/.ipynb_checkpoints, train/airplane/._0000.png, ...)"
    ]


def special_files(folder):
    """A pipe, a socket and a link that leads nowhere, named like images; the open socket."""
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to(folder / "gone.png")
    place = socket.socket(socket.AF_UNIX)
    folder_descriptor = os.open(folder, os.O_RDONLY)  # the path itself may be too long for a socket
    place.bind(f"/proc/self/fd/{folder_descriptor}/socket.png")
    os.close(folder_descriptor)
    return place


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are bound by way of /proc")
def test_what_would_keep_a_reader_waiting_is_passed_over_and_counted(tmp_path):
    write_tree(tmp_path)
    lines = []
    with special_files(tmp_path / "train/cat"):
        x_train, *_ = read_image_tree(tmp_path, NAMES, lines.append)
    assert len(x_train) == 6
    assert lines == [
        f"Passed over in {tmp_path}, not images of a class: 3 "
        "(train/cat/link.png, train/cat/pipe.png, train/cat/socket.png)"
    ]


def test_the_same_image_in_two_classes_is_said_with_numbers(tmp_path):
    written = write_tree(tmp_path)
    for name in ("cat", "bird"):  # BMP: the same pixels, not the same file
        image = written["train", "airplane"][0][..., ::-1]
        assert cv2.imwrite(str(tmp_path / f"train/{name}/more.bmp"), image)
    lines = []
    x_train, *_ = read_image_tree(tmp_path, NAMES, lines.append)
    assert len(x_train) == 8
    assert lines == [
        "WARNING: 1 images lie in two classes, the same to the pixel (as train/airplane/0000.png "
        "and train/bird/more.bmp): remove them from the wrong one."
    ]
    (tmp_path / "train/cat/more.bmp").unlink()
    (tmp_path / "train/bird/more.bmp").unlink()
    lines.clear()
    read_image_tree(tmp_path, NAMES, lines.append)  # what the line advises helps
    assert lines == []


def test_the_same_image_twice_in_one_class_is_no_fault(tmp_path):
    write_tree(tmp_path)
    shutil.copy(tmp_path / "train/cat/0000.png", tmp_path / "train/cat/more.png")
    lines = []
    read_image_tree(tmp_path, NAMES, lines.append)
    assert lines == []


def test_test_images_that_are_trained_on_are_said_with_numbers(tmp_path):
    write_tree(tmp_path)
    for name in ("0000.png", "0001.png"):
        shutil.copy(tmp_path / "train/cat" / name, tmp_path / "test/cat" / name)
    lines = []
    read_image_tree(tmp_path, NAMES, lines.append)
    assert lines == [
        "WARNING: 2 of 6 test images are training images, too, the same to the pixel (as "
        "train/cat/0000.png and test/cat/0000.png): the measured accuracy will be too high. "
        "Remove them from one of the two."
    ]


def test_frames_that_are_not_read_are_counted(tmp_path):
    write_tree(tmp_path)
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "green", "blue")]
    for index, form in enumerate(("gif", "png", "webp", "tiff")):
        options = {"save_all": True, "append_images": frames[1:]}
        frames[0].save(tmp_path / f"train/cat/more{index}.png", form, **options)
    lines = []
    x_train, *_ = read_image_tree(tmp_path, NAMES, lines.append)
    assert len(x_train) == 10 and x_train[-1, ..., 0].min() > 240
    assert lines == [
        f"Images in {tmp_path} with several frames, of which the first is taken: 4 "
        "(train/cat/more0.png, train/cat/more1.png, train/cat/more2.png, ...)"
    ]


def test_a_photo_of_a_phone_with_previews_is_a_jpeg_of_one_frame(tmp_path):
    write_tree(tmp_path, suffix=".jpg")
    image = Image.new("RGB", (32, 32), "red")
    path = tmp_path / "train/cat/0000.jpg"
    image.save(path, "MPO", save_all=True, append_images=[image.resize((8, 8))])
    lines = []
    *_, formats = read_image_tree(tmp_path, NAMES, lines.append)
    assert formats == {"JPEG"} and lines == []


def test_a_file_too_large_for_an_image_is_refused_unread(tmp_path):
    write_tree(tmp_path)
    with (tmp_path / "train/cat/0000.png").open("wb") as file:
        file.truncate(10**12)  # a hole: it takes no room
    with pytest.raises(ValueError, match="0000.png has 1000000.0 MB, the limit is 30.0 MB. Save"):
        read_image_tree(tmp_path, NAMES)


def test_wrong_class_folders(tmp_path):
    write_tree(tmp_path, names=("airplane", "bird"))
    with pytest.raises(ValueError, match=r"holds 2 class folders, expected exactly.*3.*Missing: c"):
        read_image_tree(tmp_path, NAMES)
    write_tree(tmp_path / "more", names=(*NAMES, "zebra"))
    with pytest.raises(ValueError, match=r"holds 4 class folders.*not expected: zebra"):
        read_image_tree(tmp_path / "more", NAMES)
    write_tree(tmp_path / "other", names=("airplane", "bird", "dog"))
    with pytest.raises(ValueError, match=r"Missing: cat; not expected: dog.*Rename"):
        read_image_tree(tmp_path / "other", NAMES)


def test_class_folders_in_other_letters_and_none_at_all(tmp_path):
    write_tree(tmp_path, names=("plane", "birds", "Cat"))
    message = r"Missing: .*Rename Cat to cat, birds to bird, plane to airplane\.$"
    with pytest.raises(ValueError, match=message):
        read_image_tree(tmp_path, NAMES)
    write_tree(tmp_path / "flat", names=("",))  # as in the competition of Kaggle
    with pytest.raises(ValueError, match=r"holds 0 class folders.*2 files lie in it directly"):
        read_image_tree(tmp_path / "flat", NAMES)


@pytest.mark.parametrize("name", ["Test", "TEST", "testing", "val", "valid", "Validation"])
def test_a_split_under_another_name_is_offered(tmp_path, name):
    write_tree(tmp_path)
    (tmp_path / "test").rename(tmp_path / name)
    with pytest.raises(ValueError, match=rf"no folder .*test.*Rename {name} to test\.$"):
        read_image_tree(tmp_path, NAMES)
    (tmp_path / name).rename(tmp_path / "test")
    read_image_tree(tmp_path, NAMES)


def test_a_missing_split_is_named(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "test").rename(tmp_path / "more")
    with pytest.raises(ValueError, match=r"no folder .*test.*needs train/<class>/"):
        read_image_tree(tmp_path, NAMES)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_tree_that_is_not_there_is_named_and_the_nearest_one_offered(tmp_path, kind):
    write_tree(tmp_path / "my-images")
    words = r"no folder .*my-image\. Is (.*/my-images) meant\? Give the folder that holds train/<c"
    with pytest.raises(ValueError, match=words) as error:
        read_image_tree(kind(tmp_path / "my-image"), NAMES)
    meant = re.search(words, str(error.value))[1]
    assert len(read_image_tree(kind(meant), NAMES)[0]) == 6


def test_a_file_in_the_place_of_a_tree_is_refused(tmp_path):
    (tmp_path / "images.zip").touch()
    with pytest.raises(ValueError, match=r"no folder .*images\.zip\. Give the folder that holds"):
        read_image_tree(tmp_path / "images.zip", NAMES)


FORMS = {"NFC": "Hündin blau", "NFD": unicodedata.normalize("NFD", "Hündin blau")}


@pytest.mark.parametrize("asked", FORMS)
@pytest.mark.parametrize("stored", FORMS)
def test_accents_of_a_class_may_be_stored_in_either_way(tmp_path, asked, stored):
    assert len(FORMS["NFC"]) < len(FORMS["NFD"])
    written = write_tree(tmp_path, names=("cat", FORMS[stored]))
    x_train, y_train, *_ = read_image_tree(tmp_path, (FORMS[asked], "cat"))
    np.testing.assert_array_equal(x_train[y_train == 0], written["train", FORMS[stored]])


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system has one of the two")
def test_two_folders_that_look_the_same_are_not_taken_for_one(tmp_path):
    write_tree(tmp_path, names=("cat", FORMS["NFC"]))
    (tmp_path / "train" / FORMS["NFD"]).mkdir()
    shutil.copy(tmp_path / "train/cat/0000.png", tmp_path / "train" / FORMS["NFD"])
    with pytest.raises(ValueError, match=r"train holds two folders .*Move the images of one into"):
        read_image_tree(tmp_path, ("cat", FORMS["NFC"]))
    moved = tmp_path / "train" / FORMS["NFD"] / "0000.png"
    moved.rename(tmp_path / "train" / FORMS["NFC"] / "more.png")
    moved.parent.rmdir()
    x_train, *_ = read_image_tree(tmp_path, ("cat", FORMS["NFC"]), lambda line: None)
    assert len(x_train) == 5


def test_an_empty_class_is_named(tmp_path):
    write_tree(tmp_path)
    for path in (tmp_path / "test/bird").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"bird holds no image.*Add images"):
        read_image_tree(tmp_path, NAMES)


@pytest.mark.parametrize(("height", "width"), [(33, 32), (32, 31), (224, 224)])
def test_another_size_is_refused_with_file_and_size(tmp_path, height, width):
    write_tree(tmp_path)
    cv2.imwrite(str(tmp_path / "test/cat/0001.png"), np.zeros((height, width, 3), np.uint8))
    with pytest.raises(ValueError, match=rf"0001.png has {width}x{height} pixels, expected 32x32"):
        read_image_tree(tmp_path, NAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0000.png is no readable image, but an empty file"),
        (b"no image", "0000.png is no readable image, but a file of another kind"),
        (b"\x89PNG\r\n\x1a\n", "0000.png cannot be read as an image: it is damaged"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS.*git lfs pull"),
    ],
)
def test_an_unreadable_image_is_named(tmp_path, content, message):
    write_tree(tmp_path)
    (tmp_path / "train/bird/0000.png").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_image_tree(tmp_path, NAMES)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    write_tree(tmp_path, suffix)
    path = tmp_path / f"train/bird/0000{suffix}"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(
        ValueError, match="cannot be read as an image: it is damaged or not complete"
    ):
        read_image_tree(tmp_path, NAMES)


def test_warnings_of_others_are_heard_afterwards(tmp_path):
    """Filters belong to the process, and images are read in several threads."""
    write_tree(tmp_path)
    before = list(warnings.filters)
    for _ in range(20):
        read_image_tree(tmp_path, NAMES, lambda line: None)
    assert warnings.filters == before
