"""Writes a slab of volumes, row by row; one of several processes that do.

    python -m servers.slab_writer '{"specs": [...], "start": 6, "stop": 11}'

Each spec is a TensorStore of rank 3, or of 4 with one channel. Row i of its
first axis, for start <= i < stop, gets the values 1 + its index in C order,
so no two voxels of a volume are equal and none is 0. The writing begins with
the first line of the standard input, so that all processes write at once.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import tensorstore as ts


def main() -> None:
    told = json.loads(sys.argv[1])
    stores = [ts.open(spec, open=True).result() for spec in told["specs"]]
    print("ready", flush=True)
    sys.stdin.readline()
    for store in stores:
        view = store[..., 0] if store.rank == 4 else store
        values = 1 + np.arange(np.prod(view.shape), dtype=np.uint16)
        values = values.reshape(view.shape)
        for row in range(told["start"], told["stop"]):
            view[row].write(values[row]).result()


if __name__ == "__main__":
    main()
