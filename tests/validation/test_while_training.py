"""Training with validation: scored, shown, kept; the weights are the same."""

from __future__ import annotations

import json
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf import model, train
from ffn_tf.sampling import records
from ffn_tf.training import options as options_lib
from ffn_tf.training import step
from ffn_tf.validation import checkpoint, record

ARGS = {"depth": 2, "features": 4, "fov_size": [7, 7, 7], "deltas": [2, 2, 2]}
FAST = step.OptimizerOptions(
    optimizer="adam", learning_rate=0.01, ema_decay=0.9
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Bright slabs in the dark, and coordinates in them."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    labels = np.zeros((24, 26, 28), np.uint32)
    for number, first in enumerate((2, 10, 18), 1):
        labels[first : first + 5] = number
    image = np.where(labels > 0, 180, 60) + rng.normal(0, 10, labels.shape)
    np.save(folder / "em.npy", image.astype(np.uint8))
    np.save(folder / "truth.npy", labels)
    centers = rng.integers(6, 18, (200, 3))
    encoded = records.encoded(centers, np.zeros(200, int), ["v"])
    (folder / "coords").write_bytes(records.compressed(encoded))
    return folder


def _options(
    data: pathlib.Path, folder: pathlib.Path, **changes: object
) -> options_lib.TrainOptions:
    values: dict[str, object] = {
        "train_coords": f"{data}/coords",
        "data_volumes": (f"v:{data}/em.npy",),
        "label_volumes": (f"v:{data}/truth.npy",),
        "train_dir": f"{folder}/run",
        "model_args": json.dumps(ARGS),
        "max_steps": 4,
        "checkpoint_interval": 0,
    }
    return options_lib.TrainOptions(**(values | changes))  # type: ignore[arg-type]


def _validation(
    data: pathlib.Path, **changes: object
) -> checkpoint.ValidationOptions:
    values: dict[str, object] = {
        "eval_volume": f"{data}/em.npy",
        "eval_truth": f"{data}/truth.npy",
    }
    return checkpoint.ValidationOptions(**(values | changes))  # type: ignore[arg-type]


def _scalars(folder: pathlib.Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    (events,) = folder.glob("events.*")
    for item in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(item.numpy())
        for value in event.summary.value:
            if value.tag.startswith("validation/"):
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append(number)
    return found


def test_each_checkpoint_is_scored(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    seen = []
    with_it = train.run(
        _options(data, tmp_path, max_steps=3),
        FAST,
        validation=_validation(data),
        checked=lambda folder, at, _: seen.append(record.read(folder)),
    )
    assert [found and found.step for found in seen] == [1, 2, 3]
    assert with_it.checkpoint.name == "step-00000003"
    shown = _scalars(tmp_path / "run")
    names = "coverage voi_split voi_merge voi arand segments seconds".split()
    assert shown.keys() == {f"validation/{name}" for name in names}
    voi = [found.scores.voi for found in seen if found]
    assert shown["validation/voi"] == pytest.approx(voi)
    # It changes nothing: the same weights, and the same options as without.
    without = train.run(_options(data, tmp_path / "b", max_steps=3), FAST)
    weights = [
        model.load(str(one.checkpoint)).get_weights()
        for one in (with_it, without)
    ]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert train.run(_options(data, tmp_path, max_steps=4), FAST).steps == 4


def test_the_best_is_kept(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Beside the newest; what was best, until another is better."""
    voi = {1: 0.9, 2: 0.5, 3: 0.7, 4: 0.3, 5: 0.6, 6: 0.0, 7: 0.8}
    names = []

    def checked(folder: pathlib.Path, at: int, _: object) -> None:
        names.append(sorted(int(p.name[-1]) for p in folder.parent.iterdir()))
        segments = 0 if at == 6 else 1  # Without any segment, none is worse.
        scores = record.Scores(0.5, voi[at], 0.0, 0.1, segments, 1.0, 3.0)
        record.write(folder, record.Record(at, scores, {}, {}))

    options = _options(data, tmp_path, max_steps=7, keep_checkpoints=1)
    train.run(options, FAST, checked=checked)
    assert names == [[1], [1, 2], [2, 3], [2, 4], [4, 5], [4, 6], [4, 7]]


def test_intervals_begin_after_validation(
    data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """One that takes longer than the interval leaves time to train."""
    seen = []

    def checked(folder: pathlib.Path, at: int, _: object) -> None:
        seen.append(at)
        time.sleep(0.6 if len(seen) < 3 else 0)

    options = _options(data, tmp_path, max_steps=300, checkpoint_interval=0.5)
    train.run(options, FAST, checked=checked)
    assert len(seen) < 3 or seen[1] - seen[0] > 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eval_volume": "absent.npy"}, "absent"),
        (
            {"eval_box": "size { x: 28 y: 26 z: 6 }"},
            "smaller than the network's field of view",
        ),
    ],
)
def test_wrong_options_before_any_step(
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    changes: dict[str, object],
    says: str,
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        train.run(
            _options(data, tmp_path),
            FAST,
            validation=_validation(data, **changes),
        )
    assert not (tmp_path / "run").exists()


def test_command_line(
    data: pathlib.Path, tmp_path: pathlib.Path, command
) -> None:
    """Trained with validation, ranked without: one from the other."""
    done = command(
        "train",
        f"--train_coords={data}/coords",
        f"--data_volumes=v:{data}/em.npy",
        f"--label_volumes=v:{data}/truth.npy",
        f"--train_dir={tmp_path}/run",
        f"--model_args={json.dumps(ARGS)}",
        "--max_steps=2",
        f"--eval_volume={data}/em.npy",
        f"--eval_truth={data}/truth.npy",
        "--eval_box=start { x: 1 } size { x: 20 y: 20 z: 20 }",
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "run/checkpoints").iterdir()
    found = record.read(folder)
    assert found is not None
    assert found.settings["start_zyx"] == [0, 0, 1]
    assert f"step 2: coverage {found.scores.coverage:.3f} " in done.stderr
    assert f"Next: python -m ffn_tf.evaluate --checkpoints={tmp_path}/run" in (
        done.stdout
    )
    ranked = command(
        "evaluate",
        f"--checkpoints={tmp_path}/run",
        f"--output_dir={tmp_path}/ranking",
    )
    assert ranked.returncode == 0, ranked.stderr
    assert f"Best: {folder}" in ranked.stdout.splitlines()
    assert (tmp_path / "ranking/ranking.md").exists()
