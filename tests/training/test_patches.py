"""Patches: what is around a centre, at and beyond the border."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from ffn_tf.training import patches

SHAPE = (9, 11, 13)


@pytest.fixture
def arrays(tmp_path: pathlib.Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    image = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    labels = rng.integers(0, 3, SHAPE).astype(np.uint64) * 2**40
    mask = (rng.random(SHAPE) < 0.2).astype(np.uint8)
    found = {"image": image, "labels": labels, "mask": mask}
    for name, array in found.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "other.npy", image[::-1])
    return found


def _open(folder: pathlib.Path, **changes: str) -> patches.Patches:
    names = {"images": "image", "labels": "labels"} | changes
    return patches.Patches(
        {"v": f"{folder}/{names['images']}.npy"},
        {"v": f"{folder}/{names['labels']}.npy"},
    )


def test_inside(arrays: dict[str, np.ndarray], tmp_path: pathlib.Path) -> None:
    with _open(tmp_path) as opened:
        image, mask, weights = opened.read(
            [0, 0], np.array([[4, 5, 6], [2, 3, 4]]), (3, 5, 7), [0.0]
        )
    assert image.dtype == weights.dtype == np.float32
    first = np.s_[3:6, 3:8, 3:10]
    np.testing.assert_array_equal(image[0], arrays["image"][first])
    own = arrays["labels"][4, 5, 6]
    expected = (arrays["labels"][first] == own) & (own != 0)
    np.testing.assert_array_equal(mask[0], expected)
    assert (weights == 1).all()
    np.testing.assert_array_equal(image[1], arrays["image"][1:4, 1:6, 1:8])


def test_background_has_no_object(
    arrays: dict[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    center = np.argwhere(arrays["labels"] == 0)[:1]
    with _open(tmp_path) as opened:
        _, mask, _ = opened.read([0], center, (3, 3, 3), [0.0])
    assert not mask.any()


def test_beyond_the_border(
    arrays: dict[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    with _open(tmp_path) as opened:
        image, mask, weights = opened.read(
            [0], np.array([[0, 10, 6]]), (5, 5, 5), [77.0]
        )
    inside = np.s_[2:, :3, :]
    there = np.s_[0:3, 8:11, 4:9]
    np.testing.assert_array_equal(image[0][inside], arrays["image"][there])
    outside = np.ones((5, 5, 5), bool)
    outside[inside] = False
    assert (image[0][outside] == 77).all()
    assert not mask[0][outside].any()
    assert not weights[0][outside].any()
    assert (weights[0][inside] == 1).all()


def test_mask_and_several_volumes(
    arrays: dict[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    with patches.Patches(
        {"b": f"{tmp_path}/image.npy", "a": f"{tmp_path}/other.npy"},
        {"b": f"{tmp_path}/labels.npy", "a": f"{tmp_path}/labels.npy"},
        {"b": f"{tmp_path}/mask.npy"},
    ) as opened:
        assert opened.names == ["a", "b"]
        centers = np.array([[4, 5, 6]] * 3)
        image, _, weights = opened.read(
            [1, 0, 1], centers, (3, 3, 3), [0.0, 0.0]
        )
    field = np.s_[3:6, 4:7, 5:8]
    np.testing.assert_array_equal(image[0], arrays["image"][field])
    np.testing.assert_array_equal(image[1], arrays["image"][::-1][field])
    np.testing.assert_array_equal(weights[0], arrays["mask"][field] == 0)
    assert (weights[1] == 1).all()
    np.testing.assert_array_equal(image[2], image[0])


def test_borders_can_be_ignored(tmp_path: pathlib.Path) -> None:
    array = np.ones((5, 6, 7), np.uint8)
    array[:, 3:] = 2
    np.save(tmp_path / "v.npy", array)
    at = {"v": f"{tmp_path}/v.npy"}
    with patches.Patches(at, at, ignore_borders=True) as opened:
        _, _, weights = opened.read(
            [0], np.array([[2, 2, 3]]), (5, 5, 7), [0.0]
        )
    expected = np.ones(weights[0].shape)
    expected[:, 2:4] = 0
    np.testing.assert_array_equal(weights[0], expected)


def test_what_does_not_fit(
    arrays: dict[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    np.save(tmp_path / "small.npy", arrays["labels"][1:])
    np.save(tmp_path / "floats.npy", np.zeros(SHAPE, np.float32))
    with pytest.raises(ValueError, match="they must be the same box"):
        _open(tmp_path, labels="small")
    with pytest.raises(ValueError, match="labels are integers, found float32"):
        _open(tmp_path, labels="floats")
    with pytest.raises(FileNotFoundError, match="gone"):
        _open(tmp_path, labels="gone")
    one = {"v": f"{tmp_path}/image.npy"}
    with pytest.raises(ValueError, match="need the same names"):
        patches.Patches(one, {"w": f"{tmp_path}/labels.npy"})
    with pytest.raises(ValueError, match=r"no --data_volumes called \['m'\]"):
        patches.Patches(
            one,
            {"v": f"{tmp_path}/labels.npy"},
            {"m": f"{tmp_path}/mask.npy"},
        )
    with _open(tmp_path) as opened:
        with pytest.raises(ValueError, match="x, y, z = 13, 3, 2 in the vol"):
            opened.read([0], np.array([[2, 3, 13]]), (3, 3, 3), [0.0])
        with pytest.raises(ValueError, match="name a volume 'w'"):
            opened.index("w")


def test_voxel_sizes_that_differ(tmp_path: pathlib.Path) -> None:
    from ffn_tf import volume

    for name, size in (("a", (10, 10, 10)), ("b", (40, 10, 10))):
        info = volume.VolumeInfo(
            volume.Box((0, 0, 0), SHAPE), np.dtype(np.uint32), size
        )
        with volume.create(f"{tmp_path}/{name}.h5:d", info) as made:
            made.write(made.domain, np.ones(SHAPE, np.uint32))
    with pytest.raises(ValueError, match="must be of one scale"):
        patches.Patches(
            {"v": f"{tmp_path}/a.h5:d"}, {"v": f"{tmp_path}/b.h5:d"}
        )


def test_nan(tmp_path: pathlib.Path) -> None:
    image = np.zeros(SHAPE, np.float32)
    image[4, 5, 6] = np.nan
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "labels.npy", np.ones(SHAPE, np.uint8))
    with _open(tmp_path) as opened:
        opened.read([0], np.array([[4, 5, 8]]), (3, 3, 3), [0.0])
        with pytest.raises(ValueError, match="NaN or infinity in zyx"):
            opened.read([0], np.array([[4, 5, 7]]), (3, 3, 3), [0.0])
