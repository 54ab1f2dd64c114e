"""Labels are read as they are meant, and cells are never divided."""

import numpy as np
import pytest

from segclr.classification import labels

SEGMENT = np.repeat(np.array([5, 7, 2**63 + 1], np.uint64), [3, 2, 2])
NODE = np.array([0, 1, 2, 0, 1, 0, 9])


def written(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def read(tmp_path, text):
    return labels.read(written(tmp_path, text), SEGMENT, NODE)


def test_of_segments(tmp_path):
    found = read(tmp_path, f"label,segment\nglia,{2**63 + 1}\naxon,5\nx,99\n")
    assert found.classes == ("axon", "glia", "x")
    assert found.of_node.tolist() == [0, 0, 0, -1, -1, 1, 1]
    assert found.cell.tolist() == [1, 1, 1, -1, -1, 0, 0]
    assert found.unknown_segments == 1


def test_of_nodes_and_cells(tmp_path):
    text = "segment,node,label,cell\n5,1,axon,a\n5,,glia,a\n7,0,axon,b\n"
    found = read(tmp_path, text)
    assert found.of_node.tolist() == [1, 0, 1, 0, -1, -1, -1]
    assert found.cell.tolist() == [0, 0, 0, 1, -1, -1, -1]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected columns segment and label"),
        ("segment,type\n5,axon\n", "found 'segment, type'"),
        ("segment,label\n", "has no labels"),
        ("segment,label\n5,axon\nfive,glia\n", r"csv:3: expected a segment"),
        ("segment,label\n5,axon\n0,glia\n", r"csv:3: expected a segment"),
        ("segment,label\n5,\n", r"csv:2: expected a segment"),
        ("segment,label\n5,axon\n5,glia\n", "in line 2 a 'axon'"),
        ("segment,label,cell\n5,axon,a\n5,axon,b\n", "of cell a"),
        ("segment,label\n6,axon\n", "the same segmentation"),
        ("segment,label\n5\n", r"csv:2: expected a segment"),
    ],
)
def test_bad_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file of labels"):
        labels.read(tmp_path / "none.csv", SEGMENT, NODE)
    (tmp_path / "labels.csv").write_bytes(b"segment,label\n5,\xff\xfe\n")
    with pytest.raises(ValueError, match="no CSV file"):
        labels.read(tmp_path / "labels.csv", SEGMENT, NODE)


def test_splits_are_of_whole_cells(clouds):
    _, given = clouds
    found = labels.split(given, 0.2, 0.3, seed=0)
    for cell in range(30):
        assert len(np.unique(found[given.cell == cell])) == 1
    for number in range(3):
        purposes = found[given.of_node == number][::12]
        counts = np.bincount(purposes, minlength=3)
        assert counts.tolist() == [5, 2, 3]
    again = labels.split(given, 0.2, 0.3, seed=0)
    np.testing.assert_array_equal(found, again)
    assert (found != labels.split(given, 0.2, 0.3, seed=1)).any()


def test_what_has_no_label_is_for_nothing(clouds):
    _, given = clouds
    given.of_node[:12] = given.cell[:12] = labels.NONE
    found = labels.split(given, 0.2, 0.3, seed=0)
    assert (found[:12] == labels.NONE).all()
    assert (found[12:] != labels.NONE).all()


def test_a_class_of_one_cell():
    of_node = np.array([0, 0, 0, 1, 1])
    few = labels.Labels(("a", "b"), of_node, np.array([0, 1, 2, 3, 3]))
    with pytest.raises(ValueError, match="'b' has 1 of the cells"):
        labels.split(few, 0.2, 0.2, 0)
    assert sorted(labels.split(few, 0, 0, 0).tolist()) == [0] * 5


def test_cells_of_several_classes():
    """Each neuron has an axon and a dendrite; one in five has a soma."""
    cell = np.repeat(np.arange(20), 4)
    of_node = np.tile([0, 0, 1, 1], 20)
    of_node[(np.arange(80) % 4 == 3) & (cell % 5 == 0)] = 2
    mixed = labels.Labels(("axon", "dendrite", "soma"), of_node, cell)
    assert mixed.rare(4) == () and mixed.rare(5) == ("soma",)
    found = labels.split(mixed, 0.2, 0.3, 0)
    for number in range(20):
        assert len(np.unique(found[cell == number])) == 1
    for kind in range(3):
        for purpose in range(3):
            assert ((of_node == kind) & (found == purpose)).any()
    cells = [np.unique(cell[found == purpose]) for purpose in range(3)]
    assert [len(c) for c in cells] == [10, 4, 6]


def test_a_segment_is_of_one_cell(tmp_path):
    with pytest.raises(ValueError, match=r"csv:3: segment 5 is of cell b, .*2"):
        read(tmp_path, "segment,node,label,cell\n5,1,axon,a\n5,,glia,b\n")
    text = "segment,node,label,cell\n5,1,axon, a\n5,,glia,\n7,,glia,a \n"
    assert (read(tmp_path, text).cell[:5] == 0).all()


def test_one_class_is_none():
    one = labels.Labels(("a",), np.zeros(4, int), np.arange(4))
    with pytest.raises(ValueError, match=r"two or more classes .* found a"):
        labels.split(one, 0.2, 0.2, 0)


@pytest.mark.parametrize("shares", [(-0.1, 0.2), (0.5, 0.5), (0.2, 1.0)])
def test_shares(clouds, shares):
    with pytest.raises(ValueError, match="Shares of validation and test"):
        labels.split(clouds[1], *shares, 0)


def test_without_a_class(clouds):
    _, given = clouds
    kept, had = given.without(("dendrite",))
    assert kept.classes == ("axon", "glia")
    np.testing.assert_array_equal(had, given.of_node == 1)
    np.testing.assert_array_equal(kept.of_node == 0, given.of_node == 0)
    np.testing.assert_array_equal(kept.of_node == 1, given.of_node == 2)
    assert (kept.of_node[had] == labels.NONE).all()
    assert (kept.cell[had] == labels.NONE).all()
    with pytest.raises(ValueError, match="no class soma; there are axon"):
        given.without(("soma",))


def test_subsets_have_each_class(clouds):
    _, given = clouds
    among = given.cell % 2 == 0
    for seed in range(5):
        some = labels.subset(given, among, 4, seed)
        assert some.sum() == 4
        assert not (some & ~among).any()
        assert len(np.unique(given.of_node[some])) == 3
    with pytest.raises(ValueError, match="2 labels: expected 3"):
        labels.subset(given, among, 2, 0)
    with pytest.raises(ValueError, match="to 180"):
        labels.subset(given, among, 181, 0)
