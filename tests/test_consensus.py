"""The program consensus; the rule is in tests/assembly/test_consensus.py."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf import consensus, volume
from ffn_tf.assembly import consensus as rule
from ffn_tf.inference import subvolume

SIZE_NM = (40, 8, 4)


@pytest.fixture
def two(tmp_path):
    """Addresses of two segmentations that lie partly over each other."""
    rng = np.random.default_rng(0)
    addresses = []
    for name, start, ids in (("first", 0, 5), ("second", 3, 4)):
        coarse = rng.integers(0, ids, (4, 5, 6)).astype(np.uint32)
        labels = coarse.repeat(4, 0).repeat(5, 1).repeat(6, 2)
        info = volume.VolumeInfo(
            volume.Box.from_size((start,) * 3, labels.shape),
            labels.dtype,
            SIZE_NM,
        )
        address = f"zarr://{tmp_path}/{name}"
        with volume.create(address, info) as made:
            made.write(info.domain, labels)
        addresses.append(address)
    return addresses


def options(two, output, **changes):
    return consensus.Options(
        segmentation1=two[0],
        segmentation2=two[1],
        output=str(output),
        **{"split_min_size": 400} | changes,
    )


def test_run(two, tmp_path):
    output = f"precomputed://{tmp_path}/agreed"
    summary = consensus.run(options(two, output))
    with volume.open(two[0]) as first, volume.open(two[1]) as second:
        box = first.domain.clipped(second.domain)
        pair = first.read(box), second.read(box)
    expected = rule.split(volume.contingency.count(*pair), 400)
    with volume.open(output) as found:
        assert found.domain == box
        assert found.voxel_size_nm == SIZE_NM
        assert found.info.kind == "segmentation"
        np.testing.assert_array_equal(found.read(), expected.of(*pair))
        assert found.attributes["program"] == "ffn_tf.consensus"
    assert (summary.kept, summary.split, summary.dropped) == (
        expected.kept,
        expected.split,
        expected.dropped,
    )
    assert min(expected.kept, expected.split, expected.dropped) > 0


def test_command_line(two, tmp_path, command):
    output = f"zarr://{tmp_path}/agreed"
    line = [
        "consensus",
        f"--segmentation1={two[0]}",
        f"--segmentation2={two[1]}",
        f"--output={output}",
    ]
    ran = command(*line)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"Wrote {output}: ")
    again = command(*line)
    assert again.stdout.startswith(f"Wrote nothing: {output} is complete")
    other = command(*line, "--split_min_size=7")
    assert other.returncode == 1
    assert "split_min_size: 1000, now 7" in other.stderr


def test_results_of_run_inference(two, tmp_path):
    with volume.open(two[0]) as first:
        voxels, box = first.read(), first.domain
    subvolume.save(tmp_path / "run", subvolume.Subvolume(box, voxels))
    pair = (str(tmp_path / "run"), two[0])
    consensus.run(options(pair, tmp_path / "agreed.npy", split_min_size=0))
    with volume.open(str(tmp_path / "agreed.npy")) as found:
        np.testing.assert_array_equal(found.read(), voxels)


def test_nothing_in_common(two, tmp_path):
    np.save(tmp_path / "far.npy", np.ones((2, 2, 2), np.uint8))
    pair = (str(tmp_path / "far.npy"), two[1])
    with pytest.raises(ValueError, match="share no voxel"):
        consensus.run(options(pair, tmp_path / "agreed.npy"))


def test_voxels_of_other_sizes(two, tmp_path):
    info = volume.VolumeInfo(
        volume.Box.from_shape((4, 4, 4)), np.dtype(np.uint8), (8, 8, 8)
    )
    other = f"zarr://{tmp_path}/other"
    with volume.create(other, info) as made:
        made.write(info.domain, np.ones((4, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="must have one voxel size"):
        consensus.run(options((other, two[1]), tmp_path / "agreed.npy"))


def test_a_size_below_0(two, tmp_path):
    with pytest.raises(ValueError, match="expected 0 or more voxels"):
        options(two, tmp_path / "agreed.npy", split_min_size=-1)
