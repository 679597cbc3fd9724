"""Tests of the image tree."""

import cv2
import numpy as np
import pytest

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


def test_a_link_that_leads_nowhere_is_an_error_if_named_like_an_image(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "train/cat/0002.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FileNotFoundError, match="0002.png"):
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


def test_a_missing_split_is_named(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "test").rename(tmp_path / "valid")
    with pytest.raises(ValueError, match=r"no folder .*test.*needs train/<class>/"):
        read_image_tree(tmp_path, NAMES)


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
