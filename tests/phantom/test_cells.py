"""Two types of cells differ inside, and only there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from ffn_tf import phantom, volume
from ffn_tf.phantom import cells, tissue


@pytest.fixture(scope="module")
def typed() -> phantom.Options:
    return phantom.Options(
        seed=8, size_zyx=(116, 116, 116), voxel_size_nm=(20,) * 3, cell_types=2
    )


@pytest.fixture(scope="module")
def grown(typed) -> tissue.Tissue:
    return tissue.of(typed)


def test_one_type_is_all_of_a():
    assert set(cells.assigned(("axon",) * 50, 3, 1)) == {0}
    assert cells.label("axon", 0, 1) == "axon"


def test_neurons_have_types_and_glia_none(typed, grown):
    found = phantom.truth(typed).types
    assert set(found.values()) == {
        *("axon a", "axon b", "dendrite a", "dendrite b", "glia", "soma")
    }
    for label, name in found.items():
        assert name.startswith(grown.kinds[label - 1])
    share = np.mean(grown.cells)
    assert 0.35 < share < 0.65


def test_what_is_inside_differs(grown):
    contents, cell = grown.contents, np.array((0, *grown.cells))
    is_b = cell[contents.dense_cores.owner] == 1
    assert 2 * (~is_b).sum() < is_b.sum()
    is_b = cell[contents.vesicles.owner] == 1
    radius = contents.vesicles.ra
    assert radius[is_b].mean() + 2 < radius[~is_b].mean()
    is_b = cell[contents.microtubules.owner] == 1
    assert is_b.sum() < (~is_b).sum()


def test_outlines_do_not(grown):
    kinds, cell = np.array(grown.kinds), np.array(grown.cells)
    typical = np.array([np.median(radius) for radius in grown.radii])
    for kind in ("axon", "dendrite"):
        a, b = (
            np.median(typical[(kinds == kind) & (cell == c)]) for c in (0, 1)
        )
        assert abs(np.log(a / b)) < 0.35


def test_nuclei_are_seen_in_bodies_and_nowhere_else(typed, grown, monkeypatch):
    nuclei = grown.contents.nuclei
    assert {grown.kinds[owner - 1] for owner in nuclei.owner} == {"soma"}
    middle = np.clip(nuclei.a[0] // 20, 20, 96).astype(np.int64)
    around = volume.Box(tuple(middle - 20), tuple(middle + 20))
    with_them = phantom.generate(typed, around)
    none = nuclei[np.zeros(len(nuclei.owner), bool)]
    bare = dataclasses.replace(grown.contents, nuclei=none)
    without = dataclasses.replace(grown, contents=bare)
    monkeypatch.setattr(tissue, "of", lambda options: without)
    other = phantom.generate(typed, around)
    np.testing.assert_array_equal(other.labels, with_them.labels)
    changed = other.image != with_them.image
    assert changed.sum() > 1000
    bodies = np.isin(with_them.labels, nuclei.owner)
    assert not (changed & ~ndimage.binary_dilation(bodies, None, 5)).any()


def test_other_numbers_are_refused():
    with pytest.raises(ValueError, match="cell_types: expected 1 or 2"):
        phantom.Options(cell_types=3)
