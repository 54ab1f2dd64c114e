"""All pieces as one volume, against the truth and a computation in memory."""

import itertools

import cc3d
import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import ndimage, sparse
from scipy.sparse import csgraph
import subvolumes

from ffn_tf import volume
from ffn_tf.assembly import assembled, cores, global_ids, matching, overlaps
from ffn_tf.assembly import pieces as pieces_lib
from ffn_tf.inference import subvolume

RULE = matching.Rule(3, 0.5)


def assemble(folder, rule=RULE, split_cc=False, max_bytes=2**30):
    """(pieces, the volume)."""
    pieces = pieces_lib.found(str(folder), allow_missing=True)
    loader = cores.Loader(pieces, split_cc=split_cc, max_bytes=max_bytes)
    known = (
        overlaps.known(pieces, loader, index, split_cc)
        for index in range(len(pieces.all))
    )
    found = assembled.Assembled(pieces, loader)
    found.of_numbers = global_ids.assigned(
        known, rule, split_cc=split_cc
    ).of_numbers
    return pieces, found


def cells(shape, count, seed, walls=0.1):
    """Convex cells, with some background between them, wherever they meet."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, shape, (count, 3))
    grid = np.stack(np.indices(shape), axis=-1)[..., None, :]
    distance = np.linalg.norm(grid - centres, axis=-1)
    labels = np.argmin(distance, axis=-1) + 1
    labels[volume.labels.borders(labels) & (rng.random(shape) < walls)] = 0
    return volume.labels.components(labels)


@hypothesis.settings(max_examples=6)
@hypothesis.given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_a_truth_that_was_cut_comes_back(tmp_path_factory, seed, far, split_cc):
    """Of cells: whoever shares a voxel with a neighbour is the same."""
    labels = cells((19, 23, 29), 12, seed, walls=0)
    folder = tmp_path_factory.mktemp("run")
    subvolumes.cut(
        folder,
        labels,
        (9, 11, 13),
        (4, 5, 6),
        seed=seed,
        start=(3, 2, 1),
        largest=2**40 if far else 0,
    )
    _, found = assemble(folder, matching.Rule(1, 0), split_cc)
    voxels = found.read(found.info.domain)
    assert found.info.domain == volume.Box.from_size((3, 2, 1), labels.shape)
    assert found.info.dtype == voxels.dtype == np.uint64
    assert found.info.kind == "segmentation"
    assert found.info.voxel_size_nm == (40, 8, 4)
    assert subvolumes.same(voxels, labels)
    assert voxels.max() == len(np.unique(labels))


# -----------------------------------------------------------------------------
# Against a plain computation
# -----------------------------------------------------------------------------


def noisy_run(folder, seed):
    """Blocks whose objects are not quite the same in overlaps."""
    labels = cells((17, 19, 23), 14, seed)
    rng = np.random.default_rng(seed)
    for path in subvolumes.cut(folder, labels, (9, 10, 11), (4, 5, 3), seed=1):
        found = subvolume.load(path)
        block = found.segmentation.copy()
        some = rng.random(block.shape) < 0.15
        block[some] = rng.permutation(block[some])
        if rng.random() < 0.3:  # Two are one here.
            block[block == block.max()] = block[block > 0].min()
        block[rng.random(block.shape) < 0.05] = 0
        subvolumes.save(folder, found.box.start, block)


def plainly(pieces, rule, split_cc):
    """The same with dictionaries, and the whole volume in memory."""
    blocks = [subvolume.load(p.path).segmentation for p in pieces.all]
    names = sorted(
        (i, n)
        for i, block in enumerate(blocks)
        for n in np.unique(block[block > 0]).tolist()
    )
    node = {name: place for place, name in enumerate(names)}
    edges = []
    for i, j in itertools.combinations(range(len(blocks)), 2):
        both = pieces.all[i].box.clipped(pieces.all[j].box)
        if both.is_empty:
            continue
        one, other = (
            blocks[k][both.relative_to(pieces.all[k].box.start).slices]
            for k in (i, j)
        )
        shared = {}
        for pair in zip(one.ravel().tolist(), other.ravel().tolist()):
            if 0 not in pair:
                shared[pair] = shared.get(pair, 0) + 1
        for (a, b), n in shared.items():
            rivals = [
                (-m, c, d)
                for (c, d), m in shared.items()
                if (c == a) != (d == b)
            ]
            smaller = min((one == a).sum(), (other == b).sum())
            if (
                all((-n, a, b) < rival for rival in rivals)
                and n >= rule.min_overlap_voxels
                and n >= rule.min_overlap_fraction * smaller
            ):
                edges.append((node[i, a], node[j, b]))
    rows = np.array(edges, int).reshape(-1, 2).T
    graph = sparse.coo_array(
        (np.ones(len(edges), bool), rows), shape=(len(names),) * 2
    )
    _, sets = csgraph.connected_components(graph, directed=False)
    found = np.zeros(pieces.domain.size, np.uint64)
    for i, (piece, block) in enumerate(zip(pieces.all, blocks)):
        mapping = np.zeros(int(block.max(initial=0)) + 1, np.uint64)
        for label in np.unique(block[block > 0]).tolist():
            mapping[label] = sets[node[i, label]] + 1
        inner = block[piece.core.relative_to(piece.box.start).slices]
        found[piece.core.relative_to(pieces.domain.start).slices] = mapping[
            inner
        ]
    return (
        cc3d.connected_components(found, connectivity=6)
        if split_cc
        else (found)
    )


@pytest.mark.parametrize("split_cc", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_as_a_plain_computation(tmp_path, seed, split_cc):
    noisy_run(tmp_path, seed)
    pieces, found = assemble(tmp_path, RULE, split_cc)
    assert len(pieces.all) == 3 * 3 * 3
    voxels = found.read(found.info.domain)
    assert subvolumes.same(voxels, plainly(pieces, RULE, split_cc))
    assert set(np.unique(voxels).tolist()) == set(range(int(voxels.max()) + 1))


def test_a_missing_one(tmp_path):
    noisy_run(tmp_path, 5)
    next(tmp_path.rglob("seg-8_5_5.npz")).unlink()
    pieces, found = assemble(tmp_path)
    voxels = found.read(found.info.domain)
    assert subvolumes.same(voxels, plainly(pieces, RULE, False))
    hole = volume.Box((7, 7, 9), (12, 12, 17))
    assert not voxels[hole.slices].any()
    assert ndimage.minimum_filter(voxels > 0, 3).any()


def test_one_piece_alone(tmp_path):
    labels = np.array([[[7, 7, 0, 7], [0, 0, 0, 0], [3, 0, 0, 7]]])
    subvolumes.save(tmp_path, (5, 6, 7), labels)
    _, found = assemble(tmp_path)
    assert found.read(found.info.domain).tolist() == [
        [[2, 2, 0, 2], [0, 0, 0, 0], [1, 0, 0, 2]]
    ]
    _, found = assemble(tmp_path, split_cc=True)
    voxels = found.read(found.info.domain)
    assert subvolumes.same(voxels, cc3d.connected_components(labels, 6))


def test_no_object_in_some_or_all(tmp_path):
    labels = np.zeros((9, 10, 11), np.uint8)
    subvolumes.cut(tmp_path, labels, (9, 10, 7), (0, 0, 3))
    for split_cc in (False, True):
        _, found = assemble(tmp_path, split_cc=split_cc)
        assert not found.read(found.info.domain).any()
    labels[2:5, 3:5, 9:] = 7
    subvolumes.cut(tmp_path, labels, (9, 10, 7), (0, 0, 3))
    for split_cc in (False, True):
        _, found = assemble(tmp_path, split_cc=split_cc)
        assert subvolumes.same(found.read(found.info.domain), labels)


# -----------------------------------------------------------------------------
# Reading
# -----------------------------------------------------------------------------


def test_any_box(tmp_path):
    """With room for one piece, or for all."""
    noisy_run(tmp_path, 6)
    _, found = assemble(tmp_path)
    whole = found.read(found.info.domain)
    rng = np.random.default_rng(0)
    boxes = []
    for _ in range(15):
        ends = np.sort(rng.integers(0, np.array(whole.shape) + 1, (2, 3)), 0)
        boxes.append(volume.Box(*map(tuple, ends.tolist())))
    _, small = assemble(tmp_path, max_bytes=0)
    for box, voxels in zip(boxes, small.read_many(boxes)):
        np.testing.assert_array_equal(voxels, whole[box.slices])


def test_in_order_each_file_is_read_once(tmp_path, monkeypatch):
    noisy_run(tmp_path, 7)
    pieces, found = assemble(tmp_path, max_bytes=0)
    read = []
    load = subvolume.load
    monkeypatch.setattr(
        subvolume, "load", lambda path: read.append(path) or load(path)
    )
    boxes = [
        volume.Box.from_size(piece.core.start, (1, 2, 2))
        for piece in pieces.all
        for _ in range(2)
    ]
    mixed = [boxes[i] for i in np.random.default_rng(0).permutation(len(boxes))]
    for box in sorted(mixed, key=found.order):
        found.read(box)
    assert len(read) == len(set(read)) == len(pieces.all)


def test_order_of_voxels_of_nobody(tmp_path):
    noisy_run(tmp_path, 8)
    next(tmp_path.rglob("seg-8_5_5.npz")).unlink()
    _, found = assemble(tmp_path)
    assert found.order(volume.Box((8, 8, 10), (9, 9, 11))) == 26
    assert found.order(volume.Box((0, 0, 0), (17, 19, 23))) == 0


def test_it_is_only_read(tmp_path):
    noisy_run(tmp_path, 9)
    _, found = assemble(tmp_path)
    box = volume.Box((0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="only read"):
        found.write(box, np.zeros(box.size, np.uint64))
    assert found.attributes == {}
    found.close()
