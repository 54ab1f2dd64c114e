"""The encoder: the paper's sizes, what a mean of a cutout is, files."""

import json

import keras
import numpy as np
import pytest

from segclr import model
from segclr.model import folding


@pytest.fixture
def small():
    keras.utils.set_random_seed(1)
    made = model.Encoder(width=2, embedding=5, projection=3, size_zyx=(9,) * 3)
    made.build()
    return made


def cutouts(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def test_the_paper_s_parameters():
    """33.74 million (shared/reference/segclr_behaviour.md 1.1)."""
    paper = model.Encoder()
    paper.build()
    count = sum(np.prod(w.shape) for w in paper.trainable_weights)
    assert count == pytest.approx(33.74e6, abs=5e3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(129, [65, 33, 33, 17, 9, 5]), (33, [17, 9, 9, 5, 3, 2])],
)
def test_the_paper_s_maps(small, size, expected):
    found = small.resnet.maps(np.zeros((1, size, size, size, 1), np.float32))
    assert [one.shape[1:4] for one in found] == [(n,) * 3 for n in expected]


@pytest.mark.parametrize("kind", model.STAGES)
def test_kinds(kind):
    made = model.Encoder(kind, width=2, size_zyx=(17, 17, 17))
    made.build()
    found = made(cutouts(2, 17, 17, 17, 1))
    assert found.shape == (2, 64)
    assert made.project(found).shape == (2, 16)


def test_a_block_normalises_after_its_rectifier(small):
    """By hand, from the weights: conv, relu, norm; the sum, relu."""
    block = small.resnet.stages[0][1]  # Without a shortcut.
    rng = np.random.default_rng(3)
    for weight in block.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    x = cutouts(1, 4, 4, 4, 2)
    expected = x
    for conv, norm in zip(block.convs, block.norms):
        expected = np.maximum(np.asarray(conv(expected)), 0)
        gamma, beta, mean, variance = map(np.asarray, norm.weights)
        expected = (expected - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    expected = np.maximum(expected + x, 0)
    np.testing.assert_allclose(block(x), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(9, 9, 9), (7, 11, 15)])
def test_folded_it_is_the_same(small, size):
    """To the last digits: sums are in another order."""
    x = cutouts(3, *size)
    cells = np.full((3, *(folding.folded_size(n) for n in size), 8), 7, "f4")
    folding.fold(x, cells)
    np.testing.assert_allclose(
        small.resnet.folded(cells), small.resnet(x[..., None]), rtol=1e-4
    )


def test_only_training_changes_what_norms_remember(small):
    before = [np.array(w) for w in small.non_trainable_weights]
    small(cutouts(4, 9, 9, 9, 1))
    same = [np.array(w) for w in small.non_trainable_weights]
    small.project(small(cutouts(4, 9, 9, 9, 1), training=True), training=True)
    after = [np.array(w) for w in small.non_trainable_weights]
    for one, other, third in zip(before, same, after):
        np.testing.assert_array_equal(one, other)
        assert (one != third).any()


def test_an_embedding_is_of_its_cutout_alone(small):
    both = cutouts(2, 9, 9, 9, 1)
    np.testing.assert_allclose(
        small(both)[:1], small(both[:1]), rtol=1e-4, atol=1e-6
    )


def test_files(small, tmp_path):
    model.save(small, tmp_path, {"by": "a test"})
    again = model.load(tmp_path)
    assert again.size_zyx == (9, 9, 9)
    x = cutouts(1, 9, 9, 9, 1)
    np.testing.assert_array_equal(again(x), small(x))
    told = json.loads((tmp_path / "model.json").read_text())
    assert (told["model"], told["origin"]) == ("segclr", {"by": "a test"})


def test_no_encoder(tmp_path):
    with pytest.raises(FileNotFoundError, match="No encoder in"):
        model.load(tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="does not describe a network"):
        model.load(tmp_path)


def test_a_network_of_flood_filling_is_no_encoder():
    from ffn_tf import model as ffn_model

    with pytest.raises(
        ValueError, match=r"model\.json: a 'convstack' is no encoder"
    ):
        model.load(ffn_model.SHIPPED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "resnet19"}, "Unknown network 'resnet19'"),
        ({"size_zyx": (128, 129, 129)}, "cutouts of odd size"),
        ({"width": 0}, "widths of 1 or more"),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(ValueError, match=message):
        model.Encoder(**changes)
