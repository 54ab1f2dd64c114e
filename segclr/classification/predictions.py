"""(8) Predictions: types of nodes and of segments, as files.

predictions.parquet   segment uint64, node int64, z_nm, y_nm, x_nm float64,
                      label string, uncertainty float32, is_unknown bool,
                      probability: list of float32, in order of the classes
                      that classifier/model.json names
segments.csv          segment,label,share,uncertainty,nodes: its commonest
                      label, the share of nodes that have it, a mean
segment_properties/   the same for Neuroglancer: a source of a layer
annotations/          each node as a point, precomputed, by segment
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ffn_tf.volume import annotation_files, files, segment_properties
from segclr.classification import classifier
from segclr.embedding import table

NODES = "predictions.parquet"
SEGMENTS = "segments.csv"
PROPERTIES = "segment_properties"
ANNOTATIONS = "annotations"
UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, eq=False)
class Typed:
    """What a table's nodes are.

    Attributes:
      classes: names, in the order of `probability`.
      segment: [n] uint64, in order.
      node: [n] int64.
      position_nm_zyx: [n, 3] float64.
      probability: [n, k] float32.
      uncertainty: [n] float32.
      is_unknown: [n] bool, whether that is above the threshold.
    """

    classes: tuple[str, ...]
    segment: np.ndarray
    node: np.ndarray
    position_nm_zyx: np.ndarray
    probability: np.ndarray
    uncertainty: np.ndarray
    is_unknown: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """[n] int64, the likeliest class."""
        return self.probability.argmax(1)


@dataclasses.dataclass(frozen=True, eq=False)
class Segments:
    """What segments are: the commonest class of their nodes.

    Attributes:
      segment: [s] uint64.
      label: [s] str, a class; UNKNOWN if most nodes are.
      share: [s] float64, of the nodes that have it.
      uncertainty: [s] float64, the mean.
      nodes: [s] int64.
    """

    segment: np.ndarray
    label: np.ndarray
    share: np.ndarray
    uncertainty: np.ndarray
    nodes: np.ndarray


def typed(nodes: table.Nodes, made: classifier.Classifier) -> Typed:
    """What a classifier says of the nodes of a table.

    Raises:
      ValueError: embeddings of another encoder, or not finite.
    """
    found = made.predict(nodes.embedding)
    return Typed(
        made.classes,
        nodes.segment,
        nodes.node,
        nodes.position_nm_zyx,
        found.probability,
        found.uncertainty.astype(np.float32),
        found.uncertainty >= made.threshold,
    )


def of_segments(found: Typed) -> Segments:
    """What the segments are."""
    ids, row, nodes = np.unique(
        found.segment, return_inverse=True, return_counts=True
    )
    names = np.array([*found.classes, UNKNOWN])
    label = np.where(found.is_unknown, len(found.classes), found.label)
    counts = np.zeros((len(ids), len(names)), np.int64)
    np.add.at(counts, (row, label), 1)
    sums = np.bincount(row, found.uncertainty, minlength=len(ids))
    return Segments(
        ids,
        names[counts.argmax(1)],
        counts.max(1) / nodes,
        sums / nodes,
        nodes,
    )


def write(folder: pathlib.Path, found: Typed) -> Segments:
    """Writes all four.

    Raises:
      OSError: writing failed.
    """
    names = np.array(found.classes)
    z, y, x = found.position_nm_zyx.T
    columns = pa.table(
        {
            "segment": found.segment,
            "node": found.node,
            "z_nm": z,
            "y_nm": y,
            "x_nm": x,
            "label": pa.array(names[found.label].tolist()),
            "uncertainty": found.uncertainty,
            "is_unknown": found.is_unknown,
            "probability": pa.FixedSizeListArray.from_arrays(
                found.probability.astype(np.float32).ravel(),
                len(found.classes),
            ),
        },
        metadata={"classes": "\n".join(found.classes)},
    )
    with files.atomic_path(folder / NODES) as temporary:
        parquet.write_table(
            columns, temporary, compression="zstd", write_page_checksum=True
        )
    segments = of_segments(found)
    _write_segments(folder, segments)
    annotation_files.write(
        folder / ANNOTATIONS,
        found.position_nm_zyx,
        found.segment,
        {"uncertainty": found.uncertainty},
        {"type": (found.label, found.classes)},
    )
    return segments


def _write_segments(folder: pathlib.Path, found: Segments) -> None:
    rows = zip(
        found.segment.tolist(),
        found.label.tolist(),
        found.share.tolist(),
        found.uncertainty.tolist(),
        found.nodes.tolist(),
    )
    lines = [f"{i},{label},{s:.4f},{u:.4f},{n}" for i, label, s, u, n in rows]
    text = "\n".join(["segment,label,share,uncertainty,nodes", *lines, ""])
    files.write_text(folder / SEGMENTS, text)
    numbers = {
        "share": found.share,
        "uncertainty": found.uncertainty,
        "nodes": found.nodes,
    }
    properties = folder / PROPERTIES
    properties.mkdir(exist_ok=True)
    files.write_text(
        properties / "info",
        segment_properties.described(
            found.segment, numbers, found.label.tolist()
        ),
    )


def read(folder: pathlib.Path) -> Typed:
    """Reads the types of nodes that `write` has written.

    Raises:
      FileNotFoundError: there are none.
      ValueError: damaged.
    """
    path = folder / NODES
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no predictions; make them with segclr.classify."
        )
    try:
        found = parquet.read_table(path, page_checksum_verification=True)
        classes = found.schema.metadata[b"classes"].decode().split("\n")
        probability = found.column("probability").combine_chunks()
        return Typed(
            tuple(classes),
            found.column("segment").to_numpy(),
            found.column("node").to_numpy(),
            np.stack(
                [found.column(f"{a}_nm").to_numpy() for a in "zyx"], axis=1
            ),
            _flat(probability).reshape(len(found), len(classes)),
            found.column("uncertainty").to_numpy(),
            found.column("is_unknown").to_numpy(),
        )
    except (pa.ArrowException, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"{path}: damaged, or not of segclr.classify "
            f"({str(error).splitlines()[0]}); delete it and run that again."
        ) from error


def _flat(lists: pa.Array | pa.ChunkedArray) -> np.ndarray:
    parts: Sequence[pa.Array] = (
        lists.chunks if isinstance(lists, pa.ChunkedArray) else [lists]
    )
    return np.concatenate([part.flatten().to_numpy() for part in parts])
