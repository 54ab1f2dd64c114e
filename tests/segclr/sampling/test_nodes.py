"""Nodes: where they are, and how far apart."""

import numpy as np
import pytest

from ffn_tf.skeleton import Skeleton
from segclr.sampling import nodes


def line(count, step=10.0, start=0):
    x = np.arange(count) * step
    vertices = np.stack([0 * x, 0 * x + start, x], axis=1)
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    return vertices, edges


def of(vertices, edges, **more):
    return Skeleton(7, np.asarray(vertices, float), np.asarray(edges), **more)


def test_along_a_line():
    found = nodes.place(of(*line(101)), 200.0)
    np.testing.assert_allclose(
        found.skeleton.vertices_nm_zyx[:, 2], [0, 200, 400, 600, 800, 1000]
    )
    assert found.skeleton.id == 7
    np.testing.assert_allclose(found.lengths_nm, 200)
    np.testing.assert_array_equal(
        found.skeleton.edges, [[1, 0], [2, 1], [3, 2], [4, 3], [5, 4]]
    )


def test_branches_go_on_from_the_same_node():
    vertices, edges = line(101)
    branch = np.stack(
        [np.zeros(50), 10.0 * np.arange(1, 51), np.full(50, 500.0)], axis=1
    )
    more = np.stack([[50, *range(101, 150)], range(101, 151)], axis=1)
    found = nodes.place(
        of(np.concatenate([vertices, branch]), np.concatenate([edges, more])),
        200.0,
    )
    y = found.skeleton.vertices_nm_zyx[:, 1]
    # 100 nm before the branch, and 100 nm into it, or nearly so.
    np.testing.assert_allclose(sorted(y[y > 0])[:2], [100, 300], atol=12)
    assert found.distances_nm(np.array([0]), 1e9).max() == pytest.approx(
        1000, abs=25
    )
    assert len(found.skeleton.edges) == len(found) - 1


def test_each_piece_has_one():
    first, edges = line(30)
    second, _ = line(3, start=1000)
    alone = [[5.0, 5, 5]]
    found = nodes.place(
        of(
            np.concatenate([first, second, alone]),
            np.concatenate([edges, [[30, 31], [31, 32]]]),
        ),
        1000.0,
    )
    assert len(found) == 3
    assert not len(found.skeleton.edges)
    assert np.isinf(found.distances_nm(np.array([0]), 1e9)[0, 1:]).all()


def test_a_ring_has_nodes_all_around():
    count = 100
    angle = np.arange(count) * 2 * np.pi / count
    vertices = 1000 * np.stack([0 * angle, np.sin(angle), np.cos(angle)], 1)
    edges = np.stack([np.arange(count), np.roll(np.arange(count), -1)], 1)
    found = nodes.place(of(vertices, edges), 500.0)
    gaps = np.linalg.norm(
        vertices[:, None] - found.skeleton.vertices_nm_zyx[None], axis=2
    )
    assert gaps.min(1).max() < 700


def test_zigzags_are_measured_straight():
    """A traced line that jumps to and fro; the neurite is straight."""
    vertices, edges = line(401, 10.0)
    vertices[:, 1] = np.where(np.arange(401) % 2, 8.0, -8.0)
    raw = of(vertices, edges)
    assert raw.length_nm > 1.8 * 4000
    found = nodes.place(raw, 500.0)
    assert found.lengths_nm.sum() == pytest.approx(
        np.ptp(found.skeleton.vertices_nm_zyx[:, 2]), rel=0.02
    )


def test_radii_and_vertices_are_kept():
    vertices, edges = line(50)
    radii = np.arange(50, dtype=np.float32)
    found = nodes.place(of(vertices, edges, radii_nm=radii), 100.0)
    np.testing.assert_array_equal(found.skeleton.radii_nm, [0, 10, 20, 30, 40])


def test_distances_are_limited():
    found = nodes.place(of(*line(101)), 200.0)
    far = found.distances_nm(np.array([0, 2]), 500.0)
    np.testing.assert_allclose(far[0], [0, 200, 400, np.inf, np.inf, np.inf])
    np.testing.assert_allclose(far[1], [400, 200, 0, 200, 400, np.inf])


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan")])
def test_no_spacing(spacing):
    with pytest.raises(ValueError, match="--spacing_nm: expected more than 0"):
        nodes.place(of(*line(3)), spacing)


@pytest.mark.parametrize("seed", range(4))
def test_no_place_is_far_from_a_node(seed):
    """A random tree: whatever its shape."""
    rng = np.random.default_rng(seed)
    count = 300
    parents = np.array(
        [rng.integers(max(0, i - 3), i) for i in range(1, count)]
    )
    vertices = np.zeros((count, 3))
    for i, parent in enumerate(parents, 1):
        vertices[i] = vertices[parent] + rng.normal(size=3) * 30
    mixed = rng.permutation(count)
    place = np.argsort(mixed)
    edges = np.stack([place[np.arange(1, count)], place[parents]], 1)
    found = nodes.place(of(vertices[mixed], edges), 150.0)
    gaps = np.linalg.norm(
        vertices[:, None] - found.skeleton.vertices_nm_zyx[None], axis=2
    )
    longest = np.linalg.norm(np.diff(vertices[mixed][edges], axis=1), axis=-1)
    assert gaps.min(1).max() < 150 + 4 * longest.max()
    assert len(found.skeleton.edges) == len(found) - 1
