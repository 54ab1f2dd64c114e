"""Organelles are in the neurites that they belong to."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf.phantom import nearest, tissue


@pytest.fixture(scope="module")
def grown(options) -> tissue.Tissue:
    return tissue.grow_tissue(options.size_nm, options.seed)


def kinds_of(grown: tissue.Tissue, owners: np.ndarray) -> set[str]:
    return {grown.kinds[owner - 1] for owner in np.unique(owners)}


def inside(options, whole, capsules: nearest.Capsules):
    """Owners of capsules with their middle in the volume; labels there."""
    middle = (capsules.a + capsules.b) / 2 / np.array(options.voxel_size_nm)
    index = np.floor(middle).astype(np.int64)
    held = ((index >= 0) & (index < options.size_zyx)).all(1)
    return capsules.owner[held], whole.labels[tuple(index[held].T)]


def test_each_kind_has_its_own(grown):
    contents = grown.contents
    assert kinds_of(grown, contents.vesicles.owner) == {"axon"}
    assert kinds_of(grown, contents.dense_cores.owner) == {"axon"}
    assert kinds_of(grown, contents.synapses.owner) == {"axon"}
    assert "dendrite" in kinds_of(grown, contents.microtubules.owner)
    assert kinds_of(grown, contents.mitochondrion_of) == {"axon", "dendrite"}


def test_they_are_where_their_neurite_is(options, whole, grown):
    # Sections that move take labels along, and organelles in this frame do not.
    astray = 0.2 if options.misalignment_nm else 0.05
    contents = grown.contents
    thin = [contents.vesicles, contents.microtubules, contents.reticulum]
    owner, label = inside(options, whole, nearest.Capsules.joined(thin))
    assert len(owner) > 20
    assert (owner != label).mean() < astray


def test_mitochondria_are_thinner_than_their_neurites(grown):
    contents = grown.contents
    rods = contents.mitochondria
    assert len(contents.mitochondrion_of) == rods.owner.max() + 1
    for number, neurite in enumerate(contents.mitochondrion_of):
        widest = grown.radii[neurite - 1].max()
        assert rods.ra[rods.owner == number].max() < widest


def test_synapses_point_somewhere(grown):
    axis = grown.contents.synapses.axis
    np.testing.assert_allclose((axis * axis).sum(1), 1)
