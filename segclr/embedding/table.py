"""(4) Table: embeddings with their places, as Parquet.

    nodes/part-00012.parquet    segment uint64, node int64, z_nm, y_nm, x_nm
                                float64, radius_nm float32, is_inside bool,
                                embedding: fixed-size list of float16 or float32
    edges.parquet               segment uint64, first, second int64 (nodes of
                                that segment), length_nm float32

Any tool that reads a folder of Parquet reads `nodes`: pandas, DuckDB, Spark. A
node's number is that of the segment's skeleton, counted from 0; `is_inside`
says whether its voxel is in the segment.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import dataset, parquet

from ffn_tf.volume import files
from segclr.embedding.places import Edges

DTYPES = ("float16", "float32")
# What tables are made of.
EMBEDDINGS, MEANS = "embed.json", "aggregate.json"
_AXES = ("z_nm", "y_nm", "x_nm")


@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """Embedded nodes.

    Attributes:
      segment: [n] uint64.
      node: [n] int64.
      position_nm_zyx: [n, 3] float64.
      radius_nm: [n] float32.
      is_inside: [n] bool.
      embedding: [n, d] float16 or float32.
    """

    segment: np.ndarray
    node: np.ndarray
    position_nm_zyx: np.ndarray
    radius_nm: np.ndarray
    is_inside: np.ndarray
    embedding: np.ndarray

    def __len__(self) -> int:
        return len(self.segment)

    def taken(self, some: np.ndarray | slice) -> Nodes:
        """Some of them, in that order."""
        return Nodes(
            self.segment[some],
            self.node[some],
            self.position_nm_zyx[some],
            self.radius_nm[some],
            self.is_inside[some],
            self.embedding[some],
        )


def part(folder: pathlib.Path, number: int) -> pathlib.Path:
    """The file of a part."""
    return folder / "nodes" / f"part-{number:05d}.parquet"


def options_of(folder: pathlib.Path) -> dict[str, Any]:
    """What a table was made of.

    Raises:
      FileNotFoundError: no table there.
      ValueError: that is damaged.
    """
    for name in (EMBEDDINGS, MEANS):
        path = folder / name
        if path.exists():
            try:
                return dict(json.loads(path.read_text())["options"])
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{path}: damaged ({error!r}).") from error
    raise FileNotFoundError(
        f"{folder}: no embeddings; make them with segclr.embed."
    )


def described(folder: pathlib.Path) -> dict[str, Any]:
    """What a complete table was made of.

    Raises:
      as `options_of`; and a ValueError: some parts are still to be made.
    """
    found = options_of(folder)
    starts = folder / "places" / "starts.npy"
    if (folder / EMBEDDINGS).exists():
        count = len(np.load(starts)) - 1 if starts.exists() else 1
        missing = [n for n in range(count) if not part(folder, n).exists()]
        if missing:
            raise ValueError(
                f"{folder}: {len(missing)} of {count} parts are still to be "
                f"made; run segclr.embed again."
            )
    return found


def lineage(made_of: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a table was made of, that which other tables must share.

    Args:
      made_of: see `described`.
    """
    embedded = made_of.get("embeddings", made_of)
    return {
        "encoder": embedded.get("encoder"),
        "kind": embedded.get("kind"),
        "radius_um": made_of.get("radius_um", 0.0),
    }


def write_nodes(path: pathlib.Path, nodes: Nodes) -> None:
    """Writes a part; whole, or not at all."""
    size = nodes.embedding.shape[1]
    columns = {
        "segment": nodes.segment,
        "node": nodes.node,
        **dict(zip(_AXES, nodes.position_nm_zyx.T)),
        "radius_nm": nodes.radius_nm,
        "is_inside": nodes.is_inside,
        "embedding": pa.FixedSizeListArray.from_arrays(
            nodes.embedding.ravel(), size
        ),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_path(path) as temporary:
        parquet.write_table(
            pa.table(columns),
            temporary,
            compression="zstd",
            write_page_checksum=True,
        )


def write_edges(folder: pathlib.Path, edges: Edges) -> None:
    """Writes the ways between nodes."""
    table = pa.table(
        {
            "segment": edges.segment,
            "first": edges.nodes[:, 0],
            "second": edges.nodes[:, 1],
            "length_nm": edges.length_nm,
        }
    )
    with files.atomic_path(folder / "edges.parquet") as temporary:
        parquet.write_table(
            table, temporary, compression="zstd", write_page_checksum=True
        )


def read_nodes(
    folder: pathlib.Path, segments: np.ndarray | None = None
) -> Nodes:
    """Embedded nodes, in order of segments and nodes.

    Args:
      folder: of the table.
      segments: ids; None: all.

    Raises:
      FileNotFoundError: no table there.
      ValueError: it is damaged.
    """
    table = _read(folder / "nodes", segments)
    values = table.column("embedding").combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0)
    column = {
        name: table.column(name).to_numpy()
        for name in table.column_names
        if name != "embedding"
    }
    found = Nodes(
        column["segment"],
        column["node"],
        np.stack([column[name] for name in _AXES], axis=1),
        column["radius_nm"],
        column["is_inside"],
        values.flatten()
        .to_numpy(zero_copy_only=False)
        .reshape(len(table), values.type.list_size),
    )
    return found.taken(np.lexsort((found.node, found.segment)))


def read_edges(
    folder: pathlib.Path, segments: np.ndarray | None = None
) -> Edges:
    """Ways between nodes, in the order of the file; see `read_nodes`."""
    table = _read(folder / "edges.parquet", segments)
    first, second = (table.column(n).to_numpy() for n in ("first", "second"))
    return Edges(
        table.column("segment").to_numpy(),
        np.stack([first, second], axis=1),
        table.column("length_nm").to_numpy(),
    )


def _read(path: pathlib.Path, segments: np.ndarray | None) -> pa.Table:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no embeddings; make them with segclr.embed."
        )
    wanted = None
    if segments is not None:
        wanted = dataset.field("segment").isin(pa.array(segments, pa.uint64()))
    try:
        return _scanned(path, wanted)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise ValueError(_damage(path, error)) from error


def _scanned(path: pathlib.Path, wanted: dataset.Expression | None) -> pa.Table:
    options = dataset.ParquetFragmentScanOptions(
        page_checksum_verification=True
    )
    kind = dataset.ParquetFileFormat(default_fragment_scan_options=options)
    return dataset.dataset(path, format=kind).to_table(filter=wanted)


def _damage(path: pathlib.Path, error: Exception) -> str:
    """Which file it is, and what to do."""
    if path.is_dir():
        for one in sorted(path.glob("*.parquet")):
            try:
                _scanned(one, None)
            except (pa.ArrowInvalid, OSError, EOFError) as found:
                path, error = one, found
                break
    remedy = "Delete it, and run segclr.embed again, which makes it anew"
    if path.name == "edges.parquet":
        remedy = (
            "Delete it and the folder `places` beside it, and run "
            "segclr.embed again"
        )
    if (path.parent / MEANS).exists() or (path.parents[1] / MEANS).exists():
        remedy = "Delete the whole folder, and run segclr.aggregate again"
    said = str(error).splitlines()[0]
    return f"{path}: damaged, or no table of segclr.embed ({said}). {remedy}."
