"""What is to be known of pieces: by hand; files of it, and damaged ones."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import subvolumes

from ffn_tf import volume
from ffn_tf.assembly import cores, overlaps
from ffn_tf.assembly import pieces as pieces_lib
from ffn_tf.inference import subvolume
from ffn_tf.volume import contingency


def of(folder, split_cc=False):
    """What is known of the pieces in a folder."""
    pieces = pieces_lib.found(str(folder))
    loader = cores.Loader(pieces, split_cc=split_cc)
    return [
        overlaps.known(pieces, loader, index, split_cc)
        for index in range(len(pieces.all))
    ]


def rows(table):
    columns = (table.truth_ids, table.segment_ids, table.voxels)
    return list(zip(*(column.tolist() for column in columns)))


def check_same(found, expected):
    for field in dataclasses.fields(overlaps.Known):
        one, other = (getattr(w, field.name) for w in (found, expected))
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
            continue
        assert one.keys() == other.keys()
        for key, value in one.items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, other[key])
            else:
                assert rows(value) == rows(other[key])
                assert value.voxels.dtype == np.int64


@pytest.fixture
def two(tmp_path):
    """x 3 to 9 and 5 to 12, of 2 x 3 voxels: cores end at x = 7.

    3 4 5 6 7 8          first; 9 only where the core does not reach
    1 1 1 2 9 9
        5 6 7 8 9 10 11  second
        4 4 6 6 6 0  6
    """
    first = np.zeros((2, 3, 6), np.uint64)
    first[1, 2] = [1, 1, 1, 2**40, 9, 9]
    second = np.zeros((2, 3, 7), np.uint64)
    second[1, 2] = [4, 4, 6, 6, 6, 0, 6]
    second[0, 0, 2] = 8
    seeds = {1: (8, 9, 4), 2**40: (8, 9, 8)}
    subvolumes.save(tmp_path, (7, 7, 3), first, seeds)
    subvolumes.save(tmp_path, (7, 7, 5), second, {6: (8, 9, 9)})
    return tmp_path


def test_by_hand(two):
    first, second = of(two)
    assert first.ids.tolist() == [0, 1, 9, 2**40]
    assert first.number_ids.tolist() == [0, 1, 2**40]
    assert first.voxels.tolist() == [2 * 3 * 4 - 4, 3, 1]
    assert first.boxes[1].tolist() == [[8, 9, 3], [9, 10, 6]]
    assert first.boxes[2].tolist() == [[8, 9, 6], [9, 10, 7]]
    assert first.seeds.tolist() == [[-1] * 3, [8, 9, 4], [8, 9, 8]]
    assert rows(first.shared[1]) == [
        (0, 0, 2 * 3 * 4 - 5),
        (0, 8, 1),
        (1, 4, 1),
        (9, 6, 2),
        (2**40, 4, 1),
    ]
    assert first.touching == {} == second.shared == second.touching
    assert second.number_ids.tolist() == [0, 6, 8]
    assert second.voxels.tolist() == [2 * 3 * 5 - 5, 4, 1]
    assert second.boxes[1].tolist() == [[8, 9, 7], [9, 10, 12]]
    assert second.seeds.tolist() == [[-1] * 3, [8, 9, 9], [-1] * 3]


def test_parts_by_hand(two):
    """2**40 touches the larger part of 6, in which its seed is."""
    first, second = of(two, split_cc=True)
    assert sorted(second.number_ids.tolist()) == [0, 6, 6, 8]
    large = int(np.argmax(second.voxels[1:])) + 1
    assert second.voxels[large] == 3
    ((of_first, of_second),) = first.touching[1].tolist()
    assert first.number_ids[of_first] == 2**40
    assert of_second == large
    assert rows(first.shared[1])[-1] == (2**40, 4, 1)
    known = [seed for seed in second.seeds.tolist() if seed[0] >= 0]
    assert known == [[8, 9, 9]] == [second.seeds[large].tolist()]
    # Of the object whose seed lies beyond the core: which part, is not known.
    seeds = dict(zip(first.number_ids.tolist(), first.seeds.tolist()))
    assert seeds == {0: [-1] * 3, 1: [8, 9, 4], 2**40: [-1] * 3}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_touching_on_each_axis(axis):
    """Every voxel different: the pairs are those of the plane between."""
    labels = np.arange(1, 1 + 5 * 6 * 7).reshape(5, 6, 7)
    domain = volume.Box.from_shape(labels.shape)
    at = 3
    end, start = list(domain.end), list(domain.start)
    end[axis] = start[axis] = at
    boxes = [volume.Box(domain.start, end), volume.Box(start, domain.end)]
    both = [cores.Core(b, labels[b.slices], np.zeros(0)) for b in boxes]
    before = np.take(labels, at - 1, axis).ravel()
    after = np.take(labels, at, axis).ravel()
    expected = list(zip(before.tolist(), after.tolist()))
    for order in (1, -1):
        found = overlaps._touching(*both[::order]).tolist()
        assert [tuple(pair[::order]) for pair in found] == expected


def test_touching_within_a_core():
    """Through a face, of whatever axis; 0 is not touched."""
    voxels = np.zeros((3, 4, 5), np.uint8)
    voxels[0, 0, :4] = 1, 1, 2, 0
    voxels[1, 0, 0], voxels[0, 1, 2], voxels[2, 3, 4] = 3, 4, 5
    voxels[1, 1, 0] = 6
    core = cores.Core(volume.Box.from_shape(voxels.shape), voxels, voxels)
    found = overlaps._within(core).tolist()
    assert found == [[1, 2], [1, 3], [2, 4], [3, 6]]
    nothing = dataclasses.replace(core, voxels=voxels * 0)
    assert overlaps._within(nothing).shape == (0, 2)


def test_touching_by_an_edge_is_not():
    ones = np.ones((2, 3, 4), np.uint8)
    first = cores.Core(volume.Box.from_size((0, 0, 0), ones.shape), ones, ones)
    for start in ((2, 3, 0), (0, 3, 4), (2, 0, 4), (2, 3, 4), (3, 0, 0)):
        box = volume.Box.from_size(start, ones.shape)
        second = cores.Core(box, ones, ones)
        assert len(overlaps._touching(first, second)) == 0
        assert len(overlaps._touching(second, first)) == 0


@pytest.mark.parametrize("split_cc", [False, True])
def test_nothing_in_it(tmp_path, split_cc):
    empty = np.zeros((5, 6, 7), np.uint8)
    subvolumes.cut(tmp_path, empty, (5, 6, 4), (0, 0, 2))
    first, *_ = of(tmp_path, split_cc)
    assert first.ids.tolist() == first.number_ids.tolist() == [0]
    assert first.boxes.shape == (1, 2, 3) and first.seeds.shape == (1, 3)
    assert rows(first.shared[1]) == [(0, 0, 60)]


@pytest.mark.parametrize("split_cc", [False, True])
def test_with_room_for_one_each_file_is_read_once(
    blocks, monkeypatch, split_cc
):
    pieces = pieces_lib.found(str(blocks))
    loader = cores.Loader(pieces, split_cc=split_cc, max_bytes=0)
    load, read = subvolume.load, []
    monkeypatch.setattr(
        subvolume, "load", lambda path: read.append(path) or load(path)
    )
    found = overlaps.known(pieces, loader, 0, split_cc)
    assert len(found.shared) == 7
    assert len(read) == len({*read}) == 8


# -----------------------------------------------------------------------------
# Files
# -----------------------------------------------------------------------------


@pytest.fixture
def blocks(tmp_path):
    """Eight pieces of noise, in a folder."""
    labels = np.random.default_rng(0).integers(0, 5, (7, 8, 9))
    subvolumes.cut(tmp_path / "run", labels, (5, 6, 7), (3, 4, 5), seed=0)
    return tmp_path / "run"


@pytest.mark.parametrize("split_cc", [False, True])
def test_what_is_saved_is_read(blocks, tmp_path, split_cc):
    pieces = pieces_lib.found(str(blocks))
    folder = overlaps.Folder(tmp_path / "work", pieces, split_cc)
    assert folder.total == 8
    assert list(folder.todo()) == list(range(8))
    for index, known in enumerate(of(blocks, split_cc)):
        folder.save(index, known)
        assert list(folder.todo()) == list(range(index + 1, 8))
        check_same(folder.load(index), known)


def test_files_are_about_one_thing(blocks, tmp_path):
    """Others have their own place, and come back to theirs."""
    pieces = pieces_lib.found(str(blocks))
    folder = overlaps.Folder(tmp_path / "work", pieces, False)
    first, *_ = of(blocks)
    folder.save(0, first)
    parts = overlaps.Folder(tmp_path / "work", pieces, True)
    assert list(parts.todo()) == list(range(8))
    labels = np.zeros((5, 6, 7), np.uint8)
    path = next(p.path for p in pieces.all if p.box.start == (0, 0, 0))
    before = path.read_bytes()
    subvolumes.save(blocks, (0, 0, 0), labels)
    others = pieces_lib.found(str(blocks))
    other = overlaps.Folder(tmp_path / "work", others, False)
    assert list(other.todo()) == list(range(8))
    path.write_bytes(before)
    again = overlaps.Folder(
        tmp_path / "work", pieces_lib.found(str(blocks)), False
    )
    assert list(again.todo()) == list(range(1, 8))


def test_what_else_is_there_stays(blocks, tmp_path):
    """--work_dir may be any folder."""
    note = tmp_path / "work" / "overlaps" / "note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("mine")
    overlaps.Folder(tmp_path / "work", pieces_lib.found(str(blocks)), True)
    assert note.read_text() == "mine"


def test_its_files_are_not_taken_for_pieces(blocks):
    """The folder is, by default, among the pieces."""
    pieces = pieces_lib.found(str(blocks))
    folder = overlaps.Folder(blocks / "reconcile", pieces, False)
    for index, known in enumerate(of(blocks)):
        folder.save(index, known)
    assert pieces_lib.found(str(blocks)) == pieces
    with pytest.raises(FileNotFoundError):
        pieces_lib.found(str(blocks / "reconcile"))


def test_a_folder_that_cannot_be_made(blocks, tmp_path):
    (tmp_path / "work").write_text("a file")
    pieces = pieces_lib.found(str(blocks))
    with pytest.raises(OSError, match=r"work: .* --work_dir"):
        overlaps.Folder(tmp_path / "work", pieces, False)


def test_a_folder_that_cannot_be_written(blocks, tmp_path, monkeypatch):
    """Root may write anywhere, so the system is made to say no."""
    monkeypatch.setattr(overlaps.os, "access", lambda path, mode: False)
    pieces = pieces_lib.found(str(blocks))
    with pytest.raises(PermissionError, match=r"work: .* --work_dir"):
        overlaps.Folder(tmp_path / "work", pieces, False)


def test_a_damaged_file(blocks, tmp_path):
    pieces = pieces_lib.found(str(blocks))
    folder = overlaps.Folder(tmp_path / "work", pieces, False)
    folder.save(0, of(blocks)[0])
    (path,) = (tmp_path / "work").rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="delete it and run again") as error:
        folder.load(0)
    assert str(path) in str(error.value)


def test_a_damaged_piece(tmp_path):
    labels = np.arange(1, 1 + 11 * 6 * 5).reshape(11, 6, 5)
    paths = subvolumes.cut(tmp_path, labels, (7, 6, 5), (4, 0, 0))
    data = bytearray(paths[1].read_bytes())
    data[200] ^= 1
    paths[1].write_bytes(data)
    with pytest.raises(ValueError, match=f"{paths[1].name}: cannot be read"):
        of(tmp_path)


@hypothesis.settings(max_examples=25)
@hypothesis.given(st.integers(0, 2**32), st.integers(0, 2**63))
def test_shared_are_those_of_the_voxels(tmp_path_factory, seed, largest):
    """Of any ids."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(
        np.append(0, rng.integers(0, max(1, largest), 4, np.uint64)), (4, 5, 9)
    ).astype(np.uint64)
    folder = tmp_path_factory.mktemp("run")
    subvolumes.save(folder, (0, 0, 0), labels[..., :6])
    subvolumes.save(folder, (0, 0, 3), labels[..., 3:])
    first, _ = of(folder)
    part = labels[..., 3:6]
    assert rows(first.shared[1]) == rows(contingency.count(part, part))
    np.testing.assert_array_equal(
        first.ids, np.union1d(np.uint64(0), labels[..., :6])
    )
