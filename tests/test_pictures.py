"""Every file that has pixels becomes RGB as a viewer shows it; every other is named with a plain reason."""

from __future__ import annotations

import os
import pickle
import re
import struct
import threading
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from rine.apart import bounds
from rine.pixels.pictures import UnreadablePicture, open_rgb

MANY = 10**8


def photo(size: tuple[int, int] = (70, 50), seed: int = 0) -> Image.Image:
    """A smooth picture with some grain."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = rng.integers(-9, 10, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(small) + grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reason_of(source: object, max_pixels: int = MANY) -> str:
    with pytest.raises(UnreadablePicture) as caught:
        open_rgb(source, max_pixels)  # type: ignore[arg-type]
    return caught.value.reason


def png_header(width: int, height: int) -> bytes:
    """A PNG of any size whose pixels were never written: nothing may try to decode it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True})])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_plain_pictures_are_those_of_pillow(tmp_path: Path, kind: str, options: dict, mode: str) -> None:
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(encoded(photo().convert(mode), kind, **options))
    expected = np.asarray(Image.open(path).convert("RGB"))
    with path.open("rb") as stream:
        for source in (path, str(path), path.read_bytes(), stream):
            pixels = open_rgb(source, MANY)
            assert pixels.dtype == np.uint8
            np.testing.assert_array_equal(pixels, expected)
    assert pixels.flags.writeable  # torch warns about memory that it may not write to


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF"])
def test_other_formats(kind: str) -> None:
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow was built without {kind}")
    data = encoded(photo(), kind)
    np.testing.assert_array_equal(open_rgb(data, MANY), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


def test_cmyk_palette_bits_and_lab() -> None:
    for mode, kind in [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG"), ("1", "PNG"), ("YCbCr", "JPEG")]:
        data = encoded(photo().convert(mode), kind)
        np.testing.assert_array_equal(open_rgb(data, MANY), np.asarray(Image.open(BytesIO(data)).convert("RGB")))
    grey = Image.merge("LAB", [Image.new("L", (4, 4), level) for level in (136, 128, 128)])  # L* = 53: middle grey
    pixels = open_rgb(encoded(grey, "TIFF"), MANY)
    assert np.abs(pixels.astype(int) - 127).max() < 6


def test_transparency_lies_over_white() -> None:
    alpha = np.tile(np.linspace(0, 255, 70).astype(np.uint8), (50, 1))
    colours = np.asarray(photo())
    share = alpha[:, :, None] / 255
    expected = colours * share + 255 * (1 - share)
    rgba = Image.fromarray(np.dstack([colours, alpha]))
    for data in (
        encoded(rgba, "PNG"),
        encoded(rgba, "TIFF"),
        encoded(rgba, "WEBP", lossless=True, exact=True),
    ):
        assert np.abs(open_rgb(data, MANY) - expected).max() <= 1
    grey_alpha = open_rgb(encoded(rgba.convert("LA"), "PNG"), MANY)
    assert (grey_alpha[:, 0] == 255).all()
    np.testing.assert_array_equal(grey_alpha[:, -1, 0], np.asarray(rgba.convert("L"))[:, -1])


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    opaque = photo()
    opaque.putalpha(255)
    np.testing.assert_array_equal(open_rgb(encoded(opaque, "PNG"), MANY), np.asarray(photo()))


def test_a_transparent_palette_entry_and_a_transparent_colour_are_white() -> None:
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([0, 0, 0, 200, 10, 30])
    palette.putpixel((0, 0), 0)
    for data in (
        encoded(palette, "GIF", transparency=0),
        encoded(palette, "PNG", transparency=bytes([0, 255])),
    ):
        pixels = open_rgb(data, MANY)
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert pixels[1, 1].tolist() == [200, 10, 30]
    keyed = Image.new("RGB", (2, 1), (1, 2, 3))
    keyed.putpixel((1, 0), (9, 9, 9))
    pixels = open_rgb(encoded(keyed, "PNG", transparency=(1, 2, 3)), MANY)
    assert pixels.tolist() == [[[255, 255, 255], [9, 9, 9]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    ramp = np.array([[0, 128, 257 * 60, 257 * 128, 257 * 254 + 129, 65535]], dtype=np.uint16)
    pixels = open_rgb(encoded(Image.fromarray(ramp), kind), MANY)
    assert pixels[0, :, 0].tolist() == [0, 0, 60, 128, 255, 255]
    assert (pixels == pixels[:, :, :1]).all()


def test_sixteen_bits_in_thirty_two() -> None:
    ramp = np.array([[-5, 0, 257 * 60, 65535]], dtype=np.int32)
    assert open_rgb(encoded(Image.fromarray(ramp), "TIFF"), MANY)[0, :, 0].tolist() == [0, 0, 60, 255]
    wide = np.array([[0, 2**30, 2**31 - 1]], dtype=np.int32)
    assert open_rgb(encoded(Image.fromarray(wide), "TIFF"), MANY)[0, :, 0].tolist() == [0, 128, 255]


def test_floats_are_read_in_either_range_and_nan_is_black() -> None:
    unit = np.array([[0, 0.5, 1, np.nan]], dtype=np.float32)
    assert open_rgb(encoded(Image.fromarray(unit), "TIFF"), MANY)[0, :, 0].tolist() == [0, 128, 255, 0]
    levels = np.array([[-3, 60.4, 255, np.inf]], dtype=np.float32)
    assert open_rgb(encoded(Image.fromarray(levels), "TIFF"), MANY)[0, :, 0].tolist() == [0, 60, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    first, second = Image.new("RGB", (8, 6), (255, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 255))
    data = encoded(first, kind, save_all=True, append_images=[second])
    assert np.abs(open_rgb(data, MANY).astype(int) - (255, 0, 0)).max() <= 3


# JPEG XL of 8 x 8 pixels in one colour, as libjxl codes it, and an animation of three
STILL = bytes.fromhex("ff0a414024080401003c004b188b15805dd4ff00223053aa0924")
ANIMATED = bytes.fromhex(
    "ff0a41044d002026080401003c004b188b15805dd4ff00223053aa0924080401003c004b188b15805dd4ff000e03abaa0924"
    "080405003c004b188b15805dd4ff002203abaa0924"
)


@pytest.mark.parametrize("boxes", [False, True])
def test_an_animated_jpeg_xl_is_refused(boxes: bool) -> None:
    """What reads it would give the last frame."""
    pytest.importorskip("pillow_jxl", reason="pip install 'rine[heif]'")

    def file(codestream: bytes) -> bytes:
        head = bytes.fromhex("0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20")
        return head + struct.pack(">I", 8 + len(codestream)) + b"jxlc" + codestream if boxes else codestream

    assert open_rgb(file(STILL), MANY)[0, 0].tolist() == [200, 0, 0]
    assert reason_of(file(ANIMATED)) == "an animated JPEG XL; allowed: one of a single picture"


def test_the_exif_orientation_of_a_jpeg_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    data = encoded(photo(), "JPEG", exif=exif)
    assert open_rgb(data, MANY).shape == (50, 70, 3)
    np.testing.assert_array_equal(open_rgb(data, MANY), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_is_found(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(photo((200, 160)), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: int(len(data) * share)])
    assert reason_of(path)
    with pytest.raises(UnreadablePicture, match=re.escape(str(path))):
        open_rgb(path, MANY)


def test_truncation_is_called_so() -> None:
    assert "cut short" in reason_of(encoded(photo(), "JPEG")[:-200])


def test_broken_pixels_and_headers() -> None:
    data = bytearray(encoded(photo(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert reason_of(bytes(data))
    assert reason_of(b"\xff\xd8\xff\xe0" + b"rubbish" * 9)
    assert reason_of(b"BM" + b"\xff" * 60)
    assert reason_of(b"GIF89a" + b"\xff" * 5)


def test_noise_in_any_header_is_a_reason_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    files = [encoded(photo(), kind) for kind in ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM", "JPEG2000")]
    for data in files:
        for _ in range(15):
            broken = bytearray(data)
            for place in rng.integers(2, min(len(data), 200), size=6):
                broken[place] = rng.integers(256)
            try:
                pixels = open_rgb(bytes(broken), 10**6)
            except UnreadablePicture as error:
                assert error.reason  # noqa: PT017 - either outcome is right, another exception is not
            else:
                assert pixels.ndim == 3


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    text, empty, folder = tmp_path / "text.jpg", tmp_path / "empty.png", tmp_path / "folder.jpg"
    text.write_text("This is no picture.")
    empty.write_bytes(b"")
    folder.mkdir()
    assert "not a picture in a format that is read (JPEG, PNG" in reason_of(text)
    assert reason_of(empty) == "the file is empty"
    assert reason_of(b"") == "the file is empty"
    assert "folder" in reason_of(folder)
    assert "No such file" in reason_of(tmp_path / "missing.jpg")
    assert reason_of("nul\0l.jpg")
    assert "too long" in reason_of(tmp_path / ("x" * 5000))


def test_documents_and_drawings_are_never_interpreted() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    for data in (eps, svg, b"%PDF-1.7\n"):
        assert "not a picture in a format" in reason_of(data)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason_of(tmp_path / "pipe.jpg") == "not a regular file"


def test_size_is_checked_before_pixels_are_decoded() -> None:
    assert reason_of(png_header(30_000, 30_000)) == "more than the 100,000,000 pixels that are allowed"
    assert reason_of(png_header(11, 10), max_pixels=100) == "11 x 10 pixels are more than the 100 that are allowed"
    assert "pixels are more than" not in reason_of(png_header(11, 10), max_pixels=110)  # its pixels are missing
    assert open_rgb(encoded(photo((10, 10)), "PNG"), 100).shape == (10, 10, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"])
def test_settings_of_the_process_make_no_difference(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    data = encoded(photo(), kind)
    expected = open_rgb(data, MANY)
    for limit in (1, 70 * 50 - 1, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        np.testing.assert_array_equal(open_rgb(data, MANY), expected)
        assert reason_of(data[: len(data) // 2])
        assert "more than" in reason_of(data, max_pixels=70 * 50 - 1)
        assert limit == Image.MAX_IMAGE_PIXELS
        assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_warnings_of_pillow_stay_inside_and_filters_are_left_alone() -> None:
    data = bytearray(encoded(photo(), "TIFF", description="a description long enough to lie elsewhere"))
    entry = data.index(struct.pack("<HH", 270, 2))
    data[entry + 4 : entry + 8] = struct.pack("<I", 2**20)  # a tag that claims to be longer than the file
    with pytest.warns(UserWarning, match="larger than file"):
        Image.open(BytesIO(data)).load()
    before = list(warnings.filters)
    np.testing.assert_array_equal(open_rgb(bytes(data), MANY), np.asarray(photo()))  # here warnings are errors
    assert list(warnings.filters) == before


def test_many_threads_leave_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345)
    before = list(warnings.filters)
    good, bad = encoded(photo(), "JPEG"), encoded(photo(), "JPEG")[:-300]
    failures: list[object] = []

    def work() -> None:
        for _ in range(20):
            if open_rgb(good, MANY).shape != (50, 70, 3):
                failures.append("shape")
            try:
                open_rgb(bad, MANY)
                failures.append("not found")
            except UnreadablePicture:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert Image.MAX_IMAGE_PIXELS == 12_345
    assert list(warnings.filters) == before


def test_the_error_survives_the_way_back_from_a_worker() -> None:
    # multiprocessing sends exceptions by pickle, and one that cannot be rebuilt breaks the pool
    error = pickle.loads(pickle.dumps(UnreadablePicture("a.jpg", "the file is empty")))
    assert (error.path, error.reason, str(error)) == (
        "a.jpg",
        "the file is empty",
        "a.jpg: the file is empty",
    )


def test_a_phones_heic_is_read() -> None:
    """By pillow-heif, where it is there; its size is known before it is decoded."""
    heif = pytest.importorskip("pillow_heif", reason="pip install 'rine[heif]'")
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC)
    out = BytesIO()
    heif.from_pillow(image).save(out, quality=95)
    pixels = open_rgb(out.getvalue(), 10_000)
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - np.asarray(image)).mean() < 10  # colour is coded at half the size
    assert bounds.announced(BytesIO(out.getvalue())) >= 48 * 64
    with pytest.raises(UnreadablePicture, match="more than the"):
        open_rgb(out.getvalue(), 100)
    with pytest.raises(UnreadablePicture, match="cannot be decoded"):
        open_rgb(out.getvalue()[:-200], 10_000)


@pytest.mark.parametrize("how", [{}, {"lossless": True, "use_container": True}], ids=["bare", "boxes"])
def test_jpeg_xl_is_read(how: dict[str, bool]) -> None:
    """By pillow-jxl-plugin, which decodes what it opens: its size is known before that, and cuts are refused."""
    pytest.importorskip("pillow_jxl.JpegXLImagePlugin", reason="pip install 'rine[heif]'")
    for size in ((70, 50), (64, 48), (300, 200), (9, 700)):
        data = encoded(photo().resize(size), "JXL", **how)
        assert bounds.announced(BytesIO(data)) == size[0] * size[1]
    data = encoded(photo(), "JXL", **how)
    pixels = open_rgb(data, MANY)
    assert pixels.shape == (50, 70, 3)
    assert np.abs(pixels.astype(int) - np.asarray(photo())).mean() < (1e-9 if "lossless" in how else 10)
    if how:  # the size is that of the codestream, not of bytes before it that look like one
        box = b"free" + bytes(70_000) + b"\xff\x0a\x41\0\0\0"
        data = data[:32] + (len(box) + 4).to_bytes(4) + box + data[32:]
        assert open_rgb(data, MANY).shape == (50, 70, 3)
    with pytest.raises(UnreadablePicture, match="more than the 3,499 pixels"):
        open_rgb(data, 3_499)
    for share in (0.02, 0.15, 0.4, 0.7, 0.97):
        with pytest.raises(UnreadablePicture, match=r"not a picture|header is broken"):
            open_rgb(data[: int(len(data) * share)], MANY)
