"""The program: it learns, stops, goes on, and says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf import model
from ffn_tf import train as program
from ffn_tf.sampling import records
from ffn_tf.training import augmentation, loop, pace, step
from ffn_tf.training import options as options_lib
from ffn_tf.volume import files

ARGS = {"depth": 2, "features": 4, "fov_size": [7, 7, 7], "deltas": [2, 2, 2]}
FAST = step.OptimizerOptions(
    optimizer="adam", learning_rate=0.01, ema_decay=0.9
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Bright balls in the dark, and coordinates in and between them."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[:32, :32, :32]
    labels = np.zeros((32, 32, 32), np.uint32)
    for number, center in enumerate(rng.integers(4, 28, (20, 3)), 1):
        near = (z - center[0]) ** 2 + (y - center[1]) ** 2
        labels[near + (x - center[2]) ** 2 <= 16] = number
    image = np.where(labels > 0, 180, 60) + rng.normal(0, 10, labels.shape)
    np.save(folder / "image.npy", image.astype(np.uint8))
    np.save(folder / "labels.npy", labels)
    centers = rng.integers(6, 26, (500, 3))
    data = records.encoded(centers, np.zeros(500, int), ["v"])
    (folder / "coords").write_bytes(records.compressed(data))
    return folder


def _options(
    data: pathlib.Path, train_dir: pathlib.Path, **changes: object
) -> options_lib.TrainOptions:
    options = options_lib.TrainOptions(
        train_coords=f"{data}/coords",
        data_volumes=(f"v:{data}/image.npy",),
        label_volumes=(f"v:{data}/labels.npy",),
        train_dir=f"{train_dir}/run",
        model_args=json.dumps(ARGS),
        batch_size=3,
        max_steps=12,
        summary_rate_secs=0.5,
        checkpoint_interval=1000,
    )
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]


def _weights(checkpoint: pathlib.Path) -> list[np.ndarray]:
    return list(model.load(str(checkpoint)).get_weights())


def _equal(one: pathlib.Path, other: pathlib.Path) -> bool:
    pairs = zip(_weights(one), _weights(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_learns(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    summary = program.run(_options(data, tmp_path, max_steps=150), FAST)
    assert summary.steps == 150
    scalars: dict[str, list[float]] = {}
    images = set()
    (events,) = (tmp_path / "run").glob("events.*")
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "images":
                images.add(value.tag)
            else:
                number = float(tf.make_ndarray(value.tensor))
                scalars.setdefault(value.tag, []).append(number)
    assert np.isfinite(scalars["loss"]).all()
    assert min(scalars["loss"][1:]) < 0.8 * scalars["loss"][0]
    assert max(scalars["eval/patches"]) > 5
    assert {"moves/all/correct", "speed/wait_share"} <= scalars.keys()
    assert {"final_xy/0", "final_xz/0", "final_yz/0"} <= images


def test_goes_on_bit_for_bit(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Stopped in the middle of walks, with several open ones to draw from."""
    changes = {"mix_num_batches": 3, "fov_policy": "max_pred_moves", "seed": 7}
    changes |= {"warm_seed_radius": 3.0, "warm_seed_steps": 9}
    whole = program.run(_options(data, tmp_path, **changes), FAST)
    part = _options(data, tmp_path / "part", **changes)
    first = program.run(dataclasses.replace(part, max_steps=5), FAST)
    assert first.steps == 5
    assert not _equal(first.checkpoint, whole.checkpoint)
    rest = program.run(part, FAST)
    assert rest.steps == 12
    assert _equal(rest.checkpoint, whole.checkpoint)
    again = program.run(part, FAST)
    assert again == rest


def _command(options: options_lib.TrainOptions, *flags: str) -> list[str]:
    given = [
        f"--{name}={','.join(value) if isinstance(value, tuple) else value}"
        for name, value in dataclasses.asdict(options).items()
        if value not in ((), None, "")
    ]
    return [sys.executable, "-m", "ffn_tf.train", *given, *flags]


def _wait_for(path: pathlib.Path, pattern: str, process, size: int = 0) -> None:
    """Until there is such a file, of some bytes."""
    deadline = time.monotonic() + 120
    while not any(p.stat().st_size >= size for p in path.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_by_a_signal(
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    number: signal.Signals,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saves = number == signal.SIGTERM  # At once, so no interval is needed.
    options = _options(
        data,
        tmp_path,
        max_steps=10**6,
        checkpoint_interval=1000 if saves else 0.2,
        keep_checkpoints=0,
    )
    process = subprocess.Popen(
        _command(options, "--optimizer=momentum"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = tmp_path / "run" / "checkpoints"
    if saves:
        _wait_for(tmp_path / "run", "events.*", process, size=2000)
    else:
        _wait_for(kept, "step-*", process)
        time.sleep(0.5)
    before = len(list(kept.glob("step-*")))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    found = sorted(kept.glob("step-*"))
    assert len(found) >= max(before, 1)
    reached = int(found[-1].name.removeprefix("step-"))
    if saves:
        assert process.returncode == 143, stderr
        assert "Stopping after this step" in stderr
        assert f"Stopped; the same command goes on from {found[-1]}" in stderr
        assert (before, len(found)) == (0, 1)
    momentum = step.OptimizerOptions(optimizer="momentum")
    there = _options(data, tmp_path, max_steps=reached + 3)
    capsys.readouterr()
    summary = program.run(there, momentum)
    assert f"Going on from {found[-1]}." in capsys.readouterr().err
    assert summary.steps == reached + 3
    whole = _options(data, tmp_path / "whole", max_steps=reached + 3)
    assert _equal(program.run(whole, momentum).checkpoint, summary.checkpoint)


def test_says_early_that_it_learns(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_FIRST_S", 0.0)
    seen: list[pace.Progress] = []
    options = _options(data, tmp_path)
    program.run(options, FAST, tell=seen.append, tell_s=1000)
    assert [one.step for one in seen] == [1]


def test_keeps_the_newest(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    options = _options(
        data,
        tmp_path,
        checkpoint_interval=0,
        keep_checkpoints=2,
        keep_every_steps=5,
    )
    seen: list[int] = []
    program.run(options, FAST, checked=lambda path, at, _: seen.append(at))
    assert seen == list(range(1, 13))
    names = sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir())
    assert names == [f"step-{n:08d}" for n in (5, 10, 11, 12)]


def test_keeps_multiples_however_rare_checkpoints_are(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    options = _options(
        data, tmp_path, keep_checkpoints=1, keep_every_steps=5, max_steps=12
    )
    program.run(options, FAST)  # Its checkpoint_interval is 1000 s.
    names = sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir())
    assert names == [f"step-{n:08d}" for n in (5, 10, 12)]


def test_begins_with_another_network(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    first = program.run(_options(data, tmp_path / "a"), FAST)
    still = step.OptimizerOptions(learning_rate=1e-12)
    options = _options(
        data,
        tmp_path / "b",
        model_args="{}",
        init_checkpoint=str(first.checkpoint),
        max_steps=1,
    )
    second = program.run(options, still)
    assert _equal(first.checkpoint, second.checkpoint)
    with pytest.raises(ValueError, match="features is 5, and"):
        program.run(
            dataclasses.replace(
                options,
                train_dir=str(tmp_path / "c"),
                model_args='{"features": 5}',
            )
        )


def test_losses_that_are_not_finite(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wild = step.OptimizerOptions(learning_rate=1e30, gradient_clip=1e30)
    with pytest.raises(ValueError, match=r"The loss is .* at step \d+, exam"):
        program.run(_options(data, tmp_path), wild)
    # Nothing has begun, so the folder is nobody's.
    assert program.run(_options(data, tmp_path), FAST).steps == 12


@pytest.mark.parametrize("place", ["", "gs://bucket/run"])
def test_folders_that_are_none(
    data: pathlib.Path, tmp_path: pathlib.Path, place: str
) -> None:
    options = dataclasses.replace(_options(data, tmp_path), train_dir=place)
    with pytest.raises(ValueError, match="a path of this machine"):
        program.run(options)


@pytest.mark.parametrize("scale", [200, 1 / 255])
def test_grey_values_that_augmentation_would_clip(
    data: pathlib.Path, tmp_path: pathlib.Path, scale: float
) -> None:
    image = np.load(data / "image.npy").astype(np.float32) * scale
    np.save(tmp_path / "image.npy", image)
    volumes = (f"v:{tmp_path}/image.npy",)
    options = _options(data, tmp_path, data_volumes=volumes, max_steps=1)
    augment = augmentation.AugmentOptions(contrast_probability=1.0)
    with pytest.raises(ValueError, match=r"--grey_range: .* 0 to 255, .*'v'"):
        program.run(options, FAST, augment)
    fits = dataclasses.replace(augment, grey_range=(0.0, 255.0 * scale))
    assert program.run(options, FAST, fits).steps == 1


def test_an_image_that_has_changed(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    image = np.load(data / "image.npy")
    np.save(tmp_path / "image.npy", image)
    volumes = (f"v:{tmp_path}/image.npy",)
    options = _options(data, tmp_path, data_volumes=volumes, max_steps=1)
    program.run(options, FAST)
    np.save(tmp_path / "image.npy", 255 - image)
    longer = dataclasses.replace(options, max_steps=2)
    with pytest.raises(ValueError, match=r"'v' was normalised by .* now by"):
        program.run(longer, FAST)
    np.save(tmp_path / "image.npy", image)
    assert program.run(longer, FAST).steps == 2


def test_two_trainers(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        files.locked(tmp_path / "run", "training in it"),
        pytest.raises(BlockingIOError, match="another process is training"),
    ):
        program.run(_options(data, tmp_path), FAST)


def test_other_options(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    options = _options(data, tmp_path, max_steps=1)
    program.run(options, FAST)
    with pytest.raises(FileExistsError, match="seed: 0, now 1"):
        program.run(dataclasses.replace(options, seed=1), FAST)
    with pytest.raises(FileExistsError, match=r"learning_rate: 0\.01, now"):
        program.run(options, dataclasses.replace(FAST, learning_rate=0.5))
    (tmp_path / "run/train.json").unlink()
    with pytest.raises(FileExistsError, match="seed: 0, now 1"):
        program.run(dataclasses.replace(options, seed=1), FAST)
    assert program.run(options, FAST).steps == 1


def test_a_checkpoint_of_another_network(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    options = _options(data, tmp_path, max_steps=1)
    program.run(options, FAST)
    other = _options(
        data,
        tmp_path / "other",
        model_args=json.dumps(ARGS | {"features": 5}),
        max_steps=2,
    )
    program.run(other, FAST)
    os.rename(
        tmp_path / "other/run/checkpoints/step-00000002",
        tmp_path / "run/checkpoints/step-00000002",
    )
    with pytest.raises(ValueError, match=r"step-00000002: .* another network"):
        program.run(dataclasses.replace(options, max_steps=3), FAST)


@pytest.mark.parametrize("rest", [-100, 0])
def test_a_damaged_checkpoint(
    data: pathlib.Path, tmp_path: pathlib.Path, rest: int
) -> None:
    options = _options(data, tmp_path, max_steps=1)
    checkpoint = program.run(options, FAST).checkpoint
    state = checkpoint / "state.npz"
    state.write_bytes(state.read_bytes()[:rest])
    with pytest.raises(ValueError, match=r"state\.npz: damaged .* Delete"):
        program.run(dataclasses.replace(options, max_steps=2), FAST)


def test_a_full_disk(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _options(data, tmp_path, max_steps=2)
    first = program.run(options, FAST).checkpoint

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"No space left .* untouched"):
        program.run(dataclasses.replace(options, max_steps=3), FAST)
    monkeypatch.undo()
    assert [p.name for p in first.parent.iterdir()] == [first.name]
    assert program.run(dataclasses.replace(options, max_steps=3), FAST)


def test_a_disk_too_full_for_summaries(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    options = _options(data, tmp_path, summary_rate_secs=1000)
    monkeypatch.setattr(tf.summary, "scalar", full)
    with pytest.raises(OSError, match=r"run: .*No space left.*disk full"):
        program.run(options, FAST)
    # Steps are saved before they are told of.
    assert (tmp_path / "run/checkpoints/step-00000012").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 0}, "--batch_size: expected at least 1"),
        ({"keep_checkpoints": -1}, "--keep_checkpoints: expected at least 0"),
        ({"seed": -1}, "--seed: expected at least 0"),
        ({"warm_seed_radius": 3.0}, "warm_seed_steps go together"),
        ({"threshold": 0.96}, "threshold: expected at most 0.95"),
        ({"model_args": '{"fov_size": [7, 7]}'}, "fov_size: expected three"),
        ({"model_args": '{"deltas": 3}'}, "deltas: expected three integers"),
        ({"model_args": '{"depth": "x"}'}, "depth: expected an integer"),
        ({"model_args": "[1]"}, "not a JSON object"),
        ({"model_args": '{"deepth": 1}'}, r"unknown \['deepth'\]"),
        ({"model_args": '{"fov_size": [8, 8, 8]}'}, "odd sizes"),
        ({"model_name": "unet"}, "Unknown network 'unet'"),
        ({"data_volumes": ("x.npy",)}, "expected NAME:ADDRESS"),
        ({"image_offset_scale_map": ("v:1",)}, "NAME:OFFSET:SCALE"),
    ],
)
def test_options_that_do_not_fit(
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    changes: dict[str, object],
    says: str,
) -> None:
    with pytest.raises(ValueError, match=says):
        program.run(_options(data, tmp_path, **changes))
    assert not (tmp_path / "run").exists()


def test_seeds_shrink() -> None:
    rng = np.random.default_rng(0)
    schedule = loop.Schedule(9, 9, 9, warm_radius=8, warm_steps=10)
    most = [
        max(schedule.seed_radius(at, rng) for _ in range(200))
        for at in (0, 5, 9, 10)
    ]
    assert most == pytest.approx([8, 4, 0.8, 0], rel=0.1)
    radii = [schedule.seed_radius(0, rng) for _ in range(200)]
    assert 60 < sum(radius == 0 for radius in radii) < 140


def test_line() -> None:
    progress = pace.Progress(1500, 3000, 0.25, 5.0, 20.0, 0.01, {})
    assert program.as_line(progress) == (
        "step 1,500/3,000  loss 0.2500  20.0 FOVs/s  waiting 1 %  05:00 left"
    )
