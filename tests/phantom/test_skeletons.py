"""Centre lines lie in their neurites; labels hang on centre lines."""

from __future__ import annotations

import cc3d
import numpy as np

from ffn_tf import phantom
from ffn_tf.phantom import skeletons


def voxel_of(options, points):
    index = np.floor(points / np.array(options.voxel_size_nm))
    return tuple(index.astype(np.int64).T)


def test_every_vertex_is_in_its_neurite(options, whole, truth):
    assert len(truth.skeletons) > 5
    for label, skeleton in truth.skeletons.items():
        found = whole.labels[voxel_of(options, skeleton.vertices_nm)]
        assert (found == label).all()


def test_edges_stay_in_their_neurite(options, whole, truth):
    stray = total = 0
    for label, skeleton in truth.skeletons.items():
        ends = skeleton.vertices_nm[skeleton.edges]
        for t in (0.25, 0.5, 0.75):
            points = ends[:, 0] * (1 - t) + ends[:, 1] * t
            found = whole.labels[voxel_of(options, points)]
            stray += int((found != label).sum())
            total += len(found)
    # A moved section breaks a straight edge; a bend may cut a corner.
    assert stray <= 0.02 * total
    assert total > 50


def test_edges_are_short_and_make_trees(truth):
    for skeleton in truth.skeletons.values():
        ends = skeleton.vertices_nm[skeleton.edges]
        assert (
            np.sqrt(((ends[:, 0] - ends[:, 1]) ** 2).sum(-1)).max(initial=0)
            < 200
        )
        assert len(skeleton.edges) < len(skeleton.vertices_nm)
        assert (skeleton.radius_nm > 15).all()


def test_labels_are_in_one_piece_inside(options, whole, truth):
    """A piece without a vertex is one that the volume's faces cut off."""
    pieces, count = cc3d.connected_components(
        whole.labels, connectivity=26, return_N=True
    )
    has_vertex = np.zeros(count + 1, np.bool_)
    for skeleton in truth.skeletons.values():
        has_vertex[pieces[voxel_of(options, skeleton.vertices_nm)]] = True
    at_face = np.zeros(count + 1, np.bool_)
    for axis in range(3):
        faces = np.take(pieces, [0, -1], axis)
        at_face[faces] = True
    lost = ~(has_vertex | at_face)[pieces]
    assert lost.mean() < 1e-3


def test_every_label_has_a_type(whole, truth):
    assert set(np.unique(whole.labels).tolist()) <= set(truth.types)
    assert set(truth.types.values()) == {"axon", "dendrite", "glia"}


def test_what_is_saved_is_loaded(truth, tmp_path):
    skeletons.save(tmp_path / "truth.npz", truth)
    again = skeletons.load(tmp_path / "truth.npz")
    assert again.types == truth.types
    assert list(again.skeletons) == list(truth.skeletons)
    for label, skeleton in truth.skeletons.items():
        for name in ("vertices_nm", "radius_nm", "edges"):
            one = getattr(skeleton, name)
            two = getattr(again.skeletons[label], name)
            np.testing.assert_array_equal(one, two)
            assert one.dtype == two.dtype


def test_no_skeletons_are_saved_too(tmp_path):
    nothing = phantom.Truth({}, {3: "axon"})
    skeletons.save(tmp_path / "truth.npz", nothing)
    again = skeletons.load(tmp_path / "truth.npz")
    assert again.skeletons == {}
    assert again.types == {3: "axon"}
