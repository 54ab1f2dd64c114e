"""Volumes that count what is read of them, and one of 10^18 voxels; files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import pathlib
import types
from typing import Any

import numpy as np
import pytest

from ffn_tf import volume

Box = volume.Box


class Counting:
    """A Source over an array that keeps the boxes of each request."""

    def __init__(self, array: np.ndarray, info: volume.VolumeInfo) -> None:
        self.info = info
        self.attributes: dict[str, Any] = {"made": "by hand"}
        self.requests: list[list[Box]] = []
        self.closed = False
        self._array = array

    @property
    def num_voxels(self) -> int:
        """Read until now."""
        return sum(b.num_voxels for boxes in self.requests for b in boxes)

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        self.requests.append(list(boxes))
        start = self.info.domain.start
        return [self._array[b.relative_to(start).slices].copy() for b in boxes]

    def write(self, box: Box, array: np.ndarray) -> None:
        self._array[box.relative_to(self.info.domain.start).slices] = array

    def close(self) -> None:
        self.closed = True


class Formula:
    """A Source whose voxels are computed: its domain may have any size."""

    attributes = types.MappingProxyType({})

    def __init__(self, info: volume.VolumeInfo) -> None:
        self.info = info
        self.num_voxels = 0

    def read(self, box: Box) -> np.ndarray:
        self.num_voxels += box.num_voxels
        z, y, x = np.ogrid[box.slices]
        return (z * 7 + y * 5 + x * 3).astype(self.info.dtype)

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def counted() -> Callable[..., tuple[volume.Volume, Counting]]:
    """counted(array, start, writable=, **info): a volume and its source."""

    def make(
        array: np.ndarray,
        start: Sequence[int] = (0, 0, 0),
        *,
        writable: bool = False,
        **info: Any,
    ) -> tuple[volume.Volume, Counting]:
        domain = Box.from_size(start, array.shape)
        source = Counting(array, volume.VolumeInfo(domain, array.dtype, **info))
        return volume.Volume(source, "below", writable=writable), source

    return make


@pytest.fixture
def exabyte() -> tuple[volume.Volume, Formula]:
    """10^18 voxels, and what they come from."""
    domain = Box((-3, 10, 5), (10**6 - 3, 10**6 + 10, 10**6 + 5))
    source = Formula(volume.VolumeInfo(domain, np.dtype(np.uint16), (40, 8, 4)))
    return volume.Volume(source, "exabyte", writable=False), source


@pytest.fixture(scope="session")
def tree() -> Callable[[str | os.PathLike[str]], dict[str, bytes]]:
    """tree(folder): the bytes of all files in it, by their paths."""

    def make(folder: str | os.PathLike[str]) -> dict[str, bytes]:
        root = pathlib.Path(folder)
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    return make
