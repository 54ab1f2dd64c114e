"""train: it learns, goes on bit for bit, stops on collapse; the program."""

import dataclasses
import json

import numpy as np
import pytest

from segclr import model, train
from segclr.cutouts import reading
from segclr.training import loop, step, views

SMALL = train.EncoderOptions("resnet10", 4, 8, size_zyx=(9, 9, 9))
ADAM = step.OptimizerOptions("adamw", learning_rate=0.003)


def options(world, folder, **changes):
    values = {
        "pairs": world["pairs"],
        "image": world["image"],
        "segmentation": world["segmentation"],
        "train_dir": str(folder),
        "max_steps": 6,
        "batch_size": 4,
    }
    return train.Options(**(values | changes))


def state(folder):
    with np.load(folder / "state.npz") as file:
        return {name: file[name] for name in file.files}


def test_it_learns(world, tmp_path):
    """Two kinds of neurites, of which each view finds its own."""
    told = []
    labels = tmp_path / "labels.csv"
    labels.write_text("segment,label\n1,a\n2,b\n3,a\n4,b\n")
    summary = train.run(
        options(
            world,
            tmp_path,
            max_steps=100,
            batch_size=8,
            labels=str(labels),
            probe_nodes=32,
        ),
        SMALL,
        dataclasses.replace(ADAM, learning_rate=0.02),
        tell=told.append,
        tell_s=0.0,
    )
    assert summary.steps == 100
    losses = [one.loss for one in told]
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 3
    assert told[-1].scores["spread"] > 0.1
    encoder = model.load(summary.checkpoint)
    with reading.Cutouts(
        world["image"], world["segmentation"], (9, 9, 9)
    ) as opened:
        places = np.array(
            [[12, 12 * i + 6, x] for x in (40, 90) for i in range(4)]
        )
        seen = opened.read(places, np.tile([1, 2, 3, 4], 2))
        found = np.array(encoder(seen.cutouts("masked_em")[..., None]))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    alike = found @ found.T
    kind = np.tile([0, 1], 4)
    same = kind[:, None] == kind[None]
    assert alike[same].mean() > alike[~same].mean() + 0.05


def test_it_goes_on_bit_for_bit(world, tmp_path, monkeypatch):
    whole = train.run(options(world, tmp_path / "whole"), SMALL, ADAM)
    half = options(world, tmp_path / "half", checkpoint_interval=0.0)
    real = step.TrainStep.__call__

    def interrupted(self, batch, number):
        if number == 3:
            raise KeyboardInterrupt
        return real(self, batch, number)

    monkeypatch.setattr(step.TrainStep, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.run(half, SMALL, ADAM)
    monkeypatch.undo()
    again = train.run(half, SMALL, ADAM)
    one, other = state(whole.checkpoint), state(again.checkpoint)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert train.run(half, SMALL, ADAM) == again  # Nothing left to do.
    with pytest.raises(FileExistsError, match=r"batch_size.*another --train"):
        train.run(dataclasses.replace(half, batch_size=2), SMALL, ADAM)


def test_lars_and_bfloat16(world, tmp_path):
    made = train.run(
        options(world, tmp_path, compute_dtype="bfloat16", max_steps=2),
        SMALL,
        step.OptimizerOptions(),
    )
    assert np.isfinite(
        state(made.checkpoint)["weights/projection_head/nl_2/kernel"]
    ).all()


def test_it_stops_on_collapse(world, tmp_path, monkeypatch):
    def collapsed(*_):
        return {"loss": 2.0, "accuracy": 0.0, "spread": 1e-6}

    monkeypatch.setattr(loop, "_PATIENCE", 3)
    monkeypatch.setattr(step.TrainStep, "__call__", collapsed)
    with pytest.raises(ValueError, match="collapsed: in 3 steps up to step 2"):
        train.run(options(world, tmp_path), SMALL, ADAM)


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_it_stops_when_it_diverges(world, tmp_path, monkeypatch, loss):
    def diverged(*_):
        return {"loss": loss, "accuracy": 0.0, "spread": 1.0}

    monkeypatch.setattr(step.TrainStep, "__call__", diverged)
    with pytest.raises(ValueError, match=r"The loss is (nan|inf).* diverged"):
        train.run(options(world, tmp_path), SMALL, ADAM)


def test_rates():
    options = step.OptimizerOptions(learning_rate=1.0, warmup_steps=4)
    rates = [options.rate(i, 10) for i in range(11)]
    np.testing.assert_allclose(rates[:5], [0.25, 0.5, 0.75, 1, 1])
    assert rates[7] == pytest.approx(0.5)
    assert rates[10] == 0


def test_command_line(world, tmp_path, command):
    ran = command(
        "train",
        *(f"--{k}={world[k]}" for k in ("pairs", "image", "segmentation")),
        f"--train_dir={tmp_path}/run",
        "--max_steps=2",
        "--batch_size=4",
        "--size_zyx=9,9,9",
        "--width=2",
        "--network=resnet10",
        "--optimizer=adamw",
        package="segclr",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(
        f"Wrote {tmp_path}/run/checkpoints/step-00000002, after 2 steps"
    )
    told = json.loads((tmp_path / "run" / "train.json").read_text())
    assert told["width"] == 2
    assert list((tmp_path / "run").glob("events.*"))
    encoder = model.load(tmp_path / "run" / "checkpoints" / "step-00000002")
    assert encoder.voxel_size_nm == (10.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "--batch_size: expected 2 or more"),
        ({"pairs": "nothing"}, "--pairs: no file nothing; make it with segclr"),
        ({"agglomeration": "nothing"}, "no such agglomeration table"),
        ({"segmentation": "nothing"}, "nothing"),
    ],
)
def test_bad_input(world, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        train.run(options(world, tmp_path / "run", **changes), SMALL, ADAM)
    assert not (tmp_path / "run" / "train.json").exists()


def test_views_are_checked_before_anything(world, tmp_path):
    with pytest.raises(ValueError, match="odd size"):
        train.run(
            options(world, tmp_path),
            dataclasses.replace(SMALL, size_zyx=(8, 9, 9)),
            ADAM,
            views.ViewOptions(),
        )
