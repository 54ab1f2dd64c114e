"""Memory does not grow with what is read from a slow server that fails.

A process of its own reads an eighth of a volume, which fills its caches, and
then all of it: its peak may not grow by more than a small part of the volume.
The caches are made small, as the volume is.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from servers import handle, http_server
from servers.faults import Fault

from ffn_tf import volume
from ffn_tf.volume import grid

SHAPE = (256, 1024, 1024)  # 256 MiB, far more than the caches hold.
GROWTH_MB = 80.0  # Seen: 30, and 300 where everything is kept.
READS = {
    "stream": "",
    "read_many": "&cache=disk",
}

CHILD = """
import itertools, json, pathlib, re, sys
import numpy as np
import tensorstore as ts
from ffn_tf import volume
from ffn_tf.volume import grid, place
from ffn_tf.volume.cache import cached
from ffn_tf.volume.formats import chunked
from ffn_tf.volume.streams import stream

how, address = sys.argv[1:]
told = place.context().spec.to_json()
small = ts.Context(told | {"cache_pool": {"total_bytes_limit": 2**24}})
place.context = chunked.context = lambda: small
cached.HELD_BYTES = 2**24

def check(box, voxels):
    z, y, x = np.ogrid[box.slices]
    assert (voxels == (z * 7 + y * 5 + x * 3).astype(np.uint8)).all(), box

class Sink:
    def write(self, box, voxels):
        check(box, voxels)

def read(em, boxes):
    if how == "stream":
        sink = Sink()
        sink.info = em.info
        return stream.copy(em, sink, boxes, lambda b, v: (b, v.copy()))
    while batch := list(itertools.islice(boxes, 16)):
        for box, voxels in zip(batch, em.read_many(batch)):
            check(box, voxels)

def peak_mb():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) / 1024

with volume.open(address) as em:
    boxes = list(grid.tile(em.domain, (64, 64, 128)))
    read(em, iter(boxes[: len(boxes) // 8]))
    before = peak_mb()
    read(em, iter(boxes[len(boxes) // 8 :]))
print(json.dumps([before, peak_mb()]))
"""


@pytest.fixture(scope="module")
def large(_http_process: http_server.HttpServer) -> Iterator[str]:
    """Name of the volume's folder on the web server."""
    folder = _http_process.folder / "large"
    domain = volume.Box.from_shape(SHAPE)
    info = volume.VolumeInfo(domain, np.dtype(np.uint8), kind="image")
    volume.create(f"precomputed://{folder}", info).close()
    (scale,) = json.loads((folder / "info").read_text())["scales"]
    (folder / scale["key"]).mkdir()
    for box in grid.tile(domain, 64):
        z, y, x = np.ogrid[box.slices]
        ends = zip(box.start[::-1], box.end[::-1])
        name = "_".join(f"{start}-{end}" for start, end in ends)
        voxels = (z * 7 + y * 5 + x * 3).astype(np.uint8)
        (folder / scale["key"] / name).write_bytes(voxels.tobytes())
    yield folder.name
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", READS)
def test_the_peak_is_bounded(how, large, http_server, tmp_path):
    http_server.set(latency_ms=5)
    http_server.add(Fault(f"{large}/", "status", times=1))  # Each file once.
    address = f"precomputed://{http_server.url}/{large}?deadline_s=100"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, how, address + READS[how]],
        env=os.environ
        | handle.OFFLINE
        | {"FFN_CACHE_DIR": str(tmp_path), "FFN_CACHE_GB": "0.05"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert http_server.state().statuses[503] >= 1024
    before, after = json.loads(done.stdout)
    assert after - before < GROWTH_MB
