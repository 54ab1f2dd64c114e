"""Slabs of whole sections, each chunk of the source read once."""

import tempfile

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume.streams import slabs

Box = volume.Box
VOXELS = np.arange(23 * 31 * 37, dtype=np.uint32).reshape(23, 31, 37)
START = (5, -6, 7)


def grown(unit, size, nm, limit, flat=False):
    info = volume.VolumeInfo(Box.from_shape(size), np.dtype(np.uint16), nm)
    return slabs.grown(unit, info, limit, flat=flat)


def test_grown():
    whole, cube = (1000, 1000, 1000), (4, 4, 4)
    assert grown((64, 64, 64), whole, cube, 2 * 2**18) == (64, 64, 64)
    assert grown((64, 64, 64), whole, cube, 2 * 2**21) == (128, 128, 128)
    assert grown((64, 64, 64), whole, cube, 2 * 2**21 - 1) == (128, 128, 64)
    # A unit that is larger than the limit is one.
    assert grown((64, 64, 64), whole, cube, 1) == (64, 64, 64)
    # Thick sections: first along y and x.
    assert grown((64, 64, 64), whole, (40, 4, 4), 2 * 2**22) == (64, 256, 256)
    # No larger than it must be.
    assert grown((64, 64, 64), (10, 99, 64), cube, 2**40) == (64, 128, 64)
    assert grown((8, 8, 8), whole, cube, 2**13, flat=True) == (8, 32, 16)
    assert grown((8, 8, 8), (99, 20, 9), cube, 2**14, flat=True) == (16, 32, 16)


@pytest.mark.parametrize("in_memory", [0, 2**30])
@pytest.mark.parametrize("chunk", [(1, 31, 37), (5, 6, 7), (64, 64, 64)])
def test_each_voxel_once(chunk, in_memory, counted, monkeypatch):
    monkeypatch.setattr(slabs, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(slabs, "_READ", 2**12)
    source, below = counted(VOXELS, START, chunk_zyx=chunk)
    slab = Box((9, -6, 7), (16, 25, 44))
    with slabs.read(source, slab) as found:
        assert found.domain == slab
        wanted = VOXELS[slab.relative_to(START).slices]
        np.testing.assert_array_equal(found.read(), wanted)
    assert below.num_voxels == slab.num_voxels


def test_a_function_sees_whole_sections(counted):
    source, _ = counted(VOXELS, START, chunk_zyx=(5, 6, 7))

    def least(box, voxels):
        assert box.size == voxels.shape == (1, 31, 37)
        return box, (voxels - voxels.min()).astype(np.uint16)

    dtype = np.dtype(np.uint16)
    with slabs.read(source, source.domain, dtype, least) as found:
        wanted = VOXELS - VOXELS.min(axis=(1, 2), keepdims=True)
        np.testing.assert_array_equal(found.read(), wanted)


def test_a_full_disk_is_an_error(counted, monkeypatch):
    """posix_fallocate asks for the room before a voxel is written."""
    monkeypatch.setattr(slabs, "_IN_MEMORY", 0)
    asked = []

    def full(handle, offset, size):
        asked.append(size)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    source, _ = counted(VOXELS, START)
    with pytest.raises(OSError, match="No space left"):
        slabs.read(source, source.domain)
    assert asked == [VOXELS.nbytes]
    assert tempfile.gettempdir()
