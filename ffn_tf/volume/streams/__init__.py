"""Read, process, write: many boxes at once, in bounded memory.

    written = volume.streams.copy(em, target, boxes, sharpened)

    tasks                 an ordered or unordered pipeline of async work
    stream, outcome       volumes through such a pipeline; what became of it
    slabs                 some sections of a volume, whole, each chunk read once
    live                  volumes that grow while they are read
    arriving_slices, arriving_chunks    ... as images, as chunks

A stream is an asynchronous iterator of (box, voxels).
"""

from ffn_tf.volume.streams import live
from ffn_tf.volume.streams.outcome import Statistics, StreamError
from ffn_tf.volume.streams.stream import copy, process, read, write
from ffn_tf.volume.streams.tasks import run

__all__ = [
    "Statistics",
    "StreamError",
    "copy",
    "live",
    "process",
    "read",
    "run",
    "write",
]
