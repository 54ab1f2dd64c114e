"""Skeletons of any file that `skeleton.read` knows, as precomputed ones."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
import os

from ffn_tf import skeleton
from ffn_tf.skeleton import precomputed
from ffn_tf.viewer.folder import Folder
from ffn_tf.volume import place as place_lib


class Skeletons:
    """The files of a set of skeletons."""

    def __init__(self, skeletons: Sequence[skeleton.Skeleton]) -> None:
        self._by_name = {f"{one.id}": one for one in skeletons}
        self._has_radii = all(one.radii_nm is not None for one in skeletons)

    def ids(self) -> list[int]:
        """Of the skeletons."""
        return [one.id for one in self._by_name.values()]

    def get(self, path: str) -> bytes | None:
        """A file; None if there is none of that name."""
        if path == "info":
            return json.dumps(precomputed.info(self._has_radii)).encode()
        found = self._by_name.get(path)
        if found is None:
            return None
        if not self._has_radii:
            found = dataclasses.replace(found, radii_nm=None)
        return precomputed.encode(found)


def opened(address: str) -> tuple[Folder | Skeletons | str, list[int]]:
    """What to serve, or where Neuroglancer reads it itself; and ids.

    Args:
      address: a folder of precomputed skeletons, here or anywhere, or a file
        that `skeleton.read` knows. Of sharded and remote ones no ids are told.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: what is there is not skeletons.
      OSError: it cannot be read.
    """
    url = address.removeprefix("precomputed://").removeprefix("file://")
    place = place_lib.Place(url)
    info = None
    if place.is_remote or os.path.isdir(url):
        info = place.read_json("info")
    if info is None and place.is_remote:
        raise FileNotFoundError(f"{address}: no precomputed skeletons there.")
    if info is None:
        found = Skeletons(skeleton.read(url))
        return found, found.ids()
    if info.get("@type") != precomputed.TYPE:
        raise ValueError(
            f"{place.name('info')}: expected @type {precomputed.TYPE}, found "
            f"{info.get('@type')}. Name the folder of the skeletons, not of "
            f"the volume."
        )
    if place.is_remote:
        return f"precomputed://{url}", []
    files = Folder(url)
    return files, files.ids()
