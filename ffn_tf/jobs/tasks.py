"""What executors are given, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, TypeAlias

from ffn_tf import program


@dataclasses.dataclass(frozen=True)
class Done:
    """A task that is done; its `result` is small, for voxels are in files."""

    task: Any
    result: Any


@dataclasses.dataclass(frozen=True)
class Failed:
    """A task that is not done, and why.

    What the operating system or a network refused may work another time; what
    is wrong with the input will not.
    """

    task: Any
    error: Exception

    @property
    def may_work_again(self) -> bool:
        return isinstance(self.error, OSError)


class WorkerDied(OSError):
    """The process or the machine that worked on a task is gone."""


Outcome: TypeAlias = Done | Failed
# Does tasks, several at a time if it likes, and gives an outcome for each.
Work: TypeAlias = Callable[[Iterable[Any]], Iterator[Outcome]]
# Makes what works; with the number of the worker, from 0. Can be pickled.
Make: TypeAlias = Callable[[int], Work]


def one_by_one(do: Callable[[Any], Any]) -> Work:
    """Does a task after the other; its result is what `do` returns.

    Errors that input can cause make a task fail; others are raised.
    """

    def work(tasks: Iterable[Any]) -> Iterator[Outcome]:
        for task in tasks:
            try:
                result = do(task)
            except program.INPUT_ERRORS as error:
                yield Failed(task, error)
            else:
                yield Done(task, result)

    return work


def portable(outcome: Outcome) -> Outcome:
    """The outcome with an error that another process can read.

    Raises:
      Exception: what no check has raised is a defect, not an outcome.
    """
    if isinstance(outcome, Done):
        return outcome
    kinds = [k for k in program.INPUT_ERRORS if isinstance(outcome.error, k)]
    return Failed(outcome.task, kinds[0](str(outcome.error)))


def grouped(tasks: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The tasks in order, `size` together; the last group may be smaller."""
    return [tasks[i : i + size] for i in range(0, len(tasks), size)]
