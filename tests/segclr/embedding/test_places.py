"""Places: nodes of skeletons, in blocks; files."""

import numpy as np
import pytest

from ffn_tf.skeleton import Skeleton
from segclr.embedding import places


@pytest.fixture
def found():
    """Two lines along x, of 60 and 11 nodes."""
    skeletons = []
    for id_, y, count in ((2**63 + 1, 50.0, 601), (4, 2000.0, 101)):
        x = np.arange(count) * 10.0
        vertices = np.stack([0 * x + 5, 0 * x + y, x], 1)
        edges = np.stack([np.arange(count - 1), np.arange(1, count)], 1)
        skeletons.append(Skeleton(id_, vertices, edges))
    return places.found(skeletons, 100.0)


def test_nodes_and_edges(found):
    nodes, edges = found
    ids, counts = np.unique(nodes.segment, return_counts=True)
    assert ids.tolist() == [4, 2**63 + 1]
    assert counts.tolist() == [11, 61]
    np.testing.assert_array_equal(nodes.node[:61], np.arange(61))
    assert not nodes.radius.any()
    assert len(edges.segment) == 60 + 10
    np.testing.assert_allclose(edges.length_nm, 100)
    mine = edges.segment == 4
    assert edges.nodes[mine].max() == 10


def test_in_blocks(found):
    nodes, _ = found
    ordered = places.ordered(nodes, (1000.0,) * 3, 500.0, 8)
    assert ordered.starts[0] == 0 and ordered.starts[-1] == len(nodes) == 72
    sizes = np.diff(ordered.starts)
    assert 1 <= sizes.min() and sizes.max() <= 8
    for task in range(ordered.num_tasks):
        position = ordered.position[ordered.of_task(task)]
        assert len(np.unique(position // 1000, axis=0)) == 1
    # The same places.
    keys = [np.lexsort((one.node, one.segment)) for one in (nodes, ordered)]
    for name in ("segment", "node", "position"):
        one, other = (
            getattr(each, name)[key]
            for each, key in zip((nodes, ordered), keys)
        )
        np.testing.assert_array_equal(one, other)


def test_files(found, tmp_path):
    nodes, _ = found
    assert places.load(tmp_path) is None
    nodes.save(tmp_path)
    again = places.load(tmp_path)
    np.testing.assert_array_equal(again.position, nodes.position)
    assert isinstance(again.position, np.memmap)
    (tmp_path / "position.npy").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"damaged .*; delete the folder"):
        places.load(tmp_path)


def test_places_of_a_table(tmp_path):
    path = tmp_path / "nodes.csv"
    path.write_text(
        f"x_nm,y_nm,z_nm,segment\n3,2,1,{2**63}\n6,5,4,7\n9,8,7,{2**63}\n"
    )
    found, edges = places.read(path)
    assert found.segment.tolist() == [2**63, 7, 2**63]
    assert found.node.tolist() == [0, 0, 1]
    assert found.position.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert found.num_tasks == 1 and not len(edges.segment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("segment,z,y,x\n", "expected the columns segment, z_nm"),
        ("segment,z_nm,y_nm,x_nm\n", "has no nodes"),
        ("segment,z_nm,y_nm,x_nm\n5,1,2\n", r"csv:2: expected a segment"),
        ("segment,z_nm,y_nm,x_nm\n0,1,2,3\n", r"csv:2: expected a segment"),
        ("segment,z_nm,y_nm,x_nm\n5,1,nan,3\n", r"csv:2: expected a segment"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    path = tmp_path / "nodes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        places.read(path)
    with pytest.raises(FileNotFoundError, match="no such file of nodes"):
        places.read(tmp_path / "none.csv")
