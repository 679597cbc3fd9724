"""Photos of every kind that a phone or a browser saves, and the broken ones."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from utils.explain.photo import center_square, load_photo

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quadrants(height=64, width=96):
    """Red, green over blue, white: every turn and mirror image looks different."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, WHITE
    return image


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def corners(image):
    return [tuple(image[row, column]) for row, column in ((1, 1), (1, -2), (-2, 1), (-2, -2))]


def test_shapes_types_and_channel_order(tmp_path):
    full, small = load_photo(save(tmp_path / "a.png", quadrants()))
    np.testing.assert_array_equal(full, quadrants())
    assert small.shape == (32, 32, 3) and full.dtype == small.dtype == np.uint8
    assert corners(small) == [RED, GREEN, BLUE, WHITE]
    assert load_photo(str(tmp_path / "a.png"), size=7)[1].shape == (7, 7, 3)


# What the camera stored for each EXIF orientation, as an operation on the upright photo.
STORED = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_exif_orientation(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](quadrants()))
    options = {"quality": 95, "subsampling": 0} if kind == "jpg" else {}
    full, _ = load_photo(save(tmp_path / f"a.{kind}", stored, exif=exif, **options))
    np.testing.assert_allclose(full.astype(int), quadrants(), atol=8)


def test_gray_8_and_16_bit_agree(tmp_path):
    gray = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    full, _ = load_photo(save(tmp_path / "8.png", gray))
    np.testing.assert_array_equal(full, np.stack([gray] * 3, axis=-1))
    full, _ = load_photo(save(tmp_path / "16.png", gray.astype(np.uint16) * 257))
    np.testing.assert_array_equal(full, np.stack([gray] * 3, axis=-1))


def png(width, height, depth, color_type, rows):
    """A PNG written by hand: Pillow does not write 16-bit color."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_16_bit_color(tmp_path):
    pixels = np.tile(np.array([65535, 32768, 0], ">u2"), (8, 8, 1))
    (tmp_path / "a.png").write_bytes(png(8, 8, 16, 2, [row.tobytes() for row in pixels]))
    full, _ = load_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(full, np.broadcast_to([255, 128, 0], (8, 8, 3)))


def test_transparency_is_laid_on_white(tmp_path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[..., 0], image[:4, :, 3], image[4:, :, 3] = 255, 255, 0
    full, _ = load_photo(save(tmp_path / "rgba.png", image))
    assert tuple(full[0, 0]) == RED and tuple(full[-1, 0]) == WHITE
    gray = np.dstack([np.zeros((8, 8), np.uint8), np.full((8, 8), 128, np.uint8)])
    full, _ = load_photo(save(tmp_path / "la.png", gray))
    np.testing.assert_array_equal(full, 127)
    palette = Image.fromarray(image).convert("P")
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((0, 0)))
    assert tuple(load_photo(tmp_path / "p.png")[0][0, 0]) == WHITE


def test_other_kinds(tmp_path):
    Image.fromarray(quadrants()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.fromarray(quadrants()).convert("1").save(tmp_path / "bits.png")
    Image.fromarray(quadrants()).save(tmp_path / "a.gif")
    for name in ("cmyk.jpg", "bits.png", "a.gif"):
        full, small = load_photo(tmp_path / name)
        assert full.shape == (64, 96, 3) and small.dtype == np.uint8
        assert min(small[-2, -2]) > 240, name  # the white quadrant


def test_center_crop_does_not_squash(tmp_path):
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 255  # exactly the center square
    full, small = load_photo(save(tmp_path / "a.png", wide), size=8)
    assert full.shape == (40, 100, 3) and small.min() == 255
    assert center_square(full) == (0, 30, 40) and center_square(full[:, :9]) == (15, 0, 9)


def test_reduction_averages(tmp_path):
    checks = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    _, small = load_photo(save(tmp_path / "a.png", checks))
    np.testing.assert_allclose(small, 127.5, atol=1)  # sampling would give 0 or 255


def test_tiny_photo_is_enlarged(tmp_path):
    _, small = load_photo(save(tmp_path / "a.png", np.zeros((1, 3, 3), np.uint8)))
    assert small.shape == (32, 32, 3)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/nowhere.jpg.*full path"):
        load_photo(tmp_path / "nowhere.jpg")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} is a folder"):
        load_photo(tmp_path)
    with pytest.raises(FileNotFoundError, match="full path") as caught:
        load_photo("iVBORw0KGgo" * 1000)  # a name too long for any file
    assert len(str(caught.value)) < 600
    with pytest.raises(FileNotFoundError, match="No photo is named"):
        load_photo(" ")


def test_damaged_files(tmp_path):
    whole = save(tmp_path / "a.jpg", quadrants()).read_bytes()
    for name, content in {
        "cut.jpg": whole[: len(whole) // 2],
        "cut.png": save(tmp_path / "a.png", quadrants()).read_bytes()[:-40],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            ValueError, match=f"{name} cannot be read.*damaged or not complete.*JPEG or PNG"
        ):
            load_photo(tmp_path / name)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.float32), np.full((4, 4), 70_000)])
def test_pixels_without_a_fixed_range_are_refused(tmp_path, pixels):
    pixels = pixels if pixels.dtype == np.float32 else pixels.astype(np.int32)
    with pytest.raises(ValueError, match="floating-point or 32-bit"):
        load_photo(save(tmp_path / "a.tiff", pixels))


def test_too_many_bytes_or_pixels(tmp_path):
    photo = save(tmp_path / "a.png", quadrants())
    with pytest.raises(ValueError, match="limit is 0.0 MB"):
        load_photo(photo, max_bytes=10)
    with pytest.raises(ValueError, match="96 x 64 = 0.0 million.*limit is 0.0 million"):
        load_photo(photo, max_pixels=100)


@pytest.mark.parametrize("side", [8_000, 60_000])
def test_bomb_is_refused_before_a_pixel_is_decoded(tmp_path, monkeypatch, side):
    def decode(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    (tmp_path / "bomb.png").write_bytes(png(side, side, 8, 2, [b"\0" * 100]))
    message = r"bomb.png has (8000 x 8000 .* limit is 50.0 million|too many)"
    with pytest.raises(ValueError, match=message):
        load_photo(tmp_path / "bomb.png")
    (tmp_path / "small.png").write_bytes(png(8, 8, 8, 2, [b"\0" * 24] * 8))
    with pytest.raises(ValueError, match="decoded"):  # the trap works
        load_photo(tmp_path / "small.png")


def test_bad_size(tmp_path):
    for size in (0, 2.5, True):
        with pytest.raises(ValueError, match="size"):
            load_photo(tmp_path / "a.png", size=size)


def test_a_photo_from_the_web_is_the_file(serve, tmp_path):
    content = save(tmp_path / "photo.png", quadrants()).read_bytes()

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)

    url = serve(answer)
    full, small = load_photo(url)
    np.testing.assert_array_equal(full, quadrants())
    np.testing.assert_array_equal(small, load_photo(tmp_path / "photo.png")[1])
    with pytest.raises(ValueError, match="has more than 0.0 MB"):
        load_photo(url, max_bytes=50)


def test_a_web_page_is_no_photo(serve):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"<html>Sign in first</html>")

    with pytest.raises(
        ValueError, match="^file is no readable image, but a web page. Give the add"
    ):
        load_photo(serve(answer))


def test_addresses_that_lead_nowhere(serve):
    with pytest.raises(OSError, match="404"):
        load_photo(serve(lambda handler: handler.send_error(404)))
    with pytest.raises(ValueError, match="must begin with http"):
        load_photo("ftp://127.0.0.1/cat.jpg")
    with pytest.raises(ValueError, match="must begin with http.*give its path") as caught:
        load_photo("data:image/jpeg;base64," + "A" * 6000)
    assert len(str(caught.value)) < 300


def test_a_path_is_found_however_it_was_pasted(tmp_path, monkeypatch):
    path = save(tmp_path / "my dog.png", quadrants())
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in (f" {path}\n", f'"{path}"', "~/my dog.png", path.as_uri()):
        np.testing.assert_array_equal(load_photo(typed)[0], quadrants())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image at all", "a.jpg is no readable image, but a file of another kind"),
        (b"", "a.jpg is no readable image, but an empty file. Get it again"),
        (b"\n<!DOCTYPE html><html>", "a web page. Give the address of the image itself"),
        (b"\0\0\0\x18ftypheic", "a HEIC photo, as iPhones.*export or share it as JPEG"),
        (b"\0\0\0\x18ftypmif1", "a HEIC photo, as iPhones.*Most Compatible"),
        (b"\0\0\0\x14ftypqt  ", "a film. Save one frame of it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL photo. Open it"),
        (b"8BPS\0\1", "a Photoshop file. Give a JPEG or PNG"),
        (b"\x93NUMPY\1\0", "a NumPy array. Give a JPEG or PNG"),
        (b"<svg xmlns=", "an SVG drawing. Give a JPEG or PNG"),
        (b"%PDF-1.4", "a PDF document"),
    ],
)
def test_another_file_is_named_for_what_it_is(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_photo(tmp_path / "a.jpg")


def test_large_photos_come_back_smaller_and_the_small_image_is_made_of_all_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 180, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "large.png")
    full, small = load_photo(tmp_path / "large.png", size=9)
    np.testing.assert_array_equal(full, pixels)
    reduced, same = load_photo(tmp_path / "large.png", size=9, max_side=60)
    assert reduced.shape == (30, 60, 3)
    np.testing.assert_array_equal(same, small)
    blocks = pixels.reshape(30, 3, 60, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(reduced, blocks, atol=0.51)
    with pytest.raises(ValueError, match="max_side must be an int >= 1, got 0"):
        load_photo(tmp_path / "large.png", max_side=0)


def test_frames_behind_the_first_are_said(tmp_path):
    frames = [Image.new("RGB", (40, 40), color) for color in (RED, GREEN, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    lines = []
    full, _ = load_photo(tmp_path / "a.gif", report=lines.append)
    assert tuple(full[0, 0]) == RED
    assert lines == ["a.gif has several frames or pages; this is the first."]
    load_photo(save(tmp_path / "b.gif", quadrants()), report=lines.append)
    assert len(lines) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_or_a_device_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    for path, kind in (
        (tmp_path / "pipe.png", "a pipe"),
        ("/dev/zero", "a device"),
        (tmp_path / "link.png", f"a link to {tmp_path}/gone.png, which is not there"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(FileNotFoundError, match=f"{path} is {kind}, no photo. Give the path"):
            load_photo(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="such files are those of Linux")
def test_of_a_file_that_hides_its_size_no_more_than_the_limit_is_read():
    with pytest.raises(ValueError, match="maps has 0.0 MB, the limit is 0.0 MB"):
        load_photo("/proc/self/maps", max_bytes=100)  # its size is 0, its content is not


def test_a_file_that_looks_the_same_is_taken_and_one_that_is_near_is_offered(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    save(tmp_path / "photos/Kätzchen 1.png", quadrants())
    monkeypatch.chdir(tmp_path)
    for typed in (
        r"photos\Kätzchen 1.png",
        "photos/Ka\u0308tzchen 1.png ",
        "$PWD/photos/Kätzchen 1.png",
    ):
        monkeypatch.setenv("PWD", str(tmp_path))
        np.testing.assert_array_equal(load_photo(typed)[0], quadrants())
    for typed in ("Photos/kätzchen 1.PNG", "photos/Kätzchen 1.jpg", "photos/Katzchen 1.png"):
        with pytest.raises(FileNotFoundError, match=r"Is photos/Kätzchen 1.png meant\?"):
            load_photo(typed)
