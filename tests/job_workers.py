"""Workers of the tests, which other processes can import."""

import os
import pathlib
import signal
import time

from ffn_tf.jobs.tasks import Done, Failed

# As it was when this module was imported.
CUDA_VISIBLE_DEVICES = os.environ.get("CUDA_VISIBLE_DEVICES")


class Notes:
    """Writes what it does into a folder, a file for each task and attempt.

    A task is a name; what stands in it decides what happens:
      kill-N     the process dies the first N times
      term-N     it is asked to end the first N times
      refuse-N   the system refuses the first N times
      wrong      wrong input
      defect     an error that is nobody's input
      slow       it takes a second
      endless    it takes a minute, and notes when it is interrupted
    """

    def __init__(self, folder, index):
        self.folder, self.index = pathlib.Path(folder), index

    def __call__(self, tasks):
        for task in tasks:
            attempt = len(list(self.folder.glob(f"{task}.*"))) + 1
            note = f"{self.index} {os.getpid()} {os.sched_getaffinity(0)}"
            (self.folder / f"{task}.{attempt}").write_text(note)
            kind, _, times = task.partition("-")
            if kind == "kill" and attempt <= int(times):
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "term" and attempt <= int(times):
                os.kill(os.getpid(), signal.SIGTERM)
            if kind == "slow":
                time.sleep(1)
            if kind == "endless":
                self._endless(task)
            if kind == "refuse" and attempt <= int(times):
                yield Failed(task, PermissionError(13, "refused", task))
            elif kind == "wrong":
                yield Failed(task, ValueError(f"{task} is wrong"))
            elif kind == "defect":
                raise ZeroDivisionError(task)
            else:
                yield Done(task, len(task))

    def _endless(self, task):
        try:
            time.sleep(60)
        finally:
            (self.folder / f"{task}.saved").touch()


def devices(index):
    """A worker that tells which GPUs what it imported has seen."""
    del index
    return lambda tasks: (Done(task, CUDA_VISIBLE_DEVICES) for task in tasks)


def attempts(folder, task):
    """What the attempts at a task have noted, in order."""
    return [p.read_text() for p in sorted(folder.glob(f"{task}.*"))]


def runs(pid):
    """Whether a process is there, and not only remembered."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
