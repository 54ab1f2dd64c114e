"""Scenes: what Neuroglancer shows, as its state, a JSON object.

    dimensions     x, y, z: the voxel of the first volume
    position       in such voxels; the middle of one is at .5
    layers         the volumes in their order, then skeletons, then points

Each layer has a `source`: where Neuroglancer in the browser gets it from, our
server or the bucket itself (sources.py). A scene with sources of the second
kind only is one that anybody can open: `link`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
from typing import Any
import urllib.parse

import numpy as np

from ffn_tf import volume
from ffn_tf.viewer import chunks, layers, points, skeletons, sources
from ffn_tf.viewer.server import Files
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import files

LAYOUTS = ("4panel", "xy", "xz", "yz", "3d", "xy-3d")
_PAGE = "https://neuroglancer-demo.appspot.com/"
# What may stand in a fragment, and is not changed by those who pass it on.
_SAFE = "~@$&()*!+=:;,.?/'"
_PANEL = 400  # Pixels that a small volume fills.
_FAR = 4096  # Voxels that the view in three dimensions shows of a large one.
_ASIDE = [-0.25, 0.25, 0.0, 0.935]  # A quaternion: from above and the side.
_MOST_SKELETONS = 1000


class Scene:
    """Layers, one after another.

    Attributes:
      served: by the name of a layer, what our server must have.
    """

    def __init__(self, first: volume.Volume) -> None:
        """`first`: the volume whose voxels are those of positions."""
        self._first = first
        self._layers: list[layers.Json] = []
        self.served: dict[str, Files] = {}

    def add_volume(
        self,
        name: str,
        address: str,
        scales: Sequence[volume.Volume],
        segments: Sequence[int] = (),
        properties: str = "",
    ) -> None:
        """A volume: its address, and itself with its coarser scales.

        Args:
          properties: folder of segment properties, in place of its own.
          segments: that are chosen, of a segmentation; none: the largest, if
            there is something to show of them in three dimensions.

        Raises:
          OSError: it cannot be read.
        """
        if scales[0].info.kind == "image":
            is_first = not self._layers
            layer = layers.image(name, scales[0], 1.0 if is_first else 0.5)
        else:
            has = sources.objects(address)
            if not segments and has:
                segments = sources.with_objects(
                    address, layers.largest_segments(scales[-1])
                )
            layer = layers.segmentation(name, segments)
            if len(has) > 1:
                layer = layers.translucent(layer)
        where: str | Files = sources.public(address)
        if not where or properties:
            beside = sources.beside(address)
            if properties and scales[0].info.kind == "segmentation":
                beside |= {"segment_properties": sources.properties(properties)}
            where = chunks.Chunks(scales, beside)
        self._add(layer, where)

    def add_skeletons(self, name: str, address: str) -> None:
        """See skeletons.py.

        Raises:
          FileNotFoundError, ValueError, OSError: there are none.
        """
        where, ids = skeletons.opened(address)
        layer = layers.segmentation(name, ids[:_MOST_SKELETONS])
        self._layers = [layers.translucent(one) for one in self._layers]
        self._add(layer, where)

    def add_points(self, name: str, path: str) -> None:
        """See points.py.

        Raises:
          FileNotFoundError, ValueError: there are none, or not in the volume.
        """
        found = points.read(path, self._first.domain)
        if len(found) <= points.FEW:
            self._layers.append(layers.points(name, found, self.dimensions))
            return
        layer = {"type": "annotation", "name": name}
        self._add(layer, points.Points(found, self.dimensions))

    def _add(self, layer: layers.Json, where: str | Files) -> None:
        if isinstance(where, str):
            layer = layer | {"source": where}
        else:
            self.served[layer["name"]] = where
        self._layers.append(layer)

    @property
    def dimensions(self) -> layers.Json:
        """The axes: those of the first volume."""
        sizes = address_lib.reversed_axes(self._first.voxel_size_nm)
        return {axis: [nm * 1e-9, "m"] for axis, nm in zip("xyz", sizes)}

    def state(
        self,
        position_zyx: Sequence[int] | None,
        layout: str,
        url_of: Callable[[str], str] = str,
    ) -> dict[str, Any]:
        """The state.

        Args:
          position_zyx: the voxel to look at; None for the middle.
          layout: one of LAYOUTS.
          url_of: where our server has what is `served` by a name.

        Raises:
          ValueError: the position is not in the first volume.
        """
        domain = self._first.domain
        here = domain.center if position_zyx is None else position_zyx
        if not domain.contains(volume.Box.from_size(here, 1)):
            raise ValueError(
                f"--position: expected a voxel z,y,x of the first volume, "
                f"which is {domain}, found {tuple(here)}."
            )
        size_nm = self._first.voxel_size_nm
        edges = np.array(size_nm) / min(size_nm)
        extent = float(max(domain.size * edges))
        diagonal = float(np.linalg.norm(domain.size * edges))
        return {
            "dimensions": self.dimensions,
            "position": [v + 0.5 for v in address_lib.reversed_axes([*here])],
            "crossSectionScale": min(1.0, extent / _PANEL),
            "projectionScale": 1.2 * min(diagonal, _FAR),
            "projectionOrientation": _ASIDE,
            "hideCrossSectionBackground3D": True,
            "layers": [
                layer | {"source": f"precomputed://{url_of(layer['name'])}"}
                if layer["name"] in self.served
                else layer
                for layer in self._layers
            ],
            "layout": layout,
        }


def link(state: dict[str, Any]) -> str:
    """A page of Google's with the scene, which is in the link itself."""
    text = json.dumps(state, separators=(",", ":"))
    return f"{_PAGE}#!{urllib.parse.quote(text, safe=_SAFE)}"


def write(state: dict[str, Any], path: str) -> None:
    """Writes the scene; Neuroglancer's button `{}` takes such a text."""
    files.write_text(path, json.dumps(state, indent=1) + "\n")
