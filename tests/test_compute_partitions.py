"""The program: google/ffn's flags, output and attributes, at any address."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ffn_tf import compute_partitions as program
from ffn_tf import volume


@pytest.fixture
def labels(tmp_path: pathlib.Path) -> str:
    """Address of labels with sides of 24, 30, 36 voxels."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 5, (4, 5, 6)).astype(np.uint64)
    array = coarse.repeat(6, 0).repeat(6, 1).repeat(6, 2)
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["stack"] = array
    return f"{tmp_path}/labels.h5:stack"


def _options(labels: str, output: str, **changes: object) -> program.Options:
    options = program.Options(
        input_volume=labels,
        output_volume=output,
        thresholds=(0.3, 0.6),
        lom_radius=(3, 2, 1),
        min_size=1,
    )
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]


def test_hdf5_as_google_ffn(labels: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.h5"
    summary = program.run(_options(labels, f"{path}:af"))
    with h5py.File(path) as file:
        found = file["af"][:]
        boxes = file["af"].attrs["bounding_boxes"]
        counts = file["af"].attrs["partition_counts"]
    assert found.dtype == np.uint8
    inner = found[1:-1, 2:-2, 3:-3]
    values, voxels = np.unique(inner, return_counts=True)
    np.testing.assert_array_equal(counts, [values, voxels])
    assert summary.voxels == dict(zip(values.tolist(), voxels.tolist()))
    # (start, size), xyz
    np.testing.assert_array_equal(boxes, [[[3, 2, 1], [30, 26, 22]]])
    assert (found != 255).sum() == inner.size


def test_google_ffn(
    fib25: pathlib.Path, golden: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Voxels and attributes are those that google/ffn wrote."""
    tenths = tuple(i / 10 for i in range(1, 10))
    program.run(
        program.Options(
            input_volume=f"{fib25}/groundtruth.h5:stack",
            output_volume=f"{tmp_path}/p.h5:af",
            thresholds=(0.025, 0.05, 0.075, *tenths),
            lom_radius=(24, 24, 24),
            min_size=10000,
        )
    )
    with (
        h5py.File(tmp_path / "p.h5") as ours,
        h5py.File(golden / "partitions_training2.h5") as theirs,
    ):
        found, expected = ours["af"], theirs["af"]
        np.testing.assert_array_equal(found[:], expected[:])
        assert expected.attrs.keys() == {"bounding_boxes", "partition_counts"}
        for name, value in expected.attrs.items():
            np.testing.assert_array_equal(found.attrs[name], value)
            assert found.attrs[name].dtype == value.dtype


def test_bounding_boxes_of_the_labels(
    labels: str, tmp_path: pathlib.Path
) -> None:
    with h5py.File(tmp_path / "labels.h5", "r+") as file:
        attrs = file["stack"].attrs
        attrs["bounding_boxes_a"] = [[[4, 5, 6], [20, 18, 16]]]
        attrs["bounding_boxes_b"] = [[[0, 0, 0], [6, 9, 9]]]  # Too narrow.
    program.run(_options(labels, f"{tmp_path}/p.h5:af"))
    with h5py.File(tmp_path / "p.h5") as file:
        boxes = file["af"].attrs["bounding_boxes"]
    np.testing.assert_array_equal(boxes, [[[7, 7, 7], [14, 14, 14]]])


@pytest.mark.parametrize("output", ["zarr3://p", "precomputed://p", "p.npy"])
def test_any_address(labels: str, tmp_path: pathlib.Path, output: str) -> None:
    scheme, _, name = output.rpartition("://")
    output = f"{scheme}://{tmp_path}/{name}" if scheme else f"{tmp_path}/{name}"
    program.run(_options(labels, f"{tmp_path}/p.h5:af"))
    program.run(_options(labels, output))
    with (
        volume.open(f"{tmp_path}/p.h5:af") as one,
        volume.open(output) as other,
    ):
        np.testing.assert_array_equal(one.read(), other.read())
        assert other.dtype == np.uint8


def test_whitelist_spheres_masks(labels: str, tmp_path: pathlib.Path) -> None:
    sphere = "12:10:8:4"
    text = (
        'masks { coordinate_expression { expression: "x == 30 and y == 20" } }'
    )
    program.run(
        _options(
            labels,
            f"{tmp_path}/p.npy",
            id_whitelist=(2, 4),
            exclusion_regions=(sphere,),
            mask_configs=text,
        )
    )
    found = np.load(tmp_path / "p.npy")
    with h5py.File(tmp_path / "labels.h5") as file:
        array = file["stack"][:]
    z, y, x = np.mgrid[tuple(slice(n) for n in array.shape)]
    excluded = (x - 12) ** 2 + (y - 10) ** 2 + (z - 8) ** 2 <= 16
    excluded |= (abs(x - 30) <= 3) & (abs(y - 20) <= 2)
    inner = np.s_[1:-1, 2:-2, 3:-3]
    np.testing.assert_array_equal(found[inner] == 255, excluded[inner])
    is_object = np.isin(array, [2, 4])[inner] & ~excluded[inner]
    np.testing.assert_array_equal(
        (found[inner] != 0) & (found[inner] != 255), is_object
    )


def test_masks_from_a_file(labels: str, tmp_path: pathlib.Path) -> None:
    text = 'masks { coordinate_expression { expression: "z == 9" } }'
    path = tmp_path / "masks.pbtxt"
    path.write_text(text)
    for name, given in (("a", text), ("b", str(path))):
        output = f"{tmp_path}/{name}.npy"
        program.run(_options(labels, output, mask_configs=given))
    found = np.load(tmp_path / "b.npy")
    np.testing.assert_array_equal(found, np.load(tmp_path / "a.npy"))
    inner = found[1:-1, 2:-2, 3:-3]
    z = 1 + np.flatnonzero((inner == 255).all((1, 2)))
    assert z.tolist() == [8, 9, 10]
    path.write_text("masks { nonsense: 1 }")
    with pytest.raises(ValueError, match=r"masks\.pbtxt:1:9"):
        options = _options(labels, f"{tmp_path}/c.npy", mask_configs=str(path))
        program.run(options)


def test_again_is_nothing(labels: str, tmp_path: pathlib.Path) -> None:
    options = _options(labels, f"{tmp_path}/p.h5:af")
    first = program.run(options)
    before = (tmp_path / "p.h5").read_bytes()
    again = program.run(options)
    assert (first.was_there, again.was_there) == (False, True)
    assert again.voxels == first.voxels
    assert (tmp_path / "p.h5").read_bytes() == before
    with pytest.raises(FileExistsError, match="min_size: 1, now 2"):
        program.run(dataclasses.replace(options, min_size=2))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lom_radius": (3, 2, 12)}, "smaller --lom_radius"),
        ({"min_size": 10**6}, "Lower --min_size"),
        ({"thresholds": (0.5, 0.2)}, "must ascend"),
        ({"id_whitelist": (77,)}, r"no voxel has the ids \[77\]"),
        ({"exclusion_regions": ("1:2:3",)}, "expected x:y:z:radius"),
        ({"mask_configs": "masks { image { channels {} } }"}, "no image here"),
        ({"mask_configs": "masks { nonsense: 1 }"}, "--mask_configs:1:9"),
    ],
)
def test_options_that_do_not_fit(
    labels: str, tmp_path: pathlib.Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        program.run(_options(labels, f"{tmp_path}/p.h5:af", **changes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.h5"]


def test_labels_that_are_not_integers(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "f.npy", np.zeros((9, 9, 9), np.float32))
    with pytest.raises(ValueError, match="labels are integers, found float32"):
        program.run(_options(f"{tmp_path}/f.npy", f"{tmp_path}/p.h5:af"))


def test_command(labels: str, tmp_path: pathlib.Path) -> None:
    output = f"{tmp_path}/p.h5:af"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ffn_tf.compute_partitions"),
            *(f"--input_volume={labels}", f"--output_volume={output}"),
            *("--thresholds=0.3,0.6", "--lom_radius=3,2,1", "--min_size=1"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "background" in done.stdout
    assert f"Wrote {output}. Next: python -m ffn_tf.build" in done.stdout
