import collections
import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf.inference import movement

SHAPE, DELTAS = (5, 9, 13), (1, 2, 4)
CENTER = (2, 4, 6)
HERE = (100, 200, 300)


def make(deltas=DELTAS, threshold=1.0, shape=SHAPE, within=None):
    return movement.FaceMaxMovement(deltas, threshold, shape, within)


def logits(values, shape=SHAPE):
    """Logits that are -1 but for {offset from the centre: value}."""
    found = np.full(shape, -1, np.float32)
    for offset, value in values.items():
        found[tuple(n // 2 + o for n, o in zip(shape, offset))] = value
    return found


def update(moves, values, position):
    moves.update(moves.faces.strongest(values), position)


def popped(moves):
    return list(iter(moves.pop, None))


def offsets(moves):
    """The candidates that wait after the start, as offsets from HERE."""
    return [
        tuple(p - h for p, h in zip(position, HERE))
        for position in popped(moves)
    ]


def after(values, **changes):
    moves = make(**changes)
    moves.start(HERE)
    assert moves.pop() == HERE
    update(moves, logits(values), HERE)
    return offsets(moves)


def test_starts_at_the_seed_and_ends():
    moves = make()
    moves.start(HERE)
    assert moves.pop() == HERE
    assert moves.pop() is None


def test_the_maximum_of_each_face_by_descending_score():
    found = after(
        {
            (-1, 1, 3): 3,
            (1, -1, -2): 7,
            (0, -2, 1): 2,
            (0, 2, -3): 6,
            (0, 1, -4): 5,
            (0, -1, 4): 4,
            # Lesser voxels of the same faces, and greater ones inside and
            # outside of the box.
            (-1, 0, 0): 2.9,
            (1, 1, 2): 6.9,
            (0, 0, 0): 9,
            (0, 1, 3): 9,
            (2, 0, 0): 9,
            (0, 3, 0): 9,
            (0, 0, -5): 9,
        }
    )
    assert found == [
        (1, -1, -2),
        (0, 2, -3),
        (0, 1, -4),
        (0, -1, 4),
        (-1, 1, 3),
        (0, -2, 1),
    ]


def test_steps_may_end_at_the_border():
    """What lies beyond is moved back, and a cell is still visited once."""
    z, y, x = HERE
    within = [(z - 9, z + 9), (y - 1, y + 9), (x - 9, x + 2)]
    values = {(0, -2, 1): 3, (0, 1, 4): 2, (1, 0, 3): 1}
    # One voxel back is still the cell of HERE.
    assert after(values, within=within) == [(0, 1, 2), (1, 0, 2)]


def test_a_candidate_reaches_the_threshold():
    below = np.nextafter(np.float32(1), np.float32(0))
    assert after({(1, 0, 0): 1, (0, 2, 0): below}) == [(1, 0, 0)]
    # The comparison is with the threshold as it is given, in 64 bits.
    assert after({(1, 0, 0): 1}, threshold=1 + 1e-12) == []


def test_a_voxel_on_two_faces_is_one_candidate():
    assert after({(1, 2, 0): 3}) == [(1, 2, 0)]
    assert after({(1, 2, 4): 3, (-1, 2, 4): 3}) == [(1, 2, 4), (-1, 2, 4)]


def test_ties():
    # Within a face the first voxel wins, between faces the last.
    assert after({(1, 1, 1): 2, (1, 0, 2): 2}) == [(1, 0, 2)]
    assert after({(-1, 0, 0): 2, (0, 0, 4): 2, (0, -2, 0): 2}) == [
        (0, 0, 4),
        (0, -2, 0),
        (-1, 0, 0),
    ]


def test_an_axis_with_delta_zero_is_not_moved_along():
    everywhere = {(z, y, 0): 2 for z in (-1, 0, 1) for y in (-2, 0, 2)}
    found = after({**everywhere, (1, 0, 4): 9}, deltas=(0, 2, 4))
    # Of both y faces the voxel at z = 0; nothing at z = -1 or 1.
    assert found == [(0, 2, 0), (0, -2, 0)]
    assert after(everywhere, deltas=(0, 0, 0)) == []


def test_first_in_first_out():
    moves = make(deltas=(2, 2, 2))
    moves.start((0, 0, 0))
    moves.pop()
    update(moves, logits({(2, 0, 0): 2, (0, 2, 0): 3}), (0, 0, 0))
    assert moves.pop() == (0, 2, 0)
    # A far better candidate of the second step waits behind the first's.
    update(moves, logits({(0, 2, 0): 9}), (0, 2, 0))
    assert popped(moves) == [(2, 0, 0), (0, 4, 0)]


def test_start_forgets_the_last_object():
    moves = make(deltas=(2, 2, 2))
    moves.start((0, 0, 0))
    update(moves, logits({(2, 0, 0): 2}), (0, 0, 0))
    moves.start((1, 1, 1))
    assert popped(moves) == [(1, 1, 1)]


@pytest.mark.parametrize(
    ("delta", "same_cell"),
    [
        (4, [-2, -1, 0, 1]),
        (3, [-1, 0, 1]),
        (2, [-1, 0]),
        (1, [0]),
        (0, [0]),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("origin", [0, 50])
def test_a_cell_is_visited_once(delta, same_cell, axis, origin):
    """The lattice is centred on the seed, also at negative offsets."""
    deltas = [5, 5, 5]
    deltas[axis] = delta
    moves = make(deltas=deltas, shape=(11, 11, 11))
    around = [[origin] * 3 for _ in range(-7, 8)]
    for position, offset in zip(around, range(-7, 8)):
        position[axis] += offset
    moves.restore({"origin": [origin] * 3, "queue": around, "visited": []})
    update(moves, np.full((11, 11, 11), -9, np.float32), (origin,) * 3)
    skipped = {o for o in range(-7, 8)} - {
        position[axis] - origin for position in popped(moves)
    }
    assert sorted(skipped) == same_cell


def test_waiting_candidates_of_one_cell_are_visited_once():
    moves = make(deltas=(4, 4, 4), shape=(9, 9, 9))
    moves.restore(
        {
            "origin": [0, 0, 0],
            "queue": [[4, 0, 0], [5, 1, -2], [6, 0, 0], [-3, 0, 0]],
            "visited": [],
        }
    )
    assert moves.pop() == (4, 0, 0)
    update(moves, np.full((9, 9, 9), -9, np.float32), (4, 0, 0))
    # (5, 1, -2) is in the cell of (4, 0, 0); (6, 0, 0) is in the next.
    assert popped(moves) == [(6, 0, 0), (-3, 0, 0)]


def _plain_candidates(values, deltas, threshold):
    """Voxel by voxel: {face: the first of its greatest voxels}."""
    best: dict[tuple[int, int], tuple[float, tuple[int, int, int]]] = {}
    center = [n // 2 for n in values.shape]
    for index, value in np.ndenumerate(values):
        offset = tuple(i - c for i, c in zip(index, center))
        if any(abs(o) > d for o, d in zip(offset, deltas)):
            continue
        for axis, delta in enumerate(deltas):
            face = (axis, offset[axis])
            if delta and abs(offset[axis]) == delta:
                if face not in best or value > best[face][0]:
                    best[face] = (float(value), offset)
    found = {item for item in best.values() if item[0] >= threshold}
    return [offset for _, offset in sorted(found, reverse=True)]


@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    deltas=st.tuples(*[st.integers(0, 2)] * 3),
    threshold=st.integers(-2, 2),
)
@hypothesis.settings(max_examples=50)
def test_equals_a_search_voxel_by_voxel(seed, deltas, threshold):
    shape = (5, 7, 5)
    # Few different values, so that there are ties.
    values = np.random.default_rng(seed).integers(-2, 3, shape)
    moves = make(deltas, threshold, shape)
    moves.start((0, 0, 0))
    moves.pop()
    update(moves, values.astype(np.float32), (0, 0, 0))
    found = moves.state([])["queue"]
    expected = _plain_candidates(values, deltas, threshold)
    assert found == [list(offset) for offset in expected]


def _walk(moves, steps):
    """Some steps over random logits; the order of positions."""
    seen = []
    while len(seen) < steps and (position := moves.pop()) is not None:
        seen.append(position)
        rng = np.random.default_rng([v + 1000 for v in position])
        update(moves, rng.normal(size=SHAPE).astype(np.float32), position)
    return seen


@pytest.mark.parametrize("is_pending", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 5, 20])
def test_restore_goes_on_where_state_was_taken(steps, is_pending):
    moves = make(threshold=1.5)
    moves.start(HERE)
    first = _walk(moves, steps)
    pending = [moves.pop()] if is_pending else []
    state = json.loads(json.dumps(moves.state(pending)))
    restored = make(threshold=1.5)
    restored.restore(state)
    undisturbed = make(threshold=1.5)
    undisturbed.start(HERE)
    expected = _walk(undisturbed, 60)
    assert len(expected) == 60
    assert first + _walk(restored, 60 - steps) == expected


def test_state_is_in_a_fixed_order():
    states = collections.Counter()
    for _ in range(2):
        moves = make(threshold=1.5)
        moves.start(HERE)
        _walk(moves, 10)
        states[json.dumps(moves.state([]))] += 1
    assert list(states.values()) == [2]
    visited = moves.state([])["visited"]
    assert visited == sorted(visited)
    assert [0, 0, 0] in visited
