"""The program: google/ffn's flags and records, sharded, seeded, once."""

from __future__ import annotations

from collections import Counter
import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf import build_coordinates as program


@pytest.fixture
def partitions(tmp_path: pathlib.Path) -> str:
    rng = np.random.default_rng(0)
    array = rng.choice([0, 1, 1, 1, 2, 255], (12, 14, 16)).astype(np.uint8)
    np.save(tmp_path / "p.npy", array)
    return f"{tmp_path}/p.npy"


def _options(partitions: str, **changes: object) -> program.Options:
    folder = pathlib.Path(partitions).parent
    options = program.Options(
        partition_volumes=(f"vol:{partitions}",),
        coordinate_output=f"{folder}/out/c.gz",
        margin=(2, 3, 4),
    )
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]


def _centers(*paths: pathlib.Path) -> list[tuple[int, ...]]:
    found = []
    for path in paths:
        for record in tf.data.TFRecordDataset(str(path), "GZIP"):
            feature = tf.train.Example.FromString(
                record.numpy()
            ).features.feature
            assert feature["label_volume_name"].bytes_list.value == [b"vol"]
            found.append(tuple(feature["center"].int64_list.value))
    return found


def test_records(partitions: str) -> None:
    summary = program.run(_options(partitions))
    array = np.load(partitions)
    values = Counter(
        int(array[z, y, x]) for x, y, z in _centers(*summary.paths)
    )
    assert values == dict.fromkeys((0, 1, 2), summary.plan.most)
    for x, y, z in _centers(*summary.paths):
        assert 2 <= z < 10
        assert 3 <= y < 11
        assert 4 <= x < 12


def test_shards_hold_the_same(partitions: str) -> None:
    whole = program.run(_options(partitions))
    output = _options(partitions).coordinate_output
    parts = program.run(_options(partitions, coordinate_output=f"{output}-b@3"))
    assert [path.name for path in parts.paths] == [
        "c.gz-b-00000-of-00003",
        "c.gz-b-00001-of-00003",
        "c.gz-b-00002-of-00003",
    ]
    assert Counter(_centers(*parts.paths)) == Counter(_centers(*whole.paths))


def test_seeds(partitions: str, tmp_path: pathlib.Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        output = f"{tmp_path}/{name}"
        options = _options(partitions, coordinate_output=output, seed=seed)
        found.append(program.run(options).paths[0].read_bytes())
    assert found[0] == found[1] != found[2]


def test_again_is_nothing(partitions: str) -> None:
    options = _options(partitions)
    first = program.run(options)
    before = first.paths[0].read_bytes()
    again = program.run(options)
    assert (first.was_there, again.was_there) == (False, True)
    assert first.paths[0].read_bytes() == before
    with pytest.raises(FileExistsError, match="not made of these options"):
        program.run(dataclasses.replace(options, seed=5))
    # Other voxels behind the same address.
    np.save(partitions, np.load(partitions)[:, ::-1])
    array = np.load(partitions)
    array[5, 5, 5] = 3
    np.save(partitions, array)
    with pytest.raises(FileExistsError, match="not made of these options"):
        program.run(options)


def test_a_folder_with_an_at(partitions: str, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "me@3"
    for name, count in (("c", 1), ("d@2", 2)):
        output = f"{folder}/{name}"
        found = program.run(_options(partitions, coordinate_output=output))
        assert len(found.paths) == count
    names = {path.name for path in folder.iterdir()}
    assert names == {"c", "c.json", "d.json"} | {
        f"d-0000{i}-of-00002" for i in range(2)
    }


def test_a_killed_run_begins_anew(partitions: str) -> None:
    options = dataclasses.replace(
        _options(partitions),
        coordinate_output=f"{_options(partitions).coordinate_output}@2",
    )
    first = program.run(options)
    before = [path.read_bytes() for path in first.paths]
    first.paths[1].unlink()  # As if killed between the two renames.
    folder = first.paths[0].parent
    (folder / f".tmp-{first.paths[0].name}-abc").mkdir()
    again = program.run(options)
    assert not again.was_there
    assert not list(folder.glob(".tmp-*"))
    assert [path.read_bytes() for path in again.paths] == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"partition_volumes": ("p.npy",)}, "expected NAME:ADDRESS"),
        ({"partition_volumes": ("precomputed://p",)}, "expected NAME:ADDRESS"),
        ({"margin": (6, 3, 4)}, "leaves nothing"),
        ({"coordinate_output": "c@x"}, "after @ comes the number"),
        ({"coordinate_output": "c@0"}, "after @ comes the number"),
        ({"coordinate_output": "gs://bucket/c"}, "a path of this machine"),
        ({"max_per_class": 0}, "at least 1"),
        ({"seed": -1}, "--seed: expected at least 0, found -1"),
    ],
)
def test_options_that_do_not_fit(
    partitions: str, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        program.run(_options(partitions, **changes))
    assert not (pathlib.Path(partitions).parent / "out").exists()


def test_one_name_twice(partitions: str) -> None:
    twice = (f"vol:{partitions}", f"vol:{partitions}")
    with pytest.raises(ValueError, match="the name 'vol' twice"):
        program.run(_options(partitions, partition_volumes=twice))


def test_command(partitions: str, tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ffn_tf.build_coordinates"),
            f"--partition_volumes=vol:{partitions}",
            f"--coordinate_output={tmp_path}/c@2",
            *("--margin=2,3,4", "--max_per_class=50"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "150 examples: 50 of each of 3 classes" in done.stdout
    assert "Next: python -m ffn_tf.train" in done.stdout
    assert "--data_volumes=vol:IMAGE --label_volumes=vol:LABELS" in done.stdout
