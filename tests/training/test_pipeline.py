"""Examples: the same ones, whatever came before."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest

from ffn_tf.sampling import records
from ffn_tf.training import augmentation, patches, pipeline

SHAPE = (20, 22, 24)
SIZE = (5, 7, 9)
PLAIN = augmentation.AugmentOptions(permutable_axes=(), reflectable_axes=())


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two volumes, and two files of coordinates."""
    rng = np.random.default_rng(0)
    for name in "ab":
        image = rng.integers(1, 255, SHAPE).astype(np.uint8)
        np.save(tmp_path / f"image_{name}.npy", image)
        labels = rng.integers(0, 3, SHAPE).astype(np.uint32)
        np.save(tmp_path / f"labels_{name}.npy", labels)
    for part in range(2):
        centers = rng.integers(5, 15, (40, 3))
        write(
            tmp_path / f"c-0000{part}-of-00002",
            centers,
            rng.integers(0, 2, 40),
        )
    return tmp_path


def write(path: pathlib.Path, centers: np.ndarray, volumes: np.ndarray) -> None:
    data = records.encoded(centers, volumes, ["a", "b"])
    path.write_bytes(records.compressed(data))


def _patches(folder: pathlib.Path) -> patches.Patches:
    return patches.Patches(
        {name: f"{folder}/image_{name}.npy" for name in "ab"},
        {name: f"{folder}/labels_{name}.npy" for name in "ab"},
    )


def _settings(folder: pathlib.Path, **changes: object) -> pipeline.Settings:
    settings = pipeline.Settings(
        pipeline.coordinate_files(f"{folder}/c@2"),
        SIZE,
        PLAIN,
        {
            "a": pipeline.Normalisation(100, 20),
            "b": pipeline.Normalisation(0, 1),
        },
        batch=7,
    )
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def _taken(
    folder: pathlib.Path, count: int, skip: int = 0, **changes: object
) -> list[pipeline.Example]:
    with _patches(folder) as opened:
        examples = pipeline.Examples(opened, _settings(folder, **changes), skip)
        found = list(itertools.islice(examples, count))
        assert examples.taken == skip + count
    return found


def test_examples_are_what_is_there(folder: pathlib.Path) -> None:
    places = set()
    for example in _taken(folder, 80):
        volume, x, y, z = example.place.tolist()
        places.add((volume, x, y, z))
        name = "ab"[volume]
        field = np.s_[z - 2 : z + 3, y - 3 : y + 4, x - 4 : x + 5]
        raw = np.load(folder / f"image_{name}.npy")[field].astype(np.float32)
        expected = (raw - 100) / 20 if name == "a" else raw
        np.testing.assert_allclose(example.image, expected, rtol=1e-6)
        labels = np.load(folder / f"labels_{name}.npy")
        own = labels[z, y, x]
        mine = (labels[field] == own) & (own != 0)
        np.testing.assert_array_equal(
            example.labels, np.where(mine, 0.95, 0.05).astype(np.float32)
        )
        assert (example.weights == 1).all()
    assert len(places) > 70


def test_goes_on_where_it_was(folder: pathlib.Path) -> None:
    """In a later round as well, augmented, shuffled, in other batches."""
    changes = {
        "augment": augmentation.AugmentOptions(
            permutable_axes=(), contrast_probability=0.5
        ),
        "shuffle": 13,
        "seed": 3,
    }
    whole = _taken(folder, 130, **changes)
    rest = _taken(folder, 40, skip=90, **changes)
    for one, other in zip(whole[90:], rest, strict=True):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)
    # Rounds differ in what happens to an example, and in its order.
    first = {tuple(e.place): e.image for e in whole[:80]}
    again = [first[tuple(e.place)] for e in whole[80:]]
    assert any((a != e.image).any() for a, e in zip(again, whole[80:]))


def test_seeds(folder: pathlib.Path) -> None:
    augment = augmentation.AugmentOptions(permutable_axes=())
    found = [
        _taken(folder, 20, augment=augment, seed=seed) for seed in (1, 1, 2)
    ]
    images = [np.stack([e.image for e in examples]) for examples in found]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_coordinate_files(folder: pathlib.Path) -> None:
    both = [f"{folder}/c-0000{i}-of-00002" for i in range(2)]
    for pattern in (f"{folder}/c@2", ",".join(both), f"{folder}/c-*"):
        assert list(pipeline.coordinate_files(pattern)) == both
    (folder / "c.json").touch()  # Of build_coordinates.
    assert list(pipeline.coordinate_files(f"{folder}/c*")) == both
    for pattern in (f"{folder}/c@3", f"{folder}/gone", f"{folder}/gone*"):
        with pytest.raises(FileNotFoundError, match=r"no file .*build_coord"):
            pipeline.coordinate_files(pattern)
    (folder / "c-00001-of-00002").write_bytes(b"")
    with pytest.raises(ValueError, match="c-00001-of-00002 has no bytes"):
        pipeline.coordinate_files(f"{folder}/c@2")


def _fails(folder: pathlib.Path, path: pathlib.Path, says: str) -> None:
    settings = _settings(folder)
    if "cannot be read" in says:  # One of several is damaged.
        settings = dataclasses.replace(
            settings, files=(*settings.files, str(path))
        )
    else:
        settings = dataclasses.replace(settings, files=(str(path),))
    with _patches(folder) as opened:
        examples = pipeline.Examples(opened, settings)
        with pytest.raises(ValueError, match=says):
            for _ in range(100):
                next(examples)


def test_coordinates_that_do_not_fit(folder: pathlib.Path) -> None:
    path = folder / "bad"
    write(path, np.array([[24, 5, 5]]), np.array([0]))
    _fails(folder, path, "made for another volume")
    data = records.encoded(np.array([[5, 5, 5]]), np.array([0]), ["other"])
    path.write_bytes(records.compressed(data))
    _fails(folder, path, "name a volume 'other'")
    path.write_bytes(records.compressed(b""))
    _fails(folder, path, "hold no examples")


def test_images_that_are_not_finite(folder: pathlib.Path) -> None:
    huge = pipeline.Normalisation(0, 1e-45)  # Of float32 the least.
    settings = _settings(folder, normalisations={"a": huge, "b": huge})
    with _patches(folder) as opened:
        examples = pipeline.Examples(opened, settings)
        with pytest.raises(ValueError, match=r"'.' at x, y, z = .* not finite"):
            next(examples)


def test_damaged_coordinates(folder: pathlib.Path) -> None:
    good = (folder / "c-00000-of-00002").read_bytes()
    path = folder / "bad"
    path.write_bytes(good[: len(good) // 2])
    _fails(folder, path, r"coordinates \S*bad cannot be read \([^{]*\): a")
    path.write_bytes(b"not at all")
    _fails(folder, path, r"coordinates \S*bad cannot be read \([^{]*\): a")
    data = bytearray(records.encoded(np.ones((9, 3), int), np.zeros(9), ["a"]))
    data[40] ^= 1
    path.write_bytes(records.compressed(bytes(data)))
    _fails(folder, path, r"coordinates \S*bad cannot be read \([^{]*\): a")


def test_normalisations(folder: pathlib.Path) -> None:
    with _patches(folder) as opened:
        found = pipeline.normalisations(opened, 5.0, None, {"b": "1:2"})
        assert found["b"] == pipeline.Normalisation(1, 2)
        assert found["a"].mean == 5
        image = np.load(folder / "image_a.npy").astype(float)
        assert found["a"].stddev == pytest.approx(image.std(), rel=0.1)
        for texts, says in (
            ({"b": "1"}, "expected NAME:OFFSET:SCALE"),
            ({"c": "1:2"}, "name a volume 'c'"),
            ({"b": "1:0"}, "must be positive"),
            ({"b": "nan:1"}, "must be finite"),
        ):
            with pytest.raises(ValueError, match=says):
                pipeline.normalisations(opened, 5.0, 1.0, texts)
