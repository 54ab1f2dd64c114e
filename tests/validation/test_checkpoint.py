"""A checkpoint that finds two boxes, and what is made of it (conftest.py)."""

import math

import numpy as np
import pytest

from ffn_tf import model, volume
from ffn_tf.validation import checkpoint

ALL = "start { x: 30 y: 20 z: 10 } size { x: 28 y: 16 z: 20 }"
SIZES = np.array([700, 700, 1260, 448, 448])


def validator(tissue, **changes):
    values = {
        "eval_volume": f"{tissue}/em.npy",
        "eval_truth": f"{tissue}/truth.npy",
    }
    return checkpoint.Validator(
        checkpoint.ValidationOptions(**(values | changes))
    )


def test_scores(tissue, trained):
    found = validator(tissue).validated(trained(), 100)
    scores, total = found.scores, SIZES.sum()
    # A and B are found; the truth has two bodies in A, and two in no segment.
    assert scores.segments == 2
    assert scores.coverage == pytest.approx(2660 / total)
    assert scores.voi_split == 0
    assert scores.voi_merge == pytest.approx((1400 + 896) / total)
    assert scores.voi_of_nothing == pytest.approx(
        sum(n / total * math.log2(total / n) for n in SIZES)
    )
    joined = np.sum(SIZES * (SIZES - 1))
    made = sum(n * (n - 1) for n in (1400, 1260, 896))
    assert scores.arand == pytest.approx(1 - 2 * joined / (joined + made))
    assert scores.erl_nm is None and scores.seconds > 0
    assert found.step == 100
    assert found.settings == {
        "image": f"{tissue}/em.npy",
        "truth": f"{tissue}/truth.npy",
        "start_zyx": [10, 20, 30],
        "size_zyx": [20, 16, 28],
        "skeletons": None,
        "merge_threshold": 0,
        "disco_seed_threshold": -1,
    }
    assert found.made_by["image_mean"] == 400


def test_run_length(tissue, trained):
    """Of 11 nodes in A the first is outside; the third line is nowhere."""
    lines = validator(tissue, eval_skeletons=f"{tissue}/lines")
    scores = lines.validated(trained(), 100).scores
    assert scores.erl_nm == pytest.approx((360**2 + 200**2) / 600)
    best = (400**2 + 200**2) / 600
    assert scores.normalised_erl == pytest.approx(scores.erl_nm / best)
    # A box that ends at section 9 cuts the first: its nodes 2..8 remain.
    short = validator(
        tissue,
        eval_skeletons=f"{tissue}/lines",
        eval_box="start { x: 30 y: 20 z: 10 } size { x: 13 y: 16 z: 20 }",
    )
    scores = short.validated(trained(200), 200).scores
    assert scores.erl_nm == pytest.approx(360**2 / 400)


def test_normalisations_that_differ_are_measured(tissue, trained):
    several = {n: {"mean": m, "stddev": 30} for n, m in (("a", 1), ("b", 2))}
    found = validator(tissue).validated(trained(normalisation=several), 1)
    assert found.scores.segments == 2
    with volume.open(f"{tissue}/em.npy") as opened:
        values = opened.read(opened.domain)
    assert found.made_by["image_mean"] == pytest.approx(values.mean())
    assert found.made_by["image_stddev"] == pytest.approx(values.std())


def test_normalisation_counts(tissue, trained):
    """With one under which all is dark, nothing is found."""
    dark = {"em": {"mean": 800, "stddev": 100}}
    scores = validator(tissue).validated(trained(normalisation=dark), 1).scores
    assert (scores.segments, scores.coverage) == (0, 0)
    assert scores.voi == pytest.approx(scores.voi_of_nothing)
    assert scores.cost[0]


@pytest.mark.parametrize(
    ("shape", "start", "size"),
    [
        ((300, 96, 40), (102, 0, 0), (96, 96, 40)),
        ((97, 99, 196), (0, 1, 50), (96, 96, 96)),
    ],
)
def test_the_middle(tmp_path, shape, start, size):
    np.save(tmp_path / "all.npy", np.ones(shape, np.uint8))
    address = f"{tmp_path}/all.npy"
    found = checkpoint.Validator(
        checkpoint.ValidationOptions(eval_volume=address, eval_truth=address)
    )
    assert (found.box.start, found.box.size) == (start, size)


def test_a_box_is_clipped(tissue):
    asked = "start { x: 40 y: 0 z: 20 } size { x: 99 y: 99 z: 9 }"
    box = validator(tissue, eval_box=asked).box
    assert box == volume.Box((20, 20, 40), (29, 36, 58))


def test_a_box_elsewhere(tissue):
    with pytest.raises(ValueError, match=r"Nothing to validate on: .*em\.npy"):
        validator(tissue, eval_box="size { x: 9 y: 9 z: 9 }")


def test_a_box_smaller_than_the_field_of_view(tissue):
    found = validator(tissue)
    found.check_view(model.FieldOfView((19, 15, 27), (2, 2, 2)))
    with pytest.raises(ValueError, match="smaller than the network's field"):
        found.check_view(model.FieldOfView((19, 17, 27), (2, 2, 2)))


def test_nothing_labelled(tissue):
    with pytest.raises(ValueError, match="truth is 0 in all"):
        validator(
            tissue,
            eval_box="start { x: 30 y: 20 z: 12 } size { x: 9 y: 9 z: 1 }",
        )


def test_truth_that_is_not_of_integers(tissue, tmp_path):
    np.save(tmp_path / "truth.npy", np.ones((30, 40, 60), np.float32))
    with pytest.raises(ValueError, match="integer ids: found float32"):
        validator(tissue, eval_truth=f"{tmp_path}/truth.npy")


def test_nan_in_the_image(tissue, tmp_path):
    values = np.ones((30, 40, 60), np.float32)
    values[20, 30, 40] = np.nan
    np.save(tmp_path / "em.npy", values)
    with pytest.raises(ValueError, match="NaN or infinity in"):
        validator(tissue, eval_volume=f"{tmp_path}/em.npy")


def test_skeletons_elsewhere(tissue):
    outside = f"{tissue}/lines/3.swc"
    with pytest.raises(ValueError, match="no edge of 1 skeletons lies in"):
        validator(tissue, eval_skeletons=outside)
    with pytest.raises(ValueError, match="number of nodes, found -1"):
        validator(
            tissue, eval_skeletons=f"{tissue}/lines", eval_merge_threshold=-1
        )


def test_skeletons_need_a_voxel_size(tissue, tmp_path):
    for name in ("em", "truth"):
        np.save(tmp_path / f"{name}.npy", np.ones((9, 9, 9), np.uint8))
    with pytest.raises(ValueError, match="has a voxel size"):
        validator(tmp_path, eval_skeletons=f"{tissue}/lines")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"eval_volume": "em"}, "go together"),
        ({"eval_truth": "truth"}, "go together"),
        ({"eval_box": ALL}, "are for --eval_volume"),
        ({"eval_merge_threshold": 3}, "are for --eval_volume"),
    ],
)
def test_options_that_do_not_fit(given, says):
    with pytest.raises(ValueError, match=says):
        checkpoint.ValidationOptions(**given)
