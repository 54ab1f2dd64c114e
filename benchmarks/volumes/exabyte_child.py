"""One volume of bar 5: `python -m volumes.exabyte_child KIND EDGE FOLDER`.

Prints what it took, as a line of JSON; see exabyte.py.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools
import json
import sys
import time
from typing import Any

import numpy as np
import psutil
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import address, grid, place
from ffn_tf.volume.formats import chunked, layout
from ffn_tf.volume.views import border, index, resample

_WARM_EDGE = 500
_JOB, _OVERLAP = 256, 32


def _voxels(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    # Cut to 16 bits first, so that no large integers are in memory.
    first, second, third = (
        (places * factor % 2**16).astype(np.uint16)
        for places, factor in ((z, 7), (y, 5), (x, 3))
    )
    return first + second + third


def _zeros(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape), np.uint16)


def virtual(edge: int, folder: str) -> volume.Volume:
    """Voxels are 7 z + 5 y + 3 x, modulo 2^16."""
    del folder

    def fill(domain: ts.IndexDomain, voxels: np.ndarray, _: Any) -> None:
        voxels[...] = _voxels(*np.ogrid[domain.index_exp])

    store = ts.virtual_chunked(
        fill,
        dtype=ts.uint16,
        domain=ts.IndexDomain(shape=(edge,) * 3),
        chunk_layout=ts.ChunkLayout(read_chunk_shape=(64, 64, 64)),
        context=place.context(),
    )
    info = volume.VolumeInfo(
        volume.Box.from_shape((edge,) * 3), np.dtype(np.uint16), (40, 8, 4)
    )
    source = chunked.ChunkedSource(store, info, {}, "virtual")
    return volume.Volume(source, "virtual", writable=False)


def metadata(edge: int, folder: str) -> volume.Volume:
    """A folder with nothing but `info` and `provenance`."""
    return volume.open(f"precomputed://{folder}-{edge}?missing=zero")


def created(edge: int, folder: str) -> None:
    text = f"precomputed://{folder}-{edge}"
    info = volume.VolumeInfo(
        volume.Box.from_shape((edge,) * 3), np.dtype(np.uint16), (40, 8, 4)
    )
    layout.create_chunked(address.parse(text, creating=True), info, {})


def _viewed(opened: volume.Volume) -> volume.Volume:
    inner = opened.domain.padded(-100)
    view = index.transposed(index.cropped(opened, inner), "xyz")
    coarse = resample.downsampled(view, (2, 2, 2))
    return border.padded(coarse, coarse.domain.padded(50))


def _planned(opened: volume.Volume) -> int:
    overlap = (_OVERLAP,) * 3
    tiles = grid.tile(opened.domain, _JOB, overlap=overlap)
    first = list(itertools.islice(tiles, 100))
    return len(first) + grid.count(opened.domain, _JOB, overlap=overlap)


def _middle(opened: volume.Volume) -> volume.Box:
    return volume.Box.from_size([c - 32 for c in opened.domain.center], 64)


def _took(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and the result."""
    start = time.perf_counter()
    result = work()
    return 1e3 * (time.perf_counter() - start), result


def measured(
    make: Callable[[int, str], volume.Volume], edge: int, folder: str
) -> dict[str, float]:
    """Milliseconds of each step."""
    open_ms, opened = _took(lambda: make(edge, folder))
    view_ms, view = _took(lambda: _viewed(opened))
    plan_ms, _ = _took(lambda: _planned(opened))
    box = _middle(opened)
    read_ms, (voxels, seen) = _took(
        lambda: (opened.read(box), view.read(_middle(view)))
    )
    of = _voxels if make is virtual else _zeros
    np.testing.assert_array_equal(voxels, of(*np.ogrid[box.slices]))
    # A view's voxel is the mean of 2^3, whose axes are x, y, z.
    fine = _middle(view).scaled((2, 2, 2), (1, 1, 1))
    x, y, z = np.ogrid[fine.slices]
    cells = of(z, y, x).reshape(64, 2, 64, 2, 64, 2)
    means = np.rint(cells.mean(axis=(1, 3, 5)))
    np.testing.assert_array_equal(seen, means.astype(np.uint16))
    return {
        "open_ms": open_ms,
        "view_ms": view_ms,
        "plan_ms": plan_ms,
        "read_ms": read_ms,
    }


def main() -> None:
    _, kind, edge, folder = sys.argv
    make = {"virtual": virtual, "metadata": metadata}[kind]
    if make is metadata:
        for size in (_WARM_EDGE, int(edge)):
            created(size, folder)
    measured(make, _WARM_EDGE, folder)
    process = psutil.Process()
    before = process.memory_info().rss
    found = measured(make, int(edge), folder)
    found["rss_mb"] = (process.memory_info().rss - before) / 1e6
    print(json.dumps(found))


if __name__ == "__main__":
    main()
