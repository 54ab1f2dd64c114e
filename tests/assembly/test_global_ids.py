"""One id for all parts of an object: by hand, then laws."""

import dataclasses
import weakref

import hypothesis
from hypothesis import strategies as st
import numpy as np

from ffn_tf.assembly import global_ids, matching, overlaps
from ffn_tf.volume import contingency

RULE = matching.Rule(2, 0.5)
HUGE = 2**64 - 1


def known(numbers, others=(), shared=None, touching=None, at=0):
    """A piece.

    Args:
      numbers: {(id, part): voxels in its core}.
      others: ids that have none there.
      shared: {later piece: {(id, id): voxels}}.
      touching: {later piece: [(number, number)]}.
      at: z of its first number; the others follow.
    """
    tables = {}
    for other, pairs in (shared or {}).items():
        voxels = [pair for pair, n in pairs.items() for _ in range(n)]
        first, second = np.array(voxels, np.uint64).reshape(-1, 2).T
        tables[other] = contingency.count(first, second)
    ids = [label for label, _ in numbers]
    count = len(ids)
    z = np.arange(at, at + count)
    corners = np.stack([z, z + 1, z + 2], axis=1)
    boxes = np.stack([corners, corners + [3, 2, 1]], axis=1)
    return overlaps.Known(
        np.array(sorted({0, *ids, *others}), np.uint64),
        np.array([0, *ids], np.uint64),
        np.array([99, *numbers.values()], np.int64),
        np.concatenate([np.zeros((1, 2, 3), np.int64), boxes]),
        np.concatenate([np.full((1, 3), -1), corners]),
        tables,
        {
            other: np.array(pairs, np.int64).reshape(-1, 2)
            for other, pairs in (touching or {}).items()
        },
    )


def of_numbers(found):
    return [ids.tolist() for ids in found.of_numbers]


def test_by_hand():
    """1 and 4 are one; 2 goes on as 9, which has no voxels in its core."""
    found = global_ids.assigned(
        [
            known(
                {(1, 0): 10, (HUGE, 0): 5},
                shared={1: {(1, 4): 3, (HUGE, 9): 2, (1, 5): 1, (0, 5): 1}},
            ),
            known({(4, 0): 20, (5, 0): 7}, others=[9], at=10),
        ],
        RULE,
    )
    assert of_numbers(found) == [[0, 1, 2], [0, 1, 3]]
    assert all(ids.dtype == np.uint64 for ids in found.of_numbers)
    assert len(found) == 3
    assert found.voxels.tolist() == [0, 30, 5, 7]
    assert found.boxes[1].tolist() == [[0, 1, 2], [13, 13, 13]]
    assert found.boxes[3].tolist() == [[11, 12, 13], [14, 14, 14]]
    assert found.seeds[1:].tolist() == [[10, 11, 12], [1, 2, 3], [11, 12, 13]]
    assert found.num_pieces[1:].tolist() == [2, 1, 1]
    assert found.num_parts[1:].tolist() == [2, 1, 1]
    assert (found.met, found.best, found.joined) == (3, 2, 2)


def test_joined_by_way_of_a_voxelless_one():
    """0 and 2 do not overlap; what joins them has no voxel in its core."""
    found = global_ids.assigned(
        [
            known({(1, 0): 1}, shared={1: {(1, 7): 2}}),
            known({}, others=[7], shared={2: {(7, 3): 2}}),
            known({(3, 0): 1}),
        ],
        RULE,
    )
    assert of_numbers(found) == [[0, 1], [0], [0, 1]]
    assert found.num_pieces[1:].tolist() == [2]


def test_two_of_one_piece_joined_by_way_of_others():
    """By way of two pieces: no rule sees both at once."""
    found = global_ids.assigned(
        [
            known(
                {(1, 0): 5, (2, 0): 4},
                shared={1: {(1, 8): 9}, 2: {(2, 3): 9}},
            ),
            known({(8, 0): 3}, shared={2: {(8, 3): 9}}),
            known({(3, 0): 2}),
        ],
        RULE,
    )
    assert of_numbers(found) == [[0, 1, 1], [0, 1], [0, 1]]
    assert found.num_pieces[1:].tolist() == [3]
    assert found.num_parts[1:].tolist() == [4]
    assert found.voxels.tolist() == [0, 14]


def test_a_seed_that_is_not_known():
    one = known({(1, 0): 9, (2, 0): 9})
    one.seeds[1:] = -1
    other = known({(4, 0): 3}, at=20)
    first = dataclasses.replace(
        one, shared={1: contingency.count(np.ones(9, int), np.full(9, 4))}
    )
    found = global_ids.assigned([first, other], RULE)
    assert found.seeds[1:].tolist() == [[20, 21, 22], [-1, -1, -1]]


def test_crumbs():
    """By their size in all pieces together; 10, the least, is kept."""
    pieces = [
        known(
            {(1, 0): 9, (2, 0): 6, (3, 0): 10},
            shared={1: {(2, 4): 3}},
        ),
        known({(4, 0): 4, (5, 0): 1}, at=10),
    ]
    found = global_ids.assigned(pieces, RULE, min_voxels=10)
    assert of_numbers(found) == [[0, 0, 1, 2], [0, 1, 0]]
    assert found.crumbs == (2, 10)
    assert found.voxels.tolist() == [0, 10, 10]
    assert found.boxes[1].tolist() == [[1, 2, 3], [13, 13, 13]]
    assert found.seeds.tolist() == [[-1] * 3, [1, 2, 3], [2, 3, 4]]
    assert found.num_pieces.tolist() == [0, 2, 1]
    assert found.num_parts.tolist() == [0, 2, 1]
    nothing = global_ids.assigned(pieces, RULE, min_voxels=11)
    assert len(nothing) == 0 and nothing.crumbs == (4, 30)


def test_nothing_at_all():
    found = global_ids.assigned([known({}), known({})], RULE)
    assert of_numbers(found) == [[0], [0]]
    assert len(found) == 0
    assert found.voxels.tolist() == [0]
    assert found.boxes.shape == (1, 2, 3) and not found.boxes.any()


def test_parts_that_hang_together():
    """Of 1: two parts go on as one part of 4, a third is alone.

    2 touches two of them; but it is another object.
    """
    pieces = [
        known(
            {(1, 0): 5, (1, 1): 4, (1, 2): 3, (2, 0): 1},
            shared={1: {(1, 4): 9}},
            touching={0: [(1, 4), (3, 4)], 1: [(1, 1), (2, 1), (4, 1)]},
        ),
        known({(4, 0): 2}),
    ]
    found = global_ids.assigned(pieces, RULE, split_cc=True)
    assert of_numbers(found) == [[0, 1, 1, 2, 3], [0, 1]]
    assert found.voxels.tolist() == [0, 11, 3, 1]
    assert found.num_parts[1:].tolist() == [2, 1, 1]
    assert found.num_pieces[1:].tolist() == [2, 1, 1]


def test_two_of_one_piece_hang_together_there():
    """1 and 2 are one by way of others, and touch in their own piece."""
    pieces = [
        known(
            {(1, 0): 5, (2, 0): 4},
            shared={1: {(1, 8): 9}, 2: {(2, 3): 9}},
            touching={0: [(1, 2)]},
        ),
        known({}, others=[8], shared={2: {(8, 3): 9}}),
        known({}, others=[3]),
    ]
    found = global_ids.assigned(pieces, RULE, split_cc=True)
    assert of_numbers(found) == [[0, 1, 1], [0], [0]]
    pieces[0].touching.clear()
    found = global_ids.assigned(pieces, RULE, split_cc=True)
    assert of_numbers(found) == [[0, 1, 2], [0], [0]]


def test_parts_of_one_piece_alone():
    """Nothing touches, for there is nothing else."""
    alone = known({(1, 0): 5, (1, 1): 4})
    found = global_ids.assigned([alone], RULE, split_cc=True)
    assert of_numbers(found) == [[0, 1, 2]]
    found = global_ids.assigned([alone], RULE)
    assert of_numbers(found) == [[0, 1, 1]]


def test_tables_are_not_kept():
    """They are gone when the next piece is read."""

    def read():
        before = []
        for index in range(3):
            assert not any(table() for table in before)
            shared = {later: {(1, 1): 2} for later in range(index + 1, 3)}
            one = known({(1, 0): 1}, shared=shared)
            before += [weakref.ref(table) for table in one.shared.values()]
            yield one
            del one

    assert of_numbers(global_ids.assigned(read(), RULE)) == [[0, 1]] * 3


@st.composite
def runs(draw):
    """Pieces that all share voxels, of few ids."""
    count = draw(st.integers(1, 4))
    ids = st.integers(1, 4)
    shared = st.dictionaries(st.tuples(ids, ids), st.integers(1, 9), max_size=5)
    return [
        (
            draw(st.dictionaries(ids, st.integers(1, 9))),
            {later: draw(shared) for later in range(first + 1, count)},
        )
        for first in range(count)
    ]


def as_known(run, rename=lambda piece, label: label):
    """The pieces, whose ids have other names."""
    return [
        known(
            {
                (rename(index, label), 0): voxels
                for label, voxels in sorted(
                    numbers.items(), key=lambda item: rename(index, item[0])
                )
            },
            others=[rename(index, label) for label in (1, 2, 3, 4)],
            shared={
                later: {
                    (rename(index, a), rename(later, b)): n
                    for (a, b), n in pairs.items()
                }
                or {(0, 0): 1}
                for later, pairs in shared.items()
            },
        )
        for index, (numbers, shared) in enumerate(run)
    ]


def sets(run, rename=lambda piece, label: label):
    """Which (piece, id) are one."""
    found = global_ids.assigned(as_known(run, rename), matching.Rule(1, 0))
    together = {}
    for index, (numbers, _) in enumerate(run):
        order = sorted(numbers, key=lambda label: rename(index, label))
        for number, label in enumerate(order, 1):
            one = int(found.of_numbers[index][number])
            together.setdefault(one, set()).add((index, label))
    assert sorted(together) == list(range(1, len(found) + 1))
    return sorted(map(sorted, together.values()))


@hypothesis.settings(max_examples=30)
@hypothesis.given(runs(), st.integers(0, 2**32))
def test_ids_permuted_give_the_same(run, seed):
    """Where none is best by its name alone: of equals, the least is."""
    for _, shared in run:
        for pairs in shared.values():  # No two are equal.
            for place, pair in enumerate(sorted(pairs)):
                pairs[pair] = 10 * pairs[pair] + place
    rng = np.random.default_rng(seed)
    names = [np.append(0, rng.permutation(4) + 1) for _ in run]
    permuted = sets(run, lambda piece, label: int(names[piece][label]))
    assert permuted == sets(run)
    far = sets(run, lambda piece, label: 2**63 + 2**32 * piece + label)
    assert far == sets(run)
