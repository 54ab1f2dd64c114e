"""Voxel size and origin, as other people's metadata write them.

Three ways are read, and written where the format allows:

  units        TensorStore's `dimension_units` (precomputed, n5, zarr 3)
  attributes   CREMI / funlib: `resolution` (or `voxel_size`) and `offset`,
               z y x, in nanometres; and ilastik's `element_size_um`
  multiscales  OME-NGFF 0.4 (zarr 2) and 0.5 (zarr 3): a group that lists its
               scales, each with a `scale` and a `translation`

An origin is a whole number of voxels. Downsampled scales put theirs on
fractions (the middle of a coarse voxel); those are rounded down. A translation
is in the units of its scale, so it needs none to be told in voxels; an offset
in nanometres needs a voxel size, and is said to be lost without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import functools
import math
from typing import Any

from ffn_tf import program
from ffn_tf.volume.box import Triple, triple
from ffn_tf.volume.source import Nanometres, VolumeInfo

_NANOMETRES = {
    "angstrom": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "um": 1e3,
    "µm": 1e3,  # micro sign
    "μm": 1e3,  # Greek mu
    "micrometer": 1e3,
    "micron": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "m": 1e9,
    "meter": 1e9,
}


def nanometres(length: float, unit: str | None) -> float | None:
    """`length` in nanometres; None if the unit is no length."""
    factor = _NANOMETRES.get(unit or "")
    return None if factor is None else length * factor


def from_units(units: Sequence[Any]) -> Nanometres | None:
    """Of three TensorStore units, zyx; None unless all are lengths."""
    sizes = [
        None if unit is None else nanometres(unit.multiplier, unit.base_unit)
        for unit in units
    ]
    if len(sizes) != 3 or not all(sizes):
        return None
    z, y, x = (float(size) for size in sizes if size)
    return z, y, x


def start_voxel(offset_nm: Sequence[float], size_nm: Nanometres) -> Triple:
    """The first voxel of a volume that begins at `offset_nm`, zyx.

    Raises:
      ValueError: NaN or infinity among them.
    """
    if not all(map(math.isfinite, (*offset_nm, *size_nm))):
        raise ValueError(
            f"expected finite lengths (z, y, x), found an offset of "
            f"{tuple(offset_nm)} and voxels of {tuple(size_nm)} nm."
        )
    return triple(math.floor(o / s + 1e-6) for o, s in zip(offset_nm, size_nm))


def offset_nm(info: VolumeInfo) -> list[float]:
    """Where the volume's first voxel begins, zyx."""
    return [s * n for s, n in zip(info.domain.start, info.voxel_size_nm)]


def from_attributes(
    attributes: Mapping[str, Any], where: str = "a volume"
) -> tuple[Nanometres | None, Triple]:
    """Voxel size (None if not given) and first voxel, zyx.

    `where` is for the warning of an offset that is lost.
    """
    micrometres = _lengths(attributes, "element_size_um")
    size = (
        _lengths(attributes, "resolution")
        or _lengths(attributes, "voxel_size")
        or (micrometres and [v * 1e3 for v in micrometres])
    )
    offset = _lengths(attributes, "offset") or [0.0, 0.0, 0.0]
    if not size or min(size) <= 0:
        if any(offset):
            _warn_of_offset(where)
        return None, (0, 0, 0)
    z, y, x = size
    return (z, y, x), start_voxel(offset, (z, y, x))


@functools.cache  # Once for each volume, however often it is opened.
def _warn_of_offset(where: str) -> None:
    program.warn(
        f"{where}: has an `offset`, in nanometres, but no positive "
        f"`resolution` that turns it into voxels; the volume counts as "
        f"beginning at voxel (0, 0, 0). Correct the attributes (nm, z y x)."
    )


def _lengths(attributes: Mapping[str, Any], name: str) -> list[float] | None:
    """Three numbers; None if there is nothing, or something else."""
    try:
        values = [float(value) for value in attributes[name]]
    except (KeyError, TypeError, ValueError):
        return None
    return values if len(values) == 3 else None


def to_multiscales(
    scales: Sequence[VolumeInfo], version: str
) -> dict[str, Any]:
    """OME-NGFF metadata of a group with the scales `0`, `1`, ...

    OME-NGFF speaks of the middle of the first voxel, and leaves open where
    the origin is. Ours is such that scale 0 is at a whole number of voxels;
    the middles of coarser voxels are half a difference of sizes further.
    """
    multiscale: dict[str, Any] = {
        "axes": [
            {"name": axis, "type": "space", "unit": "nanometer"}
            for axis in "zyx"
        ],
        "datasets": [
            {
                "path": f"{mip}",
                "coordinateTransformations": [
                    {"type": "scale", "scale": list(info.voxel_size_nm)},
                    {
                        "type": "translation",
                        "translation": _middle_nm(info, scales[0]),
                    },
                ],
            }
            for mip, info in enumerate(scales)
        ],
    }
    if len(scales) > 1:
        multiscale["type"] = (
            "mode" if scales[0].kind == "segmentation" else "mean"
        )
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}]}
    return {"ome": {"version": version, "multiscales": [multiscale]}}


def _middle_nm(info: VolumeInfo, finest: VolumeInfo) -> list[float]:
    """The middle of the first voxel, from the middle of the finest's 0, zyx."""
    return [
        corner + (size - fine) / 2
        for corner, size, fine in zip(
            offset_nm(info), info.voxel_size_nm, finest.voxel_size_nm
        )
    ]


def paths_of_multiscales(attributes: Mapping[str, Any]) -> list[str]:
    """Paths of the scales' arrays.

    Raises:
      KeyError, TypeError: not OME-NGFF.
    """
    return [
        one["path"].strip("/") for one in _multiscale(attributes)["datasets"]
    ]


def axes_of_multiscales(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the arrays' axes, in their order; empty if not told."""
    return tuple(axis["name"] for axis in _axes(_multiscale(attributes)))


def _multiscale(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = attributes.get("ome", attributes)["multiscales"][0]
    return found


def _axes(multiscale: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each with its name, in small letters."""
    axes = [
        axis if isinstance(axis, dict) else {"name": axis}
        for axis in multiscale.get("axes", ())
    ]
    return [axis | {"name": axis["name"].lower()} for axis in axes]


def from_multiscales(
    attributes: Mapping[str, Any], mip: int
) -> tuple[str, Nanometres | None, Triple]:
    """Path of a scale's array, its voxel size and first voxel, zyx.

    Raises:
      ValueError: no such scale, or numbers that do not fit the axes;
        KeyError, TypeError: not OME-NGFF.
    """
    multiscale = _multiscale(attributes)
    datasets = multiscale["datasets"]
    if not 0 <= mip < len(datasets):
        raise ValueError(
            f"scale {mip} does not exist; there are {len(datasets)}, "
            f"counted from 0"
        )
    path = datasets[mip]["path"]
    axes = _axes(multiscale)
    if not axes:  # Before 0.3 there were no axes, and no sizes.
        return path, None, (0, 0, 0)
    units = {axis["name"]: axis.get("unit") for axis in axes}
    scale = dict.fromkeys(units, 1.0)
    offset = dict.fromkeys(units, 0.0)
    for step in [
        *datasets[mip].get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),
    ]:
        values = step.get(step["type"], ())
        if step["type"] != "identity" and len(values) != len(axes):
            raise ValueError(
                f"OME-NGFF: expected a scale or translation of {len(axes)} "
                f"numbers, one for each of the axes {', '.join(units)}, found "
                f"{step}."
            )
        for axis, value in zip(units, values):
            if step["type"] == "scale":
                scale[axis] *= value
                offset[axis] *= value
            elif step["type"] == "translation":
                offset[axis] += value
    edges = (scale["z"], scale["y"], scale["x"])
    if min(edges) <= 0:
        raise ValueError(
            f"OME-NGFF: expected scales above 0, found {edges} (z, y, x)."
        )
    start = start_voxel([offset[axis] for axis in "zyx"], edges)
    sizes = [nanometres(scale[axis], units[axis]) for axis in "zyx"]
    if not all(sizes):
        return path, None, start
    z, y, x = (float(size) for size in sizes if size)
    return path, (z, y, x), start
