"""One reader of images: a tree and a photo have the same pixels, whatever the kind of the file."""

import io
import os
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.data.file_kind import kind_of
from utils.data.image_file import NoImageError, decode_image, read_image
from utils.data.image_folder import read_image_tree
from utils.explain.photo import load_photo


def picture():
    """Left half red, right half green, with a white first row: turning it shows."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16, 0] = pixels[:, 16:, 1] = pixels[0] = 255
    return Image.fromarray(pixels)


def with_alpha():
    image = picture().convert("RGBA")
    image.putalpha(128)
    return image


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


SHARP = {"quality": 95, "subsampling": 0}
KINDS = {
    "color": (picture(), "PNG", {}),
    "alpha": (with_alpha(), "PNG", {}),
    "palette": (picture().quantize(4), "PNG", {}),
    "gray": (picture().convert("L"), "PNG", {}),
    "one bit": (picture().convert("1"), "PNG", {}),
    "16 bit": (Image.fromarray(np.full((32, 32), 64_000, np.uint16)), "PNG", {}),
    "CMYK": (picture().convert("CMYK"), "JPEG", SHARP),
    "turned": (picture(), "JPEG", {"exif": turned(), **SHARP}),
    "turned alpha": (with_alpha(), "PNG", {"exif": turned()}),
    "WebP": (picture(), "WEBP", {"lossless": True}),
    "BMP": (picture(), "BMP", {}),
    "TIFF": (picture(), "TIFF", {}),
    "GIF": (picture(), "GIF", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_and_a_photo_have_the_same_pixels(tmp_path, kind):
    image, form, options = KINDS[kind]
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        image.save(tmp_path / split / "cat/0000.jpg", form, **options)  # the name says nothing
    x_train, _, _, _, formats = read_image_tree(tmp_path, ("cat",))
    photo, small = load_photo(tmp_path / "train/cat/0000.jpg")
    np.testing.assert_array_equal(x_train[0], photo)
    np.testing.assert_array_equal(x_train[0], small)
    assert formats == {form}
    expected = image.convert("RGB")  # as far as Pillow alone gets it right
    if kind == "16 bit":
        expected = Image.new("RGB", (32, 32), (249, 249, 249))  # 64000 / 257
    if "alpha" in kind:
        expected = Image.blend(Image.new("RGB", (32, 32), "white"), picture(), 128 / 255)
    if "turned" in kind:
        expected = expected.rotate(-90)
    expected = np.asarray(expected).astype(int)
    np.testing.assert_allclose(photo.astype(int), expected, atol=12 if form == "JPEG" else 1)


def encoded(array, form):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "order"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2"), ("PGM", ">u2")]
)
def test_16_bits_become_8_over_the_whole_range(form, order):
    gray = np.repeat(np.array([[0, 257, 32_768, 65_535]], order), 4, axis=0)
    # Pillow 10.1 reads a PGM of 16 bits, but cannot write one.
    data = b"P5 4 4 65535\n" + gray.tobytes() if form == "PGM" else encoded(gray, form)
    pixels = decode_image(data, "a").pixels
    assert pixels.shape == (4, 4, 3) and pixels[0, :, 1].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (np.int32(-1), 32),
        (np.int32(65_536), 32),
        (np.int32(200), 32),  # as 16 bits it would be black
        (np.int32(200), 16),  # signed
        (np.uint16(200), 12),
        (np.float32(0.5), 32),
    ],
)
def test_pixels_of_another_range_are_refused(value, bits):
    """Pillow writes no signed 16 or 12 bits; a TIFF says how many they are under number 258."""
    content = encoded(np.full((4, 4), value), "TIFF")
    written, told = (struct.pack("=HHIHH", 258, 3, 1, n, 0) for n in (8 * value.nbytes, bits))
    assert content.count(written) == 1
    with pytest.raises(ValueError, match="a has floating-point or 32-bit pixels, or signed or 12"):
        decode_image(content.replace(written, told), "a")


def test_the_number_of_pixels_is_width_times_height():
    content = encoded(np.zeros((6, 5, 3), np.uint8), "PNG")
    assert decode_image(content, "a", max_pixels=30).pixels.shape == (6, 5, 3)
    with pytest.raises(ValueError, match="a has 5 x 6 = .* pixels, the limit is"):
        decode_image(content, "a", max_pixels=29)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_may_be_text(tmp_path, kind):
    picture().save(tmp_path / "a", "PNG")
    assert read_image(kind(tmp_path / "a"), "a").format == "PNG"


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_refused(tmp_path):
    picture().save(tmp_path / "a", "PNG")
    size = (tmp_path / "a").stat().st_size
    assert read_image(tmp_path / "a", "a", max_bytes=size).format == "PNG"
    with pytest.raises(ValueError, match=r"a has 0.0 MB, the limit is 0.0 MB. Save it smaller"):
        read_image(tmp_path / "a", "a", max_bytes=size - 1)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_photo_with_previews_behind_it_is_a_jpeg_of_one_image(frames):
    """As many phones write it: the multi-picture format, which Pillow calls by another name."""
    file, preview = io.BytesIO(), Image.new("RGB", (8, 8), "blue")
    picture().save(file, "MPO", save_all=True, append_images=[preview] * (frames - 1), **SHARP)
    image = decode_image(file.getvalue(), "a")
    assert (image.format, image.more) == ("JPEG", False)
    expected = np.asarray(picture()).astype(int)
    np.testing.assert_allclose(image.pixels.astype(int), expected, atol=12)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_what_pillow_writes_is_known_as_an_image(tmp_path, form):
    picture().save(tmp_path / "a", form)
    content = (tmp_path / "a").read_bytes()
    assert kind_of(content).endswith(" image")
    assert decode_image(content, "a").format == form
    with pytest.raises(ValueError, match="a cannot be read as an image: it is damaged"):
        decode_image(content[:30], "a")


def test_postscript_is_no_image_and_starts_no_other_program(monkeypatch):
    file = io.BytesIO()
    picture().save(file, "EPS")
    started = []
    for name in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, lambda *args, **kwargs: started.append(args))
    with pytest.raises(NoImageError, match="a.jpg is no readable image, but a PostScript file"):
        decode_image(file.getvalue(), "a.jpg")
    assert not started


def test_a_format_that_this_build_of_pillow_lacks_is_named(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    monkeypatch.setattr(Image, "init", lambda: None)
    with pytest.raises(NoImageError, match="an AVIF image. Open it where it was taken"):
        decode_image(b"\0\0\0\x1cftypavif\0\0\0\0", "a.avif")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a device of Unix")
def test_a_device_is_never_read():
    with pytest.raises(NoImageError, match="^zero is no image, but a device. Give a JPEG or PNG"):
        read_image(Path("/dev/zero"), "zero")


def test_many_pages_are_not_counted():
    """6 MB of directories of a TIFF, each of which leads to the next: to count them takes 15 s."""
    file = io.BytesIO()
    picture().save(file, "TIFF")
    content = file.getvalue()
    (first,) = struct.unpack("<I", content[4:8])
    (entries,) = struct.unpack("<H", content[first : first + 2])
    end = first + 2 + 12 * entries
    directory, start = content[first:end], len(content)
    pages = [
        directory + struct.pack("<I", start + (len(directory) + 4) * (page + 1))
        for page in range(50_000)
    ]
    content = content[:end] + struct.pack("<I", start) + content[end + 4 :] + b"".join(pages)
    begin = time.process_time()
    image = decode_image(content, "a")
    assert image.more and time.process_time() - begin < 2
    np.testing.assert_array_equal(image.pixels, np.asarray(picture()))
