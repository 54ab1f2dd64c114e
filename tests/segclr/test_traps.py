"""Traps of the public code (shared/reference/segclr_behaviour.md 1.11).

Which test sees that we have not walked into them; those without one before are
here. 8 to 11 and 13 are about classification, tests/segclr/classification.

    1   z is never flipped            training/test_views: flips_turn_all_three
    2   frozen random numbers         the same; each_view_is_changed_by_itself
    3   norms of the heads do not     model/test_encoder:
        know of training              only_training_changes_what_norms_remember
    4   no embedding comes out        an_embedding_comes_out, here
    5   momentum and decay swapped    momentum_and_decay, here
    6   a hidden second loss          the_loss_is_all, here
    7   a size that is not the        sizes_are_those_of_the_file, here
        file's
    12  csvs: empty last line         embedding/test_csvzip: trailing_newlines
        floats as keys, two nodes     a_row_twice
        of one place
        whole files in memory         in_blocks; pieces
        URLs                          a_folder_behind_a_url, here
        ids of 64 bytes only          shards_of_the_releases; there_and_back
    14  excluded by names             training/test_lars:
                                      biases_and_norms_by_their_layers
        an optimizer of Keras 2       an_optimizer_of_keras_3, here
    15  log of no distance            sampling/test_pairs:
                                      nobody_is_their_own_partner; and no pair
                                      is without distance, here
    16  a warm-up that is flat        test_train: rates
"""

import shutil

import fsspec
import keras
import numpy as np
import pytest

from ffn_tf.skeleton import Skeleton
from segclr import model
from segclr.embedding import csvzip
from segclr.sampling import nodes, pairs
from segclr.training import lars, objective, step, views


@pytest.fixture
def encoder():
    keras.utils.set_random_seed(0)
    made = model.Encoder("resnet10", 2, 6, 5, size_zyx=(9, 9, 9))
    made.build()
    return made


def cutouts(count, seed):
    rng = np.random.default_rng(seed)
    return rng.random((count, 9, 9, 9, 1), np.float32)


def test_an_embedding_comes_out(encoder):
    """4: and what the loss sees is another thing."""
    embedded = encoder(cutouts(3, 0))
    assert embedded.shape == (3, 6)
    assert encoder.project(embedded).shape == (3, 5)


def test_momentum_and_decay():
    """5: 0.9 and 1e-4, not the other way round."""
    options = step.OptimizerOptions()
    assert (options.momentum, options.weight_decay) == (0.9, 1e-4)
    made = lars.LARS(0.1)
    assert (made.momentum, made.decay) == (0.9, 1e-4)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_is_all(encoder, temperature):
    """6: of a step is that of the projections, and nothing is added."""
    options = step.OptimizerOptions(
        "adamw", temperature=temperature, mask_same_segment=False
    )
    first, second = cutouts(4, 1), cutouts(4, 2)
    projected = np.asarray(
        encoder.project(
            encoder(np.concatenate([first, second]), training=True),
            training=True,
        )
    )
    expected = objective.nt_xent(projected[:4], projected[4:], temperature)
    made = step.TrainStep(encoder, options, 4, 10)
    found = made(views.Views(first, second, np.arange(4)), 0)
    assert found["loss"] == pytest.approx(float(expected), rel=1e-3)
    assert not encoder.losses


def test_sizes_are_those_of_the_file(encoder, tmp_path):
    """7: 64 and 16 by default, as released; else what was saved."""
    assert model.Encoder().embedding_size == 64
    assert model.Encoder().config["projection"] == 16
    model.save(encoder, tmp_path, {})
    again = model.load(tmp_path)
    assert again.embedding_size == 6
    assert again.config["projection"] == 5


def test_a_folder_behind_a_url(tmp_path):
    """12: joined by slashes, and read without a copy."""
    layout = csvzip.Layout(1)
    rows = csvzip.Rows(np.arange(2), np.ones((2, 3)), np.ones((2, 4), "f4"))
    csvzip.write_shard(tmp_path, 0, [(7, [rows])], layout)
    there = fsspec.filesystem("memory")
    with there.open("/h01/zips/0.zip", "wb") as file:
        with open(tmp_path / "0.zip", "rb") as source:
            shutil.copyfileobj(source, file)
    for folder in ("memory://h01/zips", "memory://h01/zips/"):
        reader = csvzip.Reader(folder, layout)
        for _ in range(2):
            assert len(reader.get(7)) == 2
    with pytest.raises(KeyError, match=r"memory://h01/0\.zip: no such zip"):
        csvzip.Reader("memory://h01", layout).get(7)


def test_an_optimizer_of_keras_3():
    """14: what Keras compiles, saves and restores."""
    assert isinstance(lars.LARS(0.1), keras.optimizers.Optimizer)


def test_no_pair_is_without_distance():
    """15: though vertices lie on each other."""
    vertices = np.zeros((40, 3))
    vertices[:, 2] = np.repeat(np.arange(20) * 200.0, 2)
    edges = np.stack([np.arange(39), np.arange(1, 40)], axis=1)
    placed = nodes.place(Skeleton(5, vertices, edges), 100.0)
    drawn = pairs.drawn(placed, np.random.default_rng(0), (0.0, 2000.0), 5.0)
    assert len(drawn) > 50
    assert drawn.distance_nm.min() > 0
    assert np.isfinite(np.log(drawn.distance_nm)).all()
