"""Lines through blocks: traced, and put together."""

import numpy as np
import pytest
from scipy import sparse, spatial
from scipy.sparse import csgraph

from ffn_tf import skeleton, volume
from ffn_tf.skeleton import precomputed, tracing

NM = (30.0, 10.0, 10.0)
HOW = tracing.Options(const_nm=50.0, min_branch_nm=100.0)


@pytest.fixture
def branching():
    """Along x, a round rod, 100 nm thick; from its middle another, along y."""
    z, y, x = (
        np.indices((9, 120, 160)).T + 0.5 - (4.5, 32, 82)
    ).T * np.reshape(NM, (3, 1, 1, 1))
    along_x = (np.hypot(z, y) < 100) & (abs(x) < 760)
    along_y = (np.hypot(z, x) < 100) & (y > 0) & (y < 840)
    return np.where(along_x | along_y, 300, 0).astype(np.uint16)


TIPS_NM = [[135, 320, 60], [135, 320, 1580], [135, 1160, 820]]


def num_pieces(one):
    count = len(one.vertices_nm_zyx)
    graph = sparse.coo_array(
        (np.ones(len(one.edges)), one.edges.T), shape=(count, count)
    )
    return csgraph.connected_components(graph, directed=False)[0]


def ends(one):
    degree = np.bincount(one.edges.ravel(), minlength=len(one.vertices_nm_zyx))
    return one.vertices_nm_zyx[degree == 1]


def test_a_block(branching):
    found = tracing.trace(branching, (100, 200, 300), NM, HOW)
    assert found.keys() == {300}
    one = found[300]
    voxels = one.voxels_zyx(NM) - (100, 200, 300)
    np.testing.assert_allclose(
        one.vertices_nm_zyx, (voxels + (100.5, 200.5, 300.5)) * NM
    )
    assert (branching[tuple(voxels.T)] == 300).all()
    assert num_pieces(one) == 1
    assert 80 < np.median(one.radii_nm) < 120


@pytest.mark.parametrize("cut", [40, 70, 80, 110])
def test_blocks_are_joined(branching, cut):
    whole = tracing.join(
        [tracing.trace(branching, (0, 0, 0), NM, HOW)[300]], NM, HOW
    )
    domain = volume.Box.from_shape(branching.shape)
    pieces = []
    for box in volume.grid.tile(domain, (9, 120, cut)):
        read = tracing.extended(box, domain)
        block = branching[read.slices]
        pieces += tracing.trace(block, read.start, NM, HOW).values()
    assert len(pieces) > 1
    joined = tracing.join(pieces, NM, HOW)
    assert num_pieces(joined) == 1
    assert len(joined.edges) == len(joined.vertices_nm_zyx) - 1
    for one in (whole, joined):
        tips, _ = spatial.KDTree(ends(one)).query(TIPS_NM)
        assert (tips < 150).all()
    again = tracing.join(pieces[::-1], NM, HOW)
    np.testing.assert_array_equal(joined.vertices_nm_zyx, again.vertices_nm_zyx)
    np.testing.assert_array_equal(joined.edges, again.edges)


def test_what_does_not_touch_stays_apart():
    labels = np.zeros((10, 10, 90), np.uint8)
    labels[2:8, 2:8, 2:40] = labels[2:8, 2:8, 60:88] = 1
    found = tracing.trace(labels, (0, 0, 0), (10.0,) * 3, HOW)[1]
    assert num_pieces(tracing.join([found], (10.0,) * 3, HOW)) == 2


def test_short_branches_and_loose_bits_are_left_out():
    x = np.arange(100)
    main = np.stack([0 * x, 0 * x, x], 1)
    branch = np.array([[0, i, 50] for i in range(1, 9)])
    loose = np.array([[40, 40, 40], [40, 40, 41]])
    places = np.concatenate([main, branch, loose])
    edges = [[i, i + 1] for i in range(99)] + [[50, 100], [108, 109]]
    edges += [[i, i + 1] for i in range(100, 107)]
    one = skeleton.Skeleton(
        7,
        (places + 0.5) * 10,
        np.array(edges),
        np.full(len(places), 10, np.float32),
    )
    kept = tracing.join([one], (10.0,) * 3, HOW)
    assert kept.id == 7
    assert len(kept.vertices_nm_zyx) == 100
    assert kept.vertices_nm_zyx[:, 1].max() == 5
    longer = tracing.join(
        [one], (10.0,) * 3, tracing.Options(min_branch_nm=5.0)
    )
    assert len(longer.vertices_nm_zyx) == len(places)


def test_what_is_short_altogether_stays():
    one = skeleton.Skeleton(
        7,
        np.array([[5.0, 5, 5], [5, 5, 15]]),
        np.array([[0, 1]]),
        np.ones(2, np.float32),
    )
    kept = tracing.join([one], (10.0,) * 3, tracing.Options())
    assert kept.length_nm == 10


def test_a_single_vertex():
    one = skeleton.Skeleton(
        7, np.full((1, 3), 5.0), np.zeros((0, 2), int), np.ones(1, np.float32)
    )
    kept = tracing.join([one], (10.0,) * 3, tracing.Options())
    np.testing.assert_array_equal(kept.vertices_nm_zyx, [[5, 5, 5]])


def test_far_from_the_origin_voxels_are_not_lost():
    """As in the last corner of H01, through files."""
    start = (5000, 700_000, 1_000_000)
    rod = np.ones((4, 4, 300), np.uint8)
    size = (4.0, 4.0, 4.0)
    found = tracing.trace(rod, start, size, HOW)[1]
    stored = precomputed.decode(precomputed.encode(found), 1, "1")
    joined = tracing.join([stored], size, HOW)
    voxels = joined.voxels_zyx(size)
    np.testing.assert_array_equal(joined.vertices_nm_zyx, (voxels + 0.5) * size)
    assert voxels[:, 2].min() >= start[2]


@pytest.mark.parametrize("name", ["scale", "const_nm", "min_branch_nm"])
def test_bad_options(name):
    with pytest.raises(ValueError, match=f"--{name}: expected 0 or more"):
        tracing.Options(**{name: -1.0})
