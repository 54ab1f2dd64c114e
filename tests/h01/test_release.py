"""The small release, read as the true one is: gs://h01-release, unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf import info, volume
from ffn_tf.volume import access, failures
from h01 import layout, tissue
from h01.release import TRUNCATED

Box = volume.Box
METHODS = tuple(access.METHODS)
REGIONS = ("neuropil", "neuropil_small")


def opened(name, query=""):
    return volume.open(f"{tissue.DATASET}#{name}{query}")


def psnr(found, expected):
    error = found.astype(float) - expected
    return 10 * np.log10(255**2 / np.mean(error**2))


# -----------------------------------------------------------------------------
# What volumes say of themselves
# -----------------------------------------------------------------------------


@pytest.mark.usefixtures("h01")
def test_the_em_is_that_of_the_release():
    found = info.run(f"{tissue.DATASET}#em")
    assert found["size_zyx"] == [5293, 712800, 1031784]
    assert found["gigabytes"] == 3.89e6
    assert found["dtype"] == "uint8" and found["kind"] == "image"
    assert found["chunk_zyx"] == [16, 128, 128]
    sizes = found["scales_nm"]
    assert len(sizes) == 13
    assert sizes[:6] == [
        [33, 4, 4],
        [33, 8, 8],
        [33, 16, 16],
        [33, 32, 32],
        [66, 64, 64],
        [132, 128, 128],
    ]
    for mip, (size, chunk) in enumerate(
        [
            ((5293, 712800, 1031784), (16, 128, 128)),
            ((5293, 356400, 515892), (32, 128, 128)),
            ((5293, 178200, 257946), (64, 128, 128)),
            ((5293, 89100, 128973), (64, 64, 64)),
            ((2647, 44550, 64487), (64, 64, 64)),
        ]
    ):
        with opened("em", f"?mip={mip}") as em:
            assert em.domain == Box.from_shape(size)
            assert em.info.chunk_zyx == chunk


@pytest.mark.usefixtures("h01")
@pytest.mark.parametrize("name", layout.VOLUMES)
def test_info_of_each_volume(name):
    found = info.run(f"{tissue.DATASET}#{name}")
    planned = layout.VOLUMES[name]
    assert planned.path in found["address"] or name in found["address"]
    assert (
        tuple(found["voxel_size_nm"])
        == {
            (1, 1, 1): (33, 4, 4),
            (1, 2, 2): (33, 8, 8),
            (2, 16, 16): (66, 64, 64),
        }[planned.by_zyx]
    )
    assert found["kind"] == planned.kind
    assert len(found["scales_nm"]) == planned.num_scales
    for method in METHODS:
        with opened(name, f"?access={method}") as other:
            assert other.served.method == method
            assert list(other.domain.size) == found["size_zyx"]
            assert other.info.kind == planned.kind


@pytest.mark.usefixtures("h01")
@pytest.mark.parametrize(
    "address",
    [
        "precomputed://gs://h01-release/data/20210601/c3",
        "gs://h01-release/data/20210601/c3",
        "gs://h01-release/data/20210601/c3/|neuroglancer-precomputed:",
    ],
)
def test_addresses_without_the_dataset(address):
    with volume.open(address) as found, opened("c3") as expected:
        assert found.info == expected.info
        box = Box.from_size((2614, 201728, 271360), (3, 5, 7))
        np.testing.assert_array_equal(found.read(box), expected.read(box))


# -----------------------------------------------------------------------------
# Voxels
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("name", ["c3", "c2", "proofread_104", "synapses"])
def test_labels_are_what_was_written_by_every_method(h01, name, region):
    box = h01.tissue.blocks[region]
    expected = h01.tissue.of_block(region, h01.tissue.voxels(name))
    for method in METHODS:
        with opened(name, f"?access={method}") as labels:
            np.testing.assert_array_equal(labels.read(box), expected)
    assert expected.any()
    if name == "c3":
        assert expected.max() > 2**32


@pytest.mark.parametrize("region", REGIONS)
def test_the_em_by_every_method(h01, region):
    box = h01.tissue.blocks[region]
    expected = h01.tissue.of_block(region, h01.tissue.image)
    for name, query in (("em", "resolution_nm=33,8,8"), ("em_8nm", "mip=0")):
        found = []
        for method in METHODS:
            with opened(name, f"?{query}&access={method}") as em:
                assert em.voxel_size_nm == (33, 8, 8)
                found.append(em.read(box))
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])
        right = psnr(found[0], expected)
        assert right > 35
        # A voxel further is another image.
        assert psnr(found[0][1:], expected[:-1]) < right - 3
        assert psnr(found[0][:, 1:], expected[:, :-1]) < right - 3
        assert psnr(found[0][..., 1:], expected[..., :-1]) < right - 3


def test_the_em_of_4_nm_lies_over_that_of_8(h01):
    box = h01.tissue.blocks["neuropil"]
    with opened("em") as em:
        fine = em.read(box.scaled((1, 2, 2), (1, 1, 1)))
    assert fine.shape == (64, 256, 256)
    assert psnr(fine[:, ::2, ::2], h01.tissue.image) > 30


@pytest.mark.parametrize("name", ["subcompartments", "tissue"])
def test_coarse_labels_lie_over_the_fine_ones(h01, name):
    box = h01.tissue.blocks["neuropil"].scaled((1, 1, 1), (2, 8, 8))
    found = []
    for method in METHODS:
        with opened(name, f"?access={method}") as labels:
            found.append(labels.read(box))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    # The most frequent of a cell is what its first voxel has, mostly.
    first = h01.tissue.voxels(name)[::2, ::8, ::8]
    assert (found[0] == first).mean() > 0.7
    assert set(np.unique(found[0])) <= set(np.unique(first))


@pytest.mark.usefixtures("h01")
@pytest.mark.parametrize("name", ["cell_bodies", "blood_vessels"])
def test_what_is_background_only(name):
    box = Box.from_size((2614, 201728, 271360), (3, 5, 7))
    for method in METHODS:
        with opened(name, f"?access={method}") as labels:
            assert not labels.read(box).any()


@pytest.mark.parametrize("region", REGIONS)
def test_regions_lie_inside(h01, region):
    """In voxels of each volume, whatever its scale."""
    for name in layout.VOLUMES:
        with opened(name) as whole, opened(name, f"?region={region}") as part:
            assert whole.domain.contains(part.domain)
            by = np.divide(part.voxel_size_nm, (33, 8, 8))
            block = h01.tissue.blocks[region]
            first = np.floor(np.divide(block.start, by))
            np.testing.assert_array_equal(part.domain.start, first)
    with opened("c3", f"?region={region}") as part:
        expected = h01.tissue.of_block(region, h01.tissue.labels)
        np.testing.assert_array_equal(part.read(block), expected)


# -----------------------------------------------------------------------------
# What is wrong
# -----------------------------------------------------------------------------


@pytest.mark.usefixtures("h01")
@pytest.mark.parametrize("method", METHODS)
def test_a_truncated_jpeg_at_high_z(method):
    assert TRUNCATED.start[0] >= layout.TRUNCATED_FROM_Z
    with opened("em", f"?access={method}") as em:
        with pytest.raises(failures.CorruptError) as caught:
            em.read(TRUNCATED)
    # The shard, or the chunk by its voxels.
    assert "4_4_33/" in str(caught.value)
    with opened("em", f"?access={method}&tolerate=corrupt") as em:
        assert not em.read(TRUNCATED).any()
        (said,) = em.report()
    assert "1 damaged chunks, 262144 voxels" in said
    assert f"{TRUNCATED}" in said


@pytest.mark.usefixtures("h01")
def test_the_truncated_chunk_is_whole_in_the_next_scale():
    with opened("em", "?mip=1") as em:
        box = TRUNCATED.scaled((1, 1, 1), (1, 2, 2))
        assert em.read(box).std() > 10


@pytest.mark.usefixtures("h01")
@pytest.mark.parametrize("method", ["tensorstore", "cloudvolume", "gcsfs"])
def test_where_nothing_was_written(method):
    box = Box.from_size((100, 1000, 1000), (2, 3, 4))
    with opened("c3", f"?access={method}") as labels:
        with pytest.raises(OSError, match="is missing"):
            labels.read(box)
    with opened("c3", f"?access={method}&missing=zero") as labels:
        assert not labels.read(box).any()
