"""Many canvases on one engine: as if each were alone."""

import weakref

import numpy as np
import pytest

from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import scheduler

SEEDS = (
    [(2, 8, 6), (4, 3, 9)],
    [],
    [(4, 2, 2)],
    [(0, 0, 0)],  # No field of view fits.
    [(6, 8, 6), (4, 2, 2), (2, 8, 6), (4, 3, 9)],
    [(4, 3, 9)],
)


class OracleEngine(engine_lib.HostEngine):
    """The oracle of conftest, one batch at a time, in one output buffer."""

    name = "oracle"

    def __init__(self, oracle, batch_size):
        super().__init__("float32", batch_size, (5, 5, 5))
        self.sizes = []
        self._oracle = oracle
        self._logits = np.zeros((batch_size, 5, 5, 5), np.float32)

    def predict(self, images, seeds):
        self.sizes.append(len(images))
        self.steps += len(images)
        self._logits[...] = np.nan
        for index, (image, seed) in enumerate(zip(images, seeds)):
            self._logits[index] = self._oracle(image, seed)
        return self._logits[: len(images)]

    def _infer(self):
        raise NotImplementedError


@pytest.fixture
def canvases(blocks, make_canvas):
    return [
        make_canvas(blocks, seeds, deltas=(2, 2, 2), corner_zyx=(index, 0, 0))
        for index, seeds in enumerate(SEEDS)
    ]


def test_canvases_that_ask_for_several_at_once(blocks, make_canvas, oracle):
    """A list of requests is never torn, nor sent another's answers."""
    made = []
    for moves in (1, 3):
        canvases = [
            make_canvas(blocks, seeds, deltas=(2, 2, 2), moves_in_flight=moves)
            for seeds in SEEDS
        ]
        engine = OracleEngine(oracle, 4)
        done = scheduler.segment(canvases, engine, 6, lambda canvases: None)
        assert len(list(done)) == len(SEEDS)
        assert max(engine.sizes) == 4
        made.append([canvas.segmentation.tolist() for canvas in canvases])
    assert made[0] == made[1]


def outcome(canvas):
    return (
        canvas.segmentation.tolist(),
        canvas.origins,
        {label: kept.tolist() for label, kept in canvas.overlaps.items()},
        canvas.counters,
    )


@pytest.fixture
def alone(blocks, make_canvas, flood):
    """What each canvas comes to without a scheduler."""
    found = {}
    for index, seeds in enumerate(SEEDS):
        canvas = make_canvas(blocks, seeds, deltas=(2, 2, 2))
        flood(canvas.segment_all())
        found[index] = outcome(canvas)
    assert sum(len(o[1]) for o in found.values()) == 8
    return found


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("in_flight", [1, 3])
def test_results_do_not_depend_on_company(
    canvases, alone, oracle, in_flight, batch_size
):
    engine = OracleEngine(oracle, batch_size)
    found = {
        canvas.corner_zyx[0]: outcome(canvas)
        for canvas in scheduler.segment(
            canvases, engine, in_flight, lambda canvases: None
        )
    }
    assert found == alone
    assert engine.steps == sum(o[3]["steps"] for o in alone.values())
    if in_flight == 3:
        # Full batches, until there are not enough canvases left.
        assert engine.sizes[:10] == [batch_size] * 10


def test_each_canvas_is_yielded_once_when_it_is_done(canvases, oracle):
    found = []
    for canvas in scheduler.segment(
        canvases, OracleEngine(oracle, 2), 3, lambda canvases: None
    ):
        assert np.isnan(canvas.field.logits).all()
        assert canvas.next_seed == len(canvas.seeds)
        found.append(canvas.corner_zyx[0])
    assert sorted(found) == list(range(len(SEEDS)))


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_canvases_are_made_as_room_comes_up(
    blocks, make_canvas, oracle, in_flight
):
    alive = weakref.WeakSet()
    most = 0

    def source():
        nonlocal most
        for seeds in SEEDS:
            canvas = make_canvas(blocks, seeds, deltas=(2, 2, 2))
            alive.add(canvas)
            most = max(most, len(alive))
            yield canvas
            del canvas

    finished = scheduler.segment(
        source(), OracleEngine(oracle, 1), in_flight, lambda canvases: None
    )
    count = 0
    for _ in finished:
        del _
        count += 1
    assert count == len(SEEDS)
    assert most == in_flight


def test_after_each_round_the_unfinished_are_shown(canvases, oracle):
    shown, done = [], []

    def after_round(group):
        assert not set(map(id, group)) & set(map(id, done))
        shown.append([canvas.counters["steps"] for canvas in group])

    for canvas in scheduler.segment(
        canvases, OracleEngine(oracle, 1), 2, after_round
    ):
        done.append(canvas)
    # Those that have waited longest go first, so two canvases take turns.
    assert shown[:4] == [[0, 1], [1, 1], [1, 2], [2, 2]]
    assert len(shown) == sum(canvas.counters["steps"] for canvas in done)
    assert max(map(len, shown)) == 2
    assert shown[-1] == []


def test_nothing_to_do(oracle):
    engine = OracleEngine(oracle, 2)
    assert list(scheduler.segment([], engine, 3, lambda canvases: None)) == []
    assert engine.sizes == []
