"""A writer of bar 6: `python -m volumes.writers_child ADDRESS EDGE NUMBER`.

Writes plane NUMBER of the volume, a row of chunks at a time, once it is told
to by a line on its standard input; see writers.py.
"""

from __future__ import annotations

import sys

from ffn_tf import volume
from volumes import writers


def main() -> None:
    _, text, edge, number = sys.argv
    plane, voxels = int(number), writers.voxels(int(edge))
    with volume.open(text, mode="r+") as target:
        print("ready", flush=True)
        sys.stdin.readline()
        for row in range(int(edge)):
            box = volume.Box.from_size(
                (plane, row * writers.CHUNK_EDGE, 0),
                (1, writers.CHUNK_EDGE, voxels.shape[2]),
            )
            target.write(box, voxels[box.slices])


if __name__ == "__main__":
    main()
