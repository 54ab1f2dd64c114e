"""Annotations: points in space for Neuroglancer, precomputed.

    info            nanometres, properties, where the rest is
    spatial0/0_0_0  all points: [1] uint64 n, n points, [n] uint64 numbers
    by_id/          a point by its number, with its segment     } sharded: a few
    rel_segment/    the points of a segment, as in spatial0     } files, not n

A point is x, y, z as float32, then float32 properties, then uint16 ones, padded
to four bytes (github.com/google/neuroglancer, datasource/precomputed/
annotations.md). A layer has `precomputed://.../FOLDER` as its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import json
import os
import pathlib
import secrets
import shutil
from typing import Any

import numpy as np
import tensorstore as ts

Names = Mapping[str, tuple[np.ndarray, Sequence[str]]]

_PER_SHARD = 1 << 16  # Entries, about.


def write(
    folder: str | os.PathLike[str],
    position_nm_zyx: np.ndarray,
    segment: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    names: Names | None = None,
) -> None:
    """Writes points, in place of what is in the folder.

    Args:
      folder: to be made; without any point, there is none.
      position_nm_zyx: [n, 3], from the corner of voxel (0, 0, 0).
      segment: [n] ids; a viewer shows the points of those it has chosen.
      numbers: {property: [n]}, shown as float32.
      names: {property: ([n] integers, what each says)}.

    Raises:
      OSError: it cannot be written.
    """
    final = pathlib.Path(folder)
    if not len(segment):
        shutil.rmtree(final, ignore_errors=True)
        return
    making = final.with_name(f".tmp-{secrets.token_hex(4)}-{final.name}")
    try:
        _write(making, position_nm_zyx, segment, numbers, names or {})
        shutil.rmtree(final, ignore_errors=True)
        making.rename(final)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _write(
    folder: pathlib.Path,
    position_nm_zyx: np.ndarray,
    segment: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    names: Names,
) -> None:
    points = _encoded(position_nm_zyx, numbers, names)
    ids = np.arange(1, len(points) + 1, dtype="<u8")
    segment = segment.astype("<u8")
    order = np.argsort(segment, kind="stable")
    of, starts = np.unique(segment[order], return_index=True)
    sharding = {"by_id": _sharding(len(ids)), "segment": _sharding(len(of))}
    (folder / "spatial0").mkdir(parents=True)
    (folder / "spatial0" / "0_0_0").write_bytes(_several(points, ids))
    one = np.array(1, "<u4").tobytes()
    _write_sharded(
        folder / "by_id",
        sharding["by_id"],
        (
            (int(id_), point.tobytes() + one + its.tobytes())
            for id_, point, its in zip(ids, points, segment)
        ),
    )
    parts = np.split(order, starts[1:])
    _write_sharded(
        folder / "rel_segment",
        sharding["segment"],
        (
            (int(id_), _several(points[part], ids[part]))
            for id_, part in zip(of, parts)
        ),
    )
    low, high = points["at"].min(0), points["at"].max(0)
    told = {
        "@type": "neuroglancer_annotations_v1",
        "dimensions": {axis: [1e-9, "m"] for axis in "xyz"},
        "lower_bound": low.tolist(),
        "upper_bound": (high + 1).tolist(),
        "annotation_type": "point",
        "properties": [
            *({"id": name, "type": "float32"} for name in numbers),
            *(
                {
                    "id": name,
                    "type": "uint16",
                    "enum_values": list(range(len(said))),
                    "enum_labels": list(said),
                }
                for name, (_, said) in names.items()
            ),
        ],
        "relationships": [
            {
                "id": "segment",
                "key": "rel_segment",
                "sharding": sharding["segment"],
            }
        ],
        "by_id": {"key": "by_id", "sharding": sharding["by_id"]},
        "spatial": [
            {
                "key": "spatial0",
                "grid_shape": [1, 1, 1],
                "chunk_size": (high + 1 - low).tolist(),
                "limit": len(points),
            }
        ],
    }
    (folder / "info").write_text(json.dumps(told), encoding="utf-8")


def _encoded(
    position_nm_zyx: np.ndarray, numbers: Mapping[str, np.ndarray], names: Names
) -> np.ndarray:
    """[n] records, as they are stored."""
    fields: list[Any] = [("at", "<f4", 3)]
    fields += [(f"number {name}", "<f4") for name in numbers]
    fields += [(f"name {name}", "<u2") for name in names]
    if len(names) % 2:
        fields.append(("padding", "<u2"))
    points = np.zeros(len(position_nm_zyx), np.dtype(fields))
    z, y, x = np.moveaxis(np.asarray(position_nm_zyx), -1, 0)
    points["at"] = np.stack([x, y, z], axis=-1)
    for name, values in numbers.items():
        points[f"number {name}"] = values
    for name, (values, _) in names.items():
        points[f"name {name}"] = values
    return points


def _several(points: np.ndarray, ids: np.ndarray) -> bytes:
    count = np.array(len(points), "<u8").tobytes()
    return count + points.tobytes() + ids.tobytes()


def _sharding(count: int) -> dict[str, Any]:
    """Of so many entries: a file for each 65,536, about."""
    bits = max(0, (count - 1).bit_length() - _PER_SHARD.bit_length() + 1)
    return {
        "@type": "neuroglancer_uint64_sharded_v1",
        "hash": "murmurhash3_x86_128",
        "preshift_bits": 0,
        "minishard_bits": 6,
        "shard_bits": bits,
        "data_encoding": "gzip",
        "minishard_index_encoding": "gzip",
    }


def _write_sharded(
    folder: pathlib.Path,
    sharding: Mapping[str, Any],
    entries: Iterable[tuple[int, bytes]],
) -> None:
    """Entries by their numbers, in one transaction."""
    folder.mkdir()
    store = ts.KvStore.open(
        {
            "driver": "neuroglancer_uint64_sharded",
            "metadata": dict(sharding),
            "base": {"driver": "file", "path": f"{folder.resolve()}/"},
        }
    ).result()
    with ts.Transaction() as transaction:
        writing = store.with_transaction(transaction)
        for number, data in entries:
            writing[number.to_bytes(8, "big")] = data
