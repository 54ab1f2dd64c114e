"""Says what is at an address, without reading voxels.

    python -m ffn_tf.info ../shared/data/fib25/grayscale_maps.h5:raw
    python -m ffn_tf.info configs/datasets/fib25.yaml
    python -m ffn_tf.info 'precomputed://gs://h01-release/data/20210601/c3'

Any address of docs/formats.md; a dataset file without `#name` lists what it
describes, with the name of a resource it says what that is. `--json` prints one
JSON object instead.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from ffn_tf import program, volume
from ffn_tf.volume import dataset as dataset_lib
from ffn_tf.volume import source

_LONG = (
    "known_issues",
    "scales_nm",
    "view",
)  # Lists of what has commas itself.


@dataclasses.dataclass(frozen=True)
class Options:
    """How to say it."""

    json: bool = program.option(False, help="one JSON object, not lines")


def describe(opened: volume.Volume) -> dict[str, Any]:
    """What a volume is, as JSON values; boxes and sizes are zyx."""
    info = opened.info
    known = info.voxel_size_nm != source.UNKNOWN_VOXEL_SIZE
    size_nm = [n * v for n, v in zip(info.domain.size, info.voxel_size_nm)]
    return {
        "address": opened.address,
        "kind": info.kind,
        "dtype": str(info.dtype),
        "start_zyx": list(info.domain.start),
        "size_zyx": list(info.domain.size),
        "voxel_size_nm": list(info.voxel_size_nm) if known else None,
        "extent_um": [round(nm / 1000, 3) for nm in size_nm if known],
        "chunk_zyx": list(info.chunk_zyx),
        "gigabytes": gigabytes(info.domain, info.dtype.itemsize),
        "scales_nm": [list(size) for size in opened.scales_nm if known],
        "attributes": opened.attributes,
    }


def gigabytes(box: volume.Box, itemsize: int) -> float:
    """10^9 bytes of uncompressed voxels, to three digits."""
    found = math.prod(box.size) * itemsize / 1e9
    return float(f"{found:.3g}")


def describe_dataset(found: dataset_lib.Dataset) -> dict[str, Any]:
    """What a dataset file says, as JSON values."""
    return {
        "name": found.name,
        "description": found.description,
        "licence": found.licence,
        "source": found.source,
        "volumes": {
            name: {
                "address": entry.address,
                "of": entry.of,
                "view": steps(entry),
                "kind": entry.kind,
                "note": entry.note,
            }
            for name, entry in found.volumes.items()
        },
        "resources": {
            name: dataclasses.asdict(item)
            for name, item in found.resources.items()
        },
        "regions": {
            name: {
                "start_zyx": list(region.box.start),
                "size_zyx": list(region.box.size),
                "voxel_size_nm": region.voxel_size_nm or [],
                "gigabytes_uint8": gigabytes(region.box, 1),
            }
            for name, region in found.regions.items()
        },
        "known_issues": [
            f"{issue.volume}: {issue.note}" for issue in found.known_issues
        ],
    }


def steps(entry: dataset_lib.Entry) -> list[str]:
    """What a view does, a line each: `crop start_zyx=0,0,0 size_zyx=1,2,3`."""
    return [
        " ".join([step.name, *map(_argument, step.arguments.items())])
        for step in entry.view
    ]


def _argument(item: tuple[str, Any]) -> str:
    name, value = item
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    return f"{name}={value}"


def as_text(found: dict[str, Any], indent: int = 0) -> str:
    """`found` as lines `name  value`; what is empty is left out.

    None is unknown; of options, and whatever else is in another, not given.
    """
    lines = []
    for name, value in found.items():
        if value in ("", [], {}) or (value is None and indent):
            continue
        if isinstance(value, dict):
            lines += [f"{'':{indent}}{name}", as_text(value, indent + 2)]
            continue
        if isinstance(value, (list, tuple)):
            between = "; " if name in _LONG else ", "
            value = between.join(f"{item}" for item in value)
        value = "unknown" if value is None else value
        lines.append(f"{'':{indent}}{name:<{20 - indent}} {value}")
    return "\n".join(lines)


def run(address: str) -> dict[str, Any]:
    """What is at `address`.

    Raises:
      ValueError, OSError: as volume.open and dataset.load.
    """
    path, name = address, ""
    if not _is_dataset(address):
        path, _, name = address.rpartition("#")
    entry = dataset_lib.Entry(address)
    if _is_dataset(path):
        described = dataset_lib.load(path)
        if not name:
            return describe_dataset(described)
        if name in described.resources:
            return dataclasses.asdict(described.resources[name])
        entry = described.volumes.get(name.partition("?")[0], entry)
    with volume.open(address) as opened:
        found = describe(opened)
    if entry.view:  # They are of what it is made of.
        del found["attributes"]
        found |= {"of": entry.of or entry.address, "view": steps(entry)}
    return found


def _is_dataset(path: str) -> bool:
    return path.lower().endswith((".yaml", ".yml"))


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise ValueError("expected one address: python -m ffn_tf.info ADDRESS")
    found = run(argv[1])
    as_json = program.from_flags(Options).json
    print(json.dumps(found) if as_json else as_text(found))


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main, max_arguments=1)
