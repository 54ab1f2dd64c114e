"""What each piece gives, with numbers of its own; what stays in memory."""

import concurrent.futures
import itertools
import sys
import threading

import numpy as np
import pytest
import subvolumes

from ffn_tf import volume
from ffn_tf.assembly import cores
from ffn_tf.assembly import pieces as pieces_lib
from ffn_tf.inference import subvolume

HUGE = 2**64 - 1


def piece(core, shape=(2, 3, 4), start=(5, 6, 7)):
    box = volume.Box.from_size(start, shape)
    return pieces_lib.Piece("seg.npz", box, core, 0)


def test_every_voxel_different():
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    box = volume.Box((5, 7, 8), (7, 9, 10))
    found = cores.core(piece(box), labels, split_cc=False)
    assert found.box == box
    assert found.ids.tolist() == [0, 5, 6, 9, 10, 17, 18, 21, 22]
    assert found.ids.dtype == np.uint64
    np.testing.assert_array_equal(
        found.ids[found.voxels], labels[0:2, 1:3, 1:3]
    )
    np.testing.assert_array_equal(
        found.part(volume.Box((6, 8, 8), (7, 9, 10))), [[[7, 8]]]
    )


@pytest.mark.parametrize("split_cc", [False, True])
def test_huge_ids(split_cc):
    labels = np.zeros((2, 3, 4), np.uint64)
    labels[0, 0, 0], labels[0, 0, 1], labels[1, 2, 3] = HUGE, HUGE - 1, 2**32
    whole = volume.Box.from_size((5, 6, 7), labels.shape)
    found = cores.core(piece(whole), labels, split_cc=split_cc)
    np.testing.assert_array_equal(found.ids[found.voxels], labels)
    assert found.ids.dtype == np.uint64
    assert sorted(found.ids.tolist()) == [0, 2**32, HUGE - 1, HUGE]


def test_parts_are_those_within_the_core():
    """A bend of 7 lies outside; 8 touches itself by an edge alone."""
    labels = np.array([[[7, 0, 7, 0], [7, 0, 7, 8], [7, 7, 7, 0]]])
    labels = np.concatenate([labels, np.zeros_like(labels)])
    labels[1, 0, 3] = labels[1, 1, 2] = 8
    core = volume.Box((5, 6, 7), (7, 8, 11))
    found = cores.core(piece(core), labels, split_cc=True)
    assert found.ids[1:].tolist().count(7) == 2
    assert found.ids[1:].tolist().count(8) == 3
    np.testing.assert_array_equal(found.ids[found.voxels], labels[:, :2])
    assert found.voxels[0, 0, 0] == found.voxels[0, 1, 0]
    assert found.voxels[0, 0, 0] != found.voxels[0, 0, 2]


@pytest.mark.parametrize("split_cc", [False, True])
def test_nothing_in_it(split_cc):
    found = cores.core(
        piece(volume.Box((5, 6, 7), (6, 7, 8))),
        np.zeros((2, 3, 4), np.uint8),
        split_cc=split_cc,
    )
    assert found.ids.tolist() == [0]
    assert not found.voxels.any()


# -----------------------------------------------------------------------------
# The loader
# -----------------------------------------------------------------------------

LABELS = np.arange(301, 301 + 11 * 6 * 5).reshape(11, 6, 5)


@pytest.fixture
def pieces(tmp_path):
    """Four, one behind another."""
    subvolumes.cut(tmp_path, LABELS, (5, 6, 5), (3, 0, 0), start=(0, 2, 1))
    found = pieces_lib.found(str(tmp_path))
    assert len(found.all) == 4
    return found


@pytest.fixture
def loads(monkeypatch):
    """The names of the files that have been read."""
    found = []
    load = subvolume.load

    def watched(path):
        found.append(path.name)
        return load(path)

    monkeypatch.setattr(subvolume, "load", watched)
    return found


def test_voxels_and_seeds(tmp_path):
    subvolumes.save(
        tmp_path, (3, 2, 1), LABELS, {305: (4, 6, 3), 7: (13, 2, 1)}
    )
    loader = cores.Loader(pieces_lib.found(str(tmp_path)), split_cc=False)
    np.testing.assert_array_equal(loader.labels(0), LABELS)
    assert loader.seeds(0) == {305: (4, 6, 3), 7: (13, 2, 1)}


def test_what_is_used_stays(pieces, loads):
    loader = cores.Loader(pieces, split_cc=False)
    for _ in range(3):
        for index in range(4):
            np.testing.assert_array_equal(
                loader.labels(index), LABELS[2 * index : 2 * index + 5]
            )
            loader.core(index)
            loader.seeds(index)
    assert len(loads) == 4


def test_memory_is_bounded(pieces, loads):
    """Room for three pieces of 150 voxels of 16 bits; the oldest goes."""
    loader = cores.Loader(pieces, split_cc=False, max_bytes=2 * 3 * 300)
    for index in (0, 1, 2, 0, 3, 0, 1):
        loader.labels(index)
    assert [name.split("_")[-1] for name in loads] == [
        f"{2 * index}.npz" for index in (0, 1, 2, 3, 1)
    ]


def test_the_newest_stays_however_large(pieces, loads):
    loader = cores.Loader(pieces, split_cc=False, max_bytes=0)
    for index in (0, 0, 1, 1, 0):
        loader.labels(index)
    assert len(loads) == 3


def _reachable(what, seen):
    """Bytes of Python objects that hang on `what`."""
    if id(what) in seen or isinstance(what, type):
        return 0
    seen.add(id(what))
    if isinstance(what, dict):
        inner = itertools.chain(what.keys(), what.values())
    elif isinstance(what, (list, tuple, set)):
        inner = iter(what)
    else:
        inner = iter([getattr(what, "__dict__", None)])
    size = getattr(what, "nbytes", None) or sys.getsizeof(what)
    return size + sum(_reachable(one, seen) for one in inner)


def test_seeds_go_with_their_piece(tmp_path):
    """100 million objects have as many seeds."""
    for z in range(0, 40, 2):
        origins = {int(n): (z, 0, 0) for n in LABELS[:5].ravel()}
        subvolumes.save(tmp_path, (z, 0, 0), LABELS[:5], origins)
    loader = cores.Loader(
        pieces_lib.found(str(tmp_path)), split_cc=False, max_bytes=0
    )
    sizes = []
    for index in range(20):
        loader.seeds(index)
        loader.core(index)
        loader_held = {k: v for k, v in vars(loader).items() if k != "_pieces"}
        sizes.append(_reachable(loader_held, set()))
    assert sizes[-1] < sizes[0] + 10_000


def test_a_file_that_has_changed(tmp_path):
    path = subvolumes.save(tmp_path, (0, 0, 0), LABELS)
    loader = cores.Loader(pieces_lib.found(str(tmp_path)), split_cc=False)
    subvolumes.save(tmp_path, (0, 0, 0), LABELS[:9])
    with pytest.raises(ValueError, match=r"seg-0_0_0\.npz: has changed: it"):
        loader.core(0)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"seg-0_0_0\.npz"):
        loader.labels(0)
    subvolumes.save(tmp_path, (0, 0, 0), LABELS)
    np.testing.assert_array_equal(loader.labels(0), LABELS)


@pytest.mark.parametrize("split_cc", [False, True])
def test_threads_that_want_the_same(pieces, loads, split_cc):
    loader = cores.Loader(pieces, split_cc=split_cc)
    together = threading.Barrier(8)

    def take(number):
        together.wait()
        return loader.core(number % 2)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(take, range(8)))
    assert sorted(loads) == ["seg-1_2_0.npz", "seg-1_2_2.npz"]
    assert len({id(one) for one in found}) == 2
