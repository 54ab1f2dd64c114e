"""Image stacks."""

import os
import struct

import numpy as np
from PIL import Image
import pytest
import tifffile

from ffn_tf import volume

Box = volume.Box
# More than 10 sections, so that a sort by letters would be another order.
VOXELS = np.arange(12 * 7 * 9, dtype=np.uint16).reshape(12, 7, 9)


def save(path, section):
    if path.suffix == ".png":
        Image.fromarray(section).save(path)
    else:
        tifffile.imwrite(path, section)


@pytest.fixture(params=[".png", ".tif"])
def folder(request, tmp_path):
    for z, section in enumerate(VOXELS):
        save(tmp_path / f"em_{z}{request.param}", section)
    (tmp_path / "notes.txt").write_text("not a section")
    (tmp_path / f".hidden{request.param}").write_text("not a section either")
    return tmp_path


def name_of(folder, z):
    return next(folder.glob(f"em_{z}.*"))


def test_a_folder_of_slices(folder):
    with volume.open(str(folder)) as stack:
        assert stack.domain == Box.from_shape(VOXELS.shape)
        assert stack.dtype == np.uint16
        assert stack.info.chunk_zyx == (1, 7, 9)
        np.testing.assert_array_equal(stack.read(), VOXELS)
        box = Box((8, 2, 3), (12, 5, 9))
        np.testing.assert_array_equal(stack.read(box), VOXELS[box.slices])
        assert stack.read(Box((3, 3, 3), (3, 3, 3))).shape == (0, 0, 0)


@pytest.mark.parametrize(
    "names",
    [
        ("em_998", "em_999", "em_1000"),
        ("a2_z007_v1", "a2_z008_v1", "a2_z009_v1"),
        ("w1_s9", "w1_s11", "w2_s1"),
        ("thumbnail",),
    ],
    ids=str,
)
def test_the_number_that_counts(names, tmp_path):
    """It may begin anywhere; of several that vary, none is known to count."""
    for z, name in enumerate(names):
        save(tmp_path / f"{name}.tif", VOXELS[z])
    with volume.open(str(tmp_path)) as stack:
        np.testing.assert_array_equal(stack.read(), VOXELS[: len(names)])


@pytest.mark.parametrize(
    "names, message",
    [
        (("em_0", "em_1", "em_3", "em_7", "em_8"), "without 2, 4 to 6[.] All"),
        (("em_002", "em_004"), "from 2 to 4 without 3"),
        (("em_1", "em_01", "em_2"), r"em_1\.png: the same number as em_01"),
        (("em_0", "em_1", "thumbnail"), r"thumbnail\.png: 1 of 3 names differ"),
        (("em_0", "em_1", "mask_1"), r"mask_1\.png: .* from em_0\.png in more"),
        (("a", "b"), r"name sections alike: em_001\.png"),
    ],
    ids=str,
)
def test_sections_that_would_be_in_a_wrong_place(names, message, tmp_path):
    for z, name in enumerate(names):
        save(tmp_path / f"{name}.png", VOXELS[z])
    with pytest.raises(ValueError, match=message):
        volume.open(str(tmp_path))


def test_a_long_list_of_missing_sections_is_short(tmp_path):
    for z in range(12):
        save(tmp_path / f"em_{z * 10**9}.png", VOXELS[z])
    with pytest.raises(ValueError, match="sections are missing") as caught:
        volume.open(str(tmp_path))
    assert len(str(caught.value)) < 500
    assert "4000000001 to 4999999999, ..." in str(caught.value)


def test_a_tiff_that_viewers_show_as_its_negative(tmp_path):
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, VOXELS, photometric="miniswhite")
    with pytest.raises(ValueError, match=r"em\.tif: .*0 is white.*~tifffile"):
        volume.open(str(path))
    mask = VOXELS % 3 == 0
    tifffile.imwrite(path, mask, photometric="miniswhite")
    with volume.open(str(path)) as stack:
        np.testing.assert_array_equal(stack.read(), mask)


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.uint16, np.int32, np.float32]
)
def test_png_and_tiff_dtypes(dtype, tmp_path):
    section = VOXELS[0].astype(dtype)
    kinds = [".tif"]
    if dtype in (bool, np.uint8, np.uint16):
        kinds.append(".png")
    for kind in kinds:
        (tmp_path / kind).mkdir()
        save(tmp_path / kind / f"a{kind}", section)
        with volume.open(str(tmp_path / kind)) as stack:
            assert stack.dtype == dtype
            np.testing.assert_array_equal(stack.read()[0], section)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"imagej": True},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"bigtiff": True, "compression": "zlib"},
        {"tile": (16, 16)},
    ],
    ids=str,
)
def test_a_multi_page_tiff(options, tmp_path):
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, VOXELS, photometric="minisblack", **options)
    with volume.open(str(path)) as stack:
        assert stack.dtype == np.dtype("=u2")
        np.testing.assert_array_equal(stack.read(), VOXELS)
        box = Box((8, 2, 3), (12, 5, 9))
        np.testing.assert_array_equal(stack.read(box), VOXELS[box.slices])


def test_imagej_lists_only_the_first_page_of_a_large_stack(tmp_path):
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, VOXELS, imagej=True)
    with tifffile.TiffFile(path) as tiff:
        first, layout, order = tiff.pages[0], tiff.tiff, tiff.byteorder
    data = bytearray(path.read_bytes())
    at = first.offset + layout.tagnosize
    at += len(first.tags) * layout.tagsize
    assert struct.unpack(f"{order}I", data[at : at + 4])[0] > 0
    data[at : at + 4] = bytes(4)  # where the next page is
    path.write_bytes(data)
    with volume.open(str(path)) as stack:
        np.testing.assert_array_equal(stack.read(), VOXELS)
    path.write_bytes(data[: first.dataoffsets[0] + VOXELS.nbytes - 1])
    with pytest.raises(OSError, match=r"em\.tif"):
        volume.open(str(path))


def test_one_page(tmp_path):
    tifffile.imwrite(tmp_path / "em.tif", VOXELS[0])
    with volume.open(f"{tmp_path}/em.tif") as stack:
        np.testing.assert_array_equal(stack.read(), VOXELS[:1])


@pytest.mark.parametrize("filled", [False, True], ids=["cut", "zeros"])
@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "zlib"}, {"bigtiff": True}, {"imagej": True}],
    ids=str,
)
def test_a_broken_copy_loses_no_page_silently(options, filled, tmp_path):
    """Cut off; or with a tail of zeros, as if it took its room first."""
    path = tmp_path / "em.tif"
    noise = np.random.default_rng(0).integers(0, 255, (12, 40, 50), np.uint8)
    tifffile.imwrite(path, noise, photometric="minisblack", **options)
    whole = path.read_bytes()
    sizes = np.linspace(0, len(whole) - 1, 29).astype(int).tolist()
    refused = 0
    for size in [*sizes, 20, 50, 200]:
        tail = bytes(len(whole) - size) if filled else b""
        path.write_bytes(whole[:size] + tail)
        try:
            with volume.open(str(path)) as stack:
                voxels = stack.read()
        except OSError as error:
            assert "em.tif" in str(error)
            refused += 1
        else:  # Nothing that matters was cut off.
            np.testing.assert_array_equal(voxels, noise)
    assert refused >= 29


def test_a_section_of_another_size_or_dtype(folder):
    path = name_of(folder, 11)
    save(path, VOXELS[0, :, :-1])
    with pytest.raises(ValueError) as caught:
        volume.open(str(folder))
    assert str(path) in str(caught.value)
    assert "found (7, 8) pixels" in str(caught.value)
    assert "expected (7, 9) of uint16" in str(caught.value)
    save(path, VOXELS[0].astype(np.uint8))
    with pytest.raises(ValueError, match=r"pixels .* of uint8"):
        volume.open(str(folder))


def test_colour(folder):
    path = name_of(folder, 3)
    colour = np.zeros((7, 9, 3), np.uint8)
    if path.suffix == ".png":
        Image.fromarray(colour).save(path)
    else:
        tifffile.imwrite(path, colour, photometric="rgb")
    with pytest.raises(ValueError, match=r"em_3.*one grey value per pixel"):
        volume.open(str(folder))


@pytest.mark.parametrize("mode", ["LA", "P", "RGBA"])
def test_png_modes_that_are_not_grey(mode, tmp_path):
    Image.new("RGBA", (9, 7)).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="one grey value per pixel"):
        volume.open(str(tmp_path))


def test_colour_pages(tmp_path):
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, np.zeros((4, 7, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(ValueError, match="one grey value per pixel"):
        volume.open(str(path))


def test_pages_of_different_sizes(tmp_path):
    path = tmp_path / "em.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(VOXELS[0])
        writer.write(VOXELS[0, :-1])
    with pytest.raises(ValueError, match=r"em\.tif: expected pages of one siz"):
        volume.open(str(path))


def test_several_page_axes(tmp_path):
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, np.zeros((2, 3, 7, 9), np.uint8), imagej=True)
    with pytest.raises(ValueError, match="found axes ZCYX"):
        volume.open(str(path))


def test_a_stack_among_slices(folder):
    path = name_of(folder, 5)
    if path.suffix == ".png":
        tifffile.imwrite(folder / "em.tif", VOXELS)
        message = "both PNG and TIFF"
    else:
        tifffile.imwrite(path, VOXELS, photometric="minisblack")
        message = "em_5.tif: a TIFF of 12 pages"
    with pytest.raises(ValueError, match=message):
        volume.open(str(folder))


def test_files_that_are_not_what_they_are_called(folder):
    path = name_of(folder, 2)
    path.write_bytes(b"this is no image at all")
    with pytest.raises(OSError, match=r"em_2\."):
        volume.open(str(folder))


def test_a_damaged_section_is_named_when_it_is_read(folder):
    path = name_of(folder, 2)
    os.truncate(path, path.stat().st_size - 60)
    with pytest.raises(OSError, match=r"em_2\."):
        with volume.open(str(folder)) as stack:
            stack.read(Box((4, 0, 0), (6, 7, 9)))
            stack.read()


def test_a_flipped_bit_of_a_png_is_noticed(tmp_path):
    """Decoding alone does not look at the checksums."""
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    save(path, noise)
    whole = path.read_bytes()
    at = whole.index(b"IDAT") + 4
    for offset in (at + 300, at + 1000, at + 1900):
        data = bytearray(whole)
        data[offset] ^= 4
        path.write_bytes(data)
        with volume.open(str(tmp_path)) as stack:
            with pytest.raises(OSError, match=r"a\.png: not a whole PNG"):
                stack.read()


def test_read_only_and_missing(folder):
    with pytest.raises(ValueError, match="only read"):
        volume.open(str(folder), mode="r+")
    with pytest.raises(FileNotFoundError):
        volume.open(f"{folder}/nothing.tif")


def test_a_codec_that_is_not_installed(tmp_path):
    path = tmp_path / "em.tif"
    Image.fromarray(VOXELS[0].astype(np.uint8)).save(
        path, compression="tiff_lzw"
    )
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with volume.open(str(path)) as stack:
            with pytest.raises(OSError, match="pip install imagecodecs"):
                stack.read()
    else:
        with volume.open(str(path)) as stack:
            np.testing.assert_array_equal(
                stack.read()[0] % 256, VOXELS[0] % 256
            )
