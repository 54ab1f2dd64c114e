"""Chunks and cloud-volume's codecs, which trust what they are given."""

import io
import sys

import numpy as np
from PIL import Image
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf.volume import address as address_lib
from ffn_tf.volume.formats import decoding, precomputed

chunks = pytest.importorskip("cloudvolume.chunks")

SIZE_XYZ = (11, 10, 9)  # No whole number of blocks along any axis.


def scale_of(encoding, dtype, channels=1) -> precomputed.Scale:
    info = {
        "type": "image",
        "data_type": dtype,
        "num_channels": channels,
        "scales": [
            {
                "key": "1_1_1",
                "encoding": encoding,
                "resolution": [1, 1, 1],
                "size": list(SIZE_XYZ),
                "chunk_sizes": [list(SIZE_XYZ)],
            }
        ],
    }
    return precomputed.scale_of(address_lib.parse("precomputed:///em"), info)


def encoded(folder, encoding, voxels) -> bytes:
    """The one chunk of `voxels` [x, y, z, channel], as TensorStore has it."""
    scale = {
        "size": voxels.shape[:3],
        "chunk_size": voxels.shape[:3],
        "resolution": [1, 1, 1],
        "encoding": encoding,
    }
    if encoding == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = [8, 8, 8]
    spec = volumes.precomputed(
        f"file://{folder}/", voxels.dtype, channels=voxels.shape[3], **scale
    )
    ts.open(spec, create=True).result().write(voxels).result()
    x, y, z, _ = voxels.shape
    return (folder / f"1_1_1/0-{x}_0-{y}_0-{z}").read_bytes()


def varied(dtype, channels=1, values=250) -> np.ndarray:
    """[x, y, z, channel], in which few voxels are like their neighbours."""
    count = np.prod(SIZE_XYZ) * channels
    numbers = np.arange(count) * 7 % values
    return numbers.astype(dtype).reshape(*SIZE_XYZ, channels)


def decoded(data, scale, channel=0):
    return decoding.decoded(data, scale, scale.info.domain, channel)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("raw", "uint8", 1),
        ("raw", "float32", 2),
        ("png", "uint8", 1),
        ("png", "uint8", 2),
        ("png", "uint8", 3),
        ("png", "uint8", 4),
        ("png", "uint16", 1),
        ("compressed_segmentation", "uint64", 1),
        ("compressed_segmentation", "uint32", 3),
    ],
)
def test_what_tensorstore_encoded(encoding, dtype, channels, tmp_path):
    voxels = varied(dtype, channels)
    scale = scale_of(encoding, dtype, channels)
    decoding.refuse_unreadable(scale)
    data = encoded(tmp_path, encoding, voxels)
    for channel in range(channels):
        found = decoded(data, scale, channel)
        np.testing.assert_array_equal(found, voxels[..., channel].T)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_and_the_order_of_colours(channels, tmp_path):
    voxels = varied("uint8", channels)
    data = encoded(tmp_path, "jpeg", voxels)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image).reshape(*SIZE_XYZ[::-1], channels)
    for channel in range(channels):
        found = decoded(data, scale_of("jpeg", "uint8", channels), channel)
        np.testing.assert_array_equal(found, expected[..., channel])


@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [
        ("raw", "uint8"),
        ("jpeg", "uint8"),
        ("png", "uint8"),
        ("compressed_segmentation", "uint32"),
        ("compressed_segmentation", "uint64"),
    ],
)
def test_a_truncated_chunk_is_an_error(encoding, dtype, tmp_path):
    """Unless only the checksums and the end mark of a png are cut off."""
    # Few ids and many: tables with and without an id for every index.
    for values in (3, 250, 900):
        if dtype == "uint8" and values > 255:
            continue
        data = encoded(
            tmp_path / str(values), encoding, varied(dtype, 1, values)
        )
        scale = scale_of(encoding, dtype)
        whole = decoded(data, scale)
        cuts = np.linspace(0, len(data) - 1, 60, dtype=int)
        refused = 0
        for length in sorted({*cuts, len(data) - 4, len(data) - 8}):
            try:
                found = decoded(data[:length], scale)
            except ValueError:
                refused += 1
            else:
                assert length >= len(data) - 20
                np.testing.assert_array_equal(found, whole)
        assert refused >= 40


def test_an_empty_chunk_is_not_zeros():
    with pytest.raises(ValueError, match="it is empty"):
        decoded(b"", scale_of("raw", "uint8"))


def test_another_type_than_the_volume_s():
    buffer = io.BytesIO()
    x, y, z = SIZE_XYZ
    Image.fromarray(np.zeros((y * z, x), np.uint16)).save(buffer, "png")
    with pytest.raises(ValueError, match="holds uint16, not uint8"):
        decoded(buffer.getvalue(), scale_of("png", "uint8"))


# One block of 2 x 1 x 1 voxels: its header, an index word, a table of two ids.
BLOCK = (2, 1, 1)


def segmentation(*words: int) -> bytes:
    return np.array(words, "<u4").tobytes()


def check(data: bytes, dtype=np.uint32) -> None:
    decoding.check_segmentation(data, (2, 1, 1, 1), np.dtype(dtype), BLOCK)


def test_segmentation_word_by_word():
    #                channel, table 3 and 1 bit, indices at 2, {0, 1}, ids
    good = segmentation(1, 3 | 1 << 24, 2, 0b10, 50, 60)
    check(good)
    found = chunks.decode(
        good, "compressed_segmentation", (2, 1, 1, 1), np.uint32, BLOCK
    )
    assert found.ravel().tolist() == [50, 60]
    # Both voxels are of the first id: the table may end with it.
    check(segmentation(1, 3 | 1 << 24, 2, 0b00, 50))
    # No index at all: one id.
    check(segmentation(1, 2, 0, 50))
    # Ids of 64 bits take two words.
    check(segmentation(1, 3 | 1 << 24, 2, 0b00, 50, 0), np.uint64)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no whole number"),
        ([1], "1 blocks expected"),
        ([9, 2, 0, 50], "1 blocks expected"),
        ([1, 2 | 3 << 24, 2, 0, 50], "unknown size"),
        ([1, 3 | 1 << 24, 9, 0b10, 50, 60], "indices are missing"),
        ([1, 3 | 1 << 24, 2**32 - 1, 0b10, 50, 60], "indices are missing"),
        ([1, 3 | 1 << 24, 2, 0b10, 50], "ids are missing"),
        ([1, 2, 0], "ids are missing"),
        ([1, 9, 0, 50], "ids are missing"),
    ],
)
def test_segmentation_that_points_outside(words, told):
    with pytest.raises(ValueError, match=told):
        check(segmentation(*words))


def test_ids_of_64_bits_need_both_words():
    with pytest.raises(ValueError, match="ids are missing"):
        check(segmentation(1, 3 | 1 << 24, 2, 0b00, 50), np.uint64)
    with pytest.raises(ValueError, match="no whole number"):
        check(segmentation(1, 2, 0, 50, 0)[:-1], np.uint64)


def test_flipped_bits_never_end_the_process(tmp_path):
    """They pass unseen, or are an error; the codec alone reads anywhere."""
    data = encoded(tmp_path, "compressed_segmentation", varied("uint64"))
    scale = scale_of("compressed_segmentation", "uint64")
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.integers(8 * len(data), size=500):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            decoded(bytes(damaged), scale)
        except ValueError:
            refused += 1
    assert 0 < refused < 500


def test_what_cannot_be_read_is_said_beforehand():
    for encoding, dtype, channels, told in (
        ("no such", "uint8", 1, "not known to cloud-volume"),
        ("jxl", "uint8", 3, "mixes the channels up"),
        ("png", "uint16", 2, "8 bits or one channel"),
    ):
        with pytest.raises(OSError, match=told):
            decoding.refuse_unreadable(scale_of(encoding, dtype, channels))


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setitem(chunks.NEEDS_INSTALL, "crackle", "crackle-codec")
    with pytest.raises(OSError, match="pip install crackle-codec"):
        decoding.refuse_unreadable(scale_of("crackle", "uint64"))
    monkeypatch.setitem(sys.modules, "cloudvolume", None)
    with pytest.raises(OSError, match="pip install cloud-volume"):
        decoding.refuse_unreadable(scale_of("raw", "uint8"))
