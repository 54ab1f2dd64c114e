"""Bar 6: four processes write into the same chunks; is any voxel lost?

    file, GCS, S3    10,000 writes in each of the three places
    ... in shards    fewer: each changes a file in which all chunks are, and so
                     meets all the others

Every chunk has four planes, and each process (writers_child.py) writes one
plane of all chunks, at the same time as the others and in the same order. So
every write changes part of a chunk that three others want to change. Voxels
are all different and none is 0; those that are not what their writer wrote
are lost. What is read at the end is read by this process, which has read
nothing before.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from servers import gcs_server, s3_server

from ffn_tf import volume
from ffn_tf.volume import address
from ffn_tf.volume.formats import codec, layout
from volumes import table
from volumes.workplace import Workplace

PROCESSES = 4
CHUNK_EDGE = 16
_BUCKET = "writers"
# Amazon's library complains of files that it does not need.
_QUIET = dict.fromkeys(
    ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull
)
_BENCHMARKS = pathlib.Path(__file__).resolve().parents[1]


def run(place: Workplace) -> dict[str, float | None]:
    # Chunks along y and x.
    edges = {False: place.pick(50, 7), True: place.pick(7, 3)}
    writes = [f"{PROCESSES * edge**2:,}" for edge in edges.values()]
    table.heading(
        f"{PROCESSES} processes write into the same chunks: {writes[0]} chunk "
        f"writes in each place, and {writes[1]} in shards"
    )
    lost = 0
    with _places(place) as addresses:
        for is_sharded, edge in edges.items():
            for name, text in addresses.items():
                lost += _written(name, text, edge, is_sharded)
    return {"lost_voxels": lost}


@contextlib.contextmanager
def _places(place: Workplace) -> Iterator[dict[str, str]]:
    """Addresses by place, with the servers behind them."""
    before = dict(os.environ)
    with gcs_server.start(_BUCKET) as gcs, s3_server.start(_BUCKET) as s3:
        os.environ.update(gcs.environment() | s3.environment() | _QUIET)
        try:
            yield {
                "file": f"precomputed://{place.folder}/writers/em",
                "GCS": f"precomputed://gs://{_BUCKET}/em",
                "S3": f"precomputed://s3://{_BUCKET}/em?endpoint={s3.url}",
            }
        finally:
            os.environ.clear()
            os.environ.update(before)


def voxels(edge: int) -> np.ndarray:
    """What the volume holds at the end: [z, y, x] uint32."""
    shape = (PROCESSES, edge * CHUNK_EDGE, edge * CHUNK_EDGE)
    return 1 + np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)


def _written(name: str, text: str, edge: int, is_sharded: bool) -> int:
    """Lets them write; how many voxels are lost."""
    expected = voxels(edge)
    info = volume.VolumeInfo(
        volume.Box.from_shape(expected.shape),
        expected.dtype,
        chunk_zyx=(PROCESSES, CHUNK_EDGE, CHUNK_EDGE),
        kind="image",
    )
    if is_sharded:
        name, text = f"{name}, in shards", text.replace("/em", "/seg")
    wanted = codec.Codec(sharded="yes" if is_sharded else "no")
    where = address.parse(text, creating=True)
    layout.create_chunked(where, info, {}, wanted)
    seconds = _run_processes(text, edge)
    with volume.open(f"{text}{'&' if '?' in text else '?'}missing=zero") as it:
        lost = int(np.count_nonzero(it.read() != expected))
    writes = PROCESSES * edge**2
    table.rate(
        name,
        writes / seconds,
        "writes/s",
        f"{writes:,} writes, {lost} of {expected.size:,} voxels lost",
    )
    return lost


def _run_processes(text: str, edge: int) -> float:
    """Seconds from the start signal to the end of the last one."""
    path = os.pathsep.join([str(_BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "volumes.writers_child",
                text,
                str(edge),
                str(number),
            ],
            env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        for child in children:
            assert child.stdout
            if child.stdout.readline() != "ready\n":
                raise RuntimeError(f"{text}: {child.communicate()[1]}")
        start = time.perf_counter()
        for child in children:
            assert child.stdin
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate()[1] for child in children]
        if any(child.returncode for child in children):
            raise RuntimeError(f"{text}: {''.join(said)}")
        return time.perf_counter() - start
    finally:
        for child in children:
            child.kill()
            child.communicate()
