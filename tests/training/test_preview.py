"""The picture of the first example, by the program."""

from __future__ import annotations

import json
import pathlib

import numpy as np
from PIL import Image
import pytest

from ffn_tf import train
from ffn_tf.sampling import records
from ffn_tf.training import augmentation, preview
from ffn_tf.training import options as options_lib
from ffn_tf.training.augmentation import picture

ARGS = {"depth": 1, "features": 2, "fov_size": [9, 9, 5], "deltas": [2, 2, 1]}


@pytest.fixture
def options(tmp_path: pathlib.Path) -> options_lib.TrainOptions:
    """Two volumes; the first coordinate is in the second one."""
    rng = np.random.default_rng(0)
    for name, least in (("a", 10), ("b", 100)):
        image = rng.integers(least, least + 90, (40, 70, 80))
        np.save(tmp_path / f"{name}.npy", image.astype(np.uint8))
        labels = np.arange(40 * 70 * 80, dtype=np.uint32) // 80 + 1
        np.save(tmp_path / f"{name}_labels.npy", labels.reshape(40, 70, 80))
    centers = np.array([[41, 33, 20], [40, 30, 19]])  # x, y, z.
    data = records.encoded(centers, np.array([1, 0]), ["a", "b"])
    (tmp_path / "coords").write_bytes(records.compressed(data))
    return options_lib.TrainOptions(
        train_coords=f"{tmp_path}/coords",
        data_volumes=tuple(f"{n}:{tmp_path}/{n}.npy" for n in "ab"),
        label_volumes=tuple(f"{n}:{tmp_path}/{n}_labels.npy" for n in "ab"),
        train_dir=f"{tmp_path}/run",
        model_args=json.dumps(ARGS),
        shuffle_buffer=9,
    )


def _drawn(
    options: options_lib.TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, ...]:
    """What picture.draw is called with."""
    calls = []
    monkeypatch.setattr(picture, "draw", lambda *args: calls.append(args))
    with options_lib.open_volumes(options) as opened:
        policy = options_lib.new_policy(
            options, options_lib.new_network(options)
        )
        settings = options_lib.new_settings(
            options, augmentation.AugmentOptions(), opened, policy.patch_size
        )
        preview.draw(opened, settings)
    return calls[0]


def test_the_first_coordinate(
    options: options_lib.TrainOptions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    image, mask, _, _, size, _ = _drawn(options, monkeypatch)
    assert size == (7, 13, 13)  # zyx: 5 + 2 * 1, 9 + 2 * 2.
    middle = tuple((n - 1) // 2 for n in image.shape)
    raw = np.load(tmp_path / "b.npy")
    assert image[middle] == raw[20, 33, 41]
    z, y, x = middle
    np.testing.assert_array_equal(
        image[z - 3 : z + 4, y - 6 : y + 7, x - 6 : x + 7],
        raw[17:24, 27:40, 35:48],
    )
    # Its label is a line along x.
    assert mask[z, y].any() and mask.sum() == mask[z, y].sum()


def test_coordinates_without_any(
    options: options_lib.TrainOptions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "coords").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="coords hold no example"):
        _drawn(options, monkeypatch)


def test_the_program(
    options: options_lib.TrainOptions, tmp_path: pathlib.Path, command
) -> None:
    path = tmp_path / "look.png"
    done = command(
        "train",
        f"--train_coords={options.train_coords}",
        f"--data_volumes={','.join(options.data_volumes)}",
        f"--label_volumes={','.join(options.label_volumes)}",
        f"--train_dir={options.train_dir}",
        f"--model_args={options.model_args}",
        "--permutable_axes=1,2",
        f"--show_augmentation={path}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Wrote {path}."
    with Image.open(path) as found:
        assert found.format == "PNG" and found.width > 1000
    assert not (tmp_path / "run").exists()
    assert train.ShowOptions().show_augmentation == ""
