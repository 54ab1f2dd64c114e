"""CloudVolume reading random boxes, in the ways that could be its best.

It has no call for many boxes, so they are read one by one, or by threads
that share a volume with an LRU cache of 1 GB. Its results stay as they are,
[x, y, z, channel]. Connections: as many as there are threads, instead of its
10, beyond which it would open a new one for each request.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
from typing import Any

import numpy as np

from ffn_tf import volume
from volumes import turns

LRU_BYTES = 10**9
_CONNECTIONS = 256


def opened(url: str, lru_bytes: int = LRU_BYTES) -> Any:
    """A CloudVolume; `url` is without precomputed://."""
    from cloudfiles import interfaces
    import cloudvolume
    from requests import adapters

    interfaces.HttpInterface.adaptor = adapters.HTTPAdapter(
        pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS
    )
    return cloudvolume.CloudVolume(
        f"precomputed://{url}",
        bounded=True,
        cache=False,
        fill_missing=False,
        lru_bytes=lru_bytes,
        max_redirects=0,
        parallel=1,
        progress=False,
    )


def _bboxes(boxes: Sequence[volume.Box]) -> list[Any]:
    from cloudvolume import Bbox

    return [Bbox(box.start[::-1], box.end[::-1]) for box in boxes]


def one_by_one(cloud: Any, boxes: Sequence[volume.Box]) -> turns.Work:
    asked = _bboxes(boxes)
    return lambda: [np.asarray(cloud.download(bbox, mip=0)) for bbox in asked]


def threaded(
    cloud: Any, boxes: Sequence[volume.Box], threads: int
) -> turns.Work:
    """Several cutouts at once."""
    asked = _bboxes(boxes)

    def read() -> list[np.ndarray]:
        with futures.ThreadPoolExecutor(threads) as pool:
            return list(
                pool.map(
                    lambda bbox: np.asarray(cloud.download(bbox, mip=0)), asked
                )
            )

    return read
