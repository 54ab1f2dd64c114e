"""The engine for accelerators: canvases live on the device (resident.py).

The host writes images, and reads voxels of finished objects only. While the
device steps one batch, the scheduler works on the answers of another.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
import functools
import itertools
import time
from typing import Any

from keras import ops
import numpy as np

from ffn_tf import model
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import device, engine, resident
from ffn_tf.inference import field as field_lib

_BRICK = 64  # Edge of what is read and written at once.
_TRIALS = 10

Shape = tuple[int, int, int]


class ResidentEngine(engine.Engine):
    """See engine.Engine; `compute_dtype` is float32 or bfloat16.

    The step is compiled for the rule and the size of the canvases that come.
    """

    depth = 2

    def __init__(
        self, network: model.ConvStack, compute_dtype: str, batch_size: int
    ) -> None:
        super().__init__(compute_dtype, batch_size)
        self.name = device.name()
        if compute_dtype == "bfloat16":
            network = engine.in_bfloat16(network)
        self._network = network
        self._write = device.changed_in_place(
            lambda array, at, brick: (ops.slice_update(array, at, brick), ())
        )
        self._read = device.compiled(
            lambda array, at: device.part(array, at, _brick_of(array))
        )
        self._at = device.compiled(
            lambda array, at: device.part(array, at, (1, 1, 1, 1))
        )
        self._step: device.Change | None = None
        self._rule: field_lib.Rule | None = None
        self._canvases: Any = None
        self._images: Any = None
        self._slots, self._free = 0, list[int]()
        self._shape: Shape = (0, 0, 0)
        self._ready_at = 0.0

    def reserve(self, slots: int, shape: Shape) -> None:
        slots = max(slots, self._slots)
        z, y, x = (max(n, m) for n, m in zip(shape, self._shape))
        before, after = (self._slots, *self._shape), (slots, z, y, x)
        if after == before:
            return
        if self._slots:
            more = [(0, n - m) for n, m in zip(after, before)]
            arrays = [
                ops.pad(ops.convert_to_tensor(array), more, "constant", np.nan)
                for array in (self._canvases, self._images)
            ]
        else:
            arrays = [ops.full(after, np.nan, "float32") for _ in range(2)]
        self._canvases, self._images = map(device.held, arrays)
        self._blank = ops.full(_brick_of(self._canvases), np.nan, "float32")
        self._free += range(self._slots, slots)
        self._slots, self._shape = slots, (z, y, x)
        self._step = None

    def adopt(self, canvas: canvas_lib.Canvas) -> None:
        """Moves a canvas to the device, until its field is closed."""
        if self._rule != canvas.rule:
            assert len(self._free) == self._slots, "one rule at a time"
            self._rule, self._step = canvas.rule, None
        z, y, x = map(max, canvas.image.shape, canvas.rule.size)
        self.reserve(self._slots + (not self._free), (z, y, x))
        slot = self._free.pop()
        everything = tuple(slice(0, n) for n in canvas.image.shape)
        for corner, brick in self._filled(slot, everything, canvas.image):
            self._images, _ = self._write(self._images, corner, brick)
        canvas.move_to(ResidentField(self, slot, canvas))

    def release(self, slot: int) -> None:
        """The slot is clean, and free for another canvas."""
        self._free.append(slot)

    # -- steps ---------------------------------------------------------------

    def submit(
        self, requests: Sequence[np.ndarray]
    ) -> Callable[[], np.ndarray]:
        """Begins the steps of resident.py's orders; calling gives answers."""
        if self._step is None:
            self._compile()
        orders = np.zeros((self.batch_size, resident.ORDER), np.int32)
        orders[: len(requests)] = requests
        began = time.perf_counter()
        answers = self._stepped(orders)

        def received() -> np.ndarray:
            found = ops.convert_to_numpy(answers)[: len(requests)]
            now = time.perf_counter()
            # Batches follow each other; each moment is counted once.
            self.seconds += now - max(began, self._ready_at)
            self._ready_at = now
            self.steps += len(requests)
            return found

        return received

    def _stepped(self, orders: np.ndarray) -> Any:
        assert self._step is not None
        self._canvases, answers = self._step(
            self._canvases, self._images, orders
        )
        return answers

    def _compile(self) -> None:
        """The first call compiles; it is not counted."""
        assert self._rule is not None
        self._step = device.changed_in_place(
            functools.partial(resident.step, self._network, self._rule)
        )
        orders = np.zeros((self.batch_size, resident.ORDER), np.int32)
        ops.convert_to_numpy(self._stepped(orders))

    def seconds_per_step(self, rule: field_lib.Rule) -> float:
        """How long full batches take; measured while there is no canvas."""
        self._rule = rule
        self.reserve(1, rule.size)
        self._compile()
        orders = np.zeros((self.batch_size, resident.ORDER), np.int32)
        began = time.perf_counter()
        for _ in range(_TRIALS):
            answers = self._stepped(orders)
        ops.convert_to_numpy(answers)
        seconds = time.perf_counter() - began
        return seconds / (_TRIALS * self.batch_size)

    # -- voxels --------------------------------------------------------------

    def at(self, slot: int, position: field_lib.Position) -> np.float32:
        """The logit of a voxel."""
        where = np.array((slot, *position), np.int32)
        found = self._at(self._canvases, where)
        return ops.convert_to_numpy(found)[0, 0, 0, 0]

    def read(self, slot: int, where: field_lib.Slices) -> np.ndarray:
        """The logits [z, y, x] of a part of a canvas."""
        found = np.empty([s.stop - s.start for s in where], np.float32)
        for corner, inner, outer in self._bricks(slot, where):
            brick = self._read(self._canvases, corner)
            found[outer] = ops.convert_to_numpy(brick)[0][inner]
        return found

    def write(
        self, slot: int, where: field_lib.Slices, logits: np.ndarray
    ) -> None:
        """Sets a part of a canvas that is untouched around it."""
        for corner, brick in self._filled(slot, where, logits):
            self._canvases, _ = self._write(self._canvases, corner, brick)

    def clear(self, slot: int, where: field_lib.Slices) -> None:
        """Makes a part, and what is around it, untouched."""
        for corner, _, _ in self._bricks(slot, where):
            self._canvases, _ = self._write(self._canvases, corner, self._blank)

    def _filled(
        self, slot: int, where: field_lib.Slices, values: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Bricks with the values of a part, NaN around it; their corners."""
        for corner, inner, outer in self._bricks(slot, where):
            brick = np.full(_brick_of(self._canvases), np.nan, np.float32)
            brick[0][inner] = values[outer]
            yield corner, brick

    def _bricks(
        self, slot: int, where: field_lib.Slices
    ) -> Iterator[tuple[np.ndarray, field_lib.Slices, field_lib.Slices]]:
        """Bricks that cover a part: corner, and what both have in common.

        That is given as slices of the brick, and of the part.
        """
        _, *brick_size = _brick_of(self._canvases)
        axes = []
        for part, brick, n in zip(where, brick_size, self._shape):
            axis = []
            for start in range(part.start, part.stop, brick):
                start = min(start, n - brick)
                low = max(start, part.start)
                high = min(start + brick, part.stop)
                inner = slice(low - start, high - start)
                outer = slice(low - part.start, high - part.start)
                axis.append((start, inner, outer))
            axes.append(axis)
        for found in itertools.product(*axes):
            starts, inner, outer = zip(*found)
            yield np.array((slot, *starts), np.int32), inner, outer


def _brick_of(arrays: Any) -> tuple[int, ...]:
    """What of canvases or images is read and written at once, a shape."""
    _, *shape = arrays.shape
    return (1, *(min(_BRICK, n) for n in shape))


class ResidentField:
    """See field; it yields rows of orders, and is sent rows of answers.

    Args:
      engine: whose slot it has, until it is closed.
      canvas: whose logits these are.
    """

    def __init__(
        self, engine: ResidentEngine, slot: int, canvas: canvas_lib.Canvas
    ) -> None:
        self._engine, self._slot = engine, slot
        self._rule, self._shape = canvas.rule, canvas.image.shape
        # Where an object begins, until its first step writes it.
        self._first: field_lib.Position | None = None
        # Logits as of the last step.
        self._known: dict[field_lib.Position, np.float32] = {}

    def begin(self, position: field_lib.Position) -> None:
        self._first = position
        self._known = {position: self._rule.init}

    def at(self, position: field_lib.Position) -> np.float32:
        if position not in self._known:
            self._known[position] = self._engine.at(self._slot, position)
        return self._known[position]

    def step(
        self,
        position: field_lib.Position,
        watched: Callable[[], list[field_lib.Position]],
    ) -> Generator[np.ndarray, np.ndarray, field_lib.Found]:
        corner = [part.start for part in self._rule.around(position)]
        is_first = self._first is not None
        positions = watched()
        numbers = [self._slot, *corner, True, is_first]
        numbers += itertools.chain.from_iterable(positions)
        order = np.zeros(resident.ORDER, np.int32)
        order[: len(numbers)] = numbers
        answer = yield order
        self._first = None
        count = len(self._rule.faces.slices)
        numbers = answer.tolist()
        places = map(int, numbers[count : 2 * count])
        strongest = list(zip(numbers[:count], places))
        self._known = dict(zip(positions, answer[2 * count + 1 :]))
        for score, offset in self._rule.faces.ranked(strongest, -np.inf):
            z, y, x = (p + o for p, o in zip(position, offset))
            self._known[z, y, x] = np.float32(score)
        return field_lib.Found(strongest, int(numbers[2 * count]))

    def _clipped(self, where: field_lib.Slices) -> field_lib.Slices:
        return tuple(
            slice(s.start, min(s.stop, n)) for s, n in zip(where, self._shape)
        )

    def read(self, where: field_lib.Slices) -> np.ndarray:
        clipped = self._clipped(where)
        found = self._engine.read(self._slot, clipped)
        if self._first is not None:
            at = tuple(p - s.start for p, s in zip(self._first, clipped))
            if all(0 <= p < n for p, n in zip(at, found.shape)):
                found[at] = self._rule.init
        return found

    def write(self, where: field_lib.Slices, logits: np.ndarray) -> None:
        self._engine.write(self._slot, self._clipped(where), logits)

    def clear(self, where: field_lib.Slices) -> None:
        if self._first is None:
            self._engine.clear(self._slot, self._clipped(where))
        self._first = None

    def close(self) -> None:
        self._engine.release(self._slot)
