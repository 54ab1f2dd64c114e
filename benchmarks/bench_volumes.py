"""Volumes: how fast they are read, how small they are, whether writes hold.

    python benchmarks/bench_volumes.py [--quick] [--only=remote,storage]

The six bars of issue 3, against CloudVolume, h5py, and TensorStore used
without us, on real EM (FIB-25) and on servers of loopback. What is compared
with what, the modules in benchmarks/volumes/ say, one for each part. Sides
take turns, medians count, and where it makes sense a row says what the machine
could do at most. The last line is JSON; what was not measured is null.
"""

from __future__ import annotations

import json
import time

from absl import app, flags
import machine
from volumes import (
    claims,
    exabyte,
    local,
    overhead,
    pipeline,
    remote,
    second_pass,
    storage,
    workplace,
    writers,
)

_PARTS = {
    "remote": remote.run,
    "local": local.run,
    "overhead": overhead.run,
    "pipeline": pipeline.run,
    "storage": storage.run,
    "second_pass": second_pass.run,
    "exabyte": exabyte.run,
    "writers": writers.run,
}
_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: less of all.")
_ONLY = flags.DEFINE_list(
    "only", list(_PARTS), "Parts to run; the others' values are null."
)


@flags.validator("only", f"Parts are {', '.join(_PARTS)}.")
def _are_parts(names: list[str]) -> bool:
    return set(names) <= set(_PARTS)


def main(argv: list[str]) -> None:
    del argv
    print(machine.name())
    found: dict[str, float | None] = {}
    with workplace.opened(_QUICK.value) as place:
        for name in _ONLY.value:
            start = time.perf_counter()
            found |= _PARTS[name](place)
            print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)
    claims.print_table(found)
    print(json.dumps(claims.line(found)))


if __name__ == "__main__":
    app.run(main)
