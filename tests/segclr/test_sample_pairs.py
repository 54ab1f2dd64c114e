"""sample_pairs: the program."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.skeleton import Skeleton, swc
from segclr import sample_pairs
from segclr.sampling import records


def write_swc(folder, id_, count, step=100.0):
    x = np.arange(count) * step
    vertices = np.stack([0 * x + 1000, 0 * x + 50, x], axis=1)
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    folder.mkdir(exist_ok=True)
    one = Skeleton(id_, vertices, edges, np.full(count, 80.0))
    (folder / f"{id_}.swc").write_bytes(swc.encode(one))


@pytest.fixture
def skeletons(tmp_path):
    """One of 20 um, one of 5 um, one of 100 nm."""
    for id_, count in ((3, 201), (8, 51), (9, 2)):
        write_swc(tmp_path / "swc", id_, count)
    return tmp_path / "swc"


def options(folder, tmp_path, **changes):
    values = {
        "skeletons": str(folder),
        "output": f"{tmp_path}/pairs@3",
        "voxel_size_nm": (33.0, 32.0, 32.0),
        "buckets_um": (0.0, 2.6, 10.1),
    }
    return sample_pairs.Options(**(values | changes))


def read(folder):
    files = sorted(map(str, folder.glob("pairs-*")))
    messages = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    return files, tf.io.parse_example(messages, records.features())


def test_what_is_written(skeletons, tmp_path):
    summary = sample_pairs.run(options(skeletons, tmp_path))
    files, found = read(tmp_path)
    assert len(files) == 3
    assert (summary.skeletons, summary.without) == (2, 1)
    # A pair for each node and bucket: 41 nodes of one, 11 of the other, of
    # which none is 5 to 10 um from the middle.
    assert summary.counts[0] == 52
    assert 41 <= summary.counts[1] <= 52
    assert len(found["distance"]) == sum(summary.counts)
    ids, counts = np.unique(found["skeleton_id"], return_counts=True)
    assert ids.tolist() == [3, 8]
    assert counts[0] > 3 * counts[1]
    near = found["distance"].numpy() <= 2600
    assert near.sum() == summary.counts[0]
    apart = 32 * np.abs(
        found["center-0"].numpy()[:, 0] - found["center-1"].numpy()[:, 0]
    )
    np.testing.assert_allclose(apart, found["distance"], atol=33)
    # Shuffled, and spread over the files.
    assert (np.diff(found["skeleton_id"].numpy()) != 0).sum() > 10


def test_the_same_again(skeletons, tmp_path):
    first = options(skeletons, tmp_path)
    sample_pairs.run(first)
    files, _ = read(tmp_path)
    before = [pathlib.Path(path).read_bytes() for path in files]
    assert sample_pairs.run(first).was_there
    for path in files:
        pathlib.Path(path).unlink()
    sample_pairs.run(first)
    assert [pathlib.Path(path).read_bytes() for path in files] == before
    with pytest.raises(FileExistsError, match="not made of these options"):
        sample_pairs.run(options(skeletons, tmp_path, seed=1))


def test_command_line(skeletons, tmp_path, command):
    ran = command(
        "sample_pairs",
        f"--skeletons={skeletons}",
        f"--output={tmp_path}/pairs@2",
        "--voxel_size_nm=33,32,32",
        "--buckets_um=0,2.6,10.1",
        package="segclr",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    assert lines[0] == "2 skeletons have pairs, 1 are too short"
    assert lines[1] == "  0 to 2.6 um: 52 pairs"
    assert f"segclr.train --pairs={tmp_path}/pairs@2 --image" in lines[-1]
    told = json.loads((tmp_path / "pairs.json").read_text())
    assert told["options"]["spacing_nm"] == 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voxel_size_nm": (33.0, 0.0, 32.0)}, "--voxel_size_nm: expected"),
        ({"buckets_um": (1.0,)}, "--buckets_um: expected bounds"),
        ({"voxel_size_nm": (33.0, np.nan, 32.0)}, "--voxel_size_nm: expected"),
        ({"seed": -1}, "--seed: expected 0"),
        ({"pairs_per_node": np.inf}, "--pairs_per_node: expected more than 0"),
        ({"pairs_per_node": 0.0}, "--pairs_per_node: expected more than 0"),
        ({"spacing_nm": 0.0}, "--spacing_nm: expected more than 0"),
        ({"buckets_um": (50.0, 90.0)}, "no pairs. The longest of 3 .* 20.00"),
        ({"skeletons": "nothing"}, "no such file or folder"),
        ({"output": "gs://bucket/pairs"}, "--output"),
        ({"output": "pairs@x"}, "after @ comes the number of files"),
    ],
)
def test_bad_input(skeletons, tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=message):
        sample_pairs.run(options(skeletons, tmp_path, **changes))
    assert [p.name for p in tmp_path.iterdir()] == ["swc"]


def test_a_full_disk():
    with pytest.raises(OSError, match=r"^/dev/full: cannot be .*room on the d"):
        with records.Writer("/dev/full") as file:
            for _ in range(100):
                file.write(np.random.default_rng(0).bytes(100_000))


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match="nothing/pairs: cannot be written"):
        records.Writer(tmp_path / "nothing" / "pairs")
