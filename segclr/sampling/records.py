"""(3) Records: pairs as TFRecords, a `tf.train.Example` for each.

    skeleton_id                   int64 [1]    the neurite
    center-0, center-1            int64 [3]    x, y, z, voxels
    distance                      int64 [1]    along the neurite, nm
    dist_to_border-0, -1          int64 [1]    radius at each place, nm
    vol_name, label_volume_name   bytes [1]    names of the image and the labels

The schema of the released pair tables, so those train here, and ours elsewhere.
They may have other features, too, and may lack some: only the centres and the
neurite are needed. Files may be gzipped. A voxel is that in which a place lies,
`trunc(nm / voxel size)`, of the scale that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import os

import numpy as np

from ffn_tf.program import quiet
from segclr.sampling.pairs import Pairs

quiet.import_tensorflow()

# ruff: noqa: E402 (TensorFlow must be imported quietly, so first)
import tensorflow as tf

_CENTERS = ("center-0", "center-1")
_INT64 = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Names:
    """Of what a pair is in.

    Attributes:
      volume: the image.
      labels: the segmentation.
    """

    volume: str = ""
    labels: str = ""


def encoded(
    pairs: Pairs, voxel_size_nm: Sequence[float], names: Names
) -> Iterator[bytes]:
    """A message for each pair.

    Raises:
      ValueError: an id that int64 cannot hold.
    """
    if pairs.id > _INT64:
        raise ValueError(
            f"Segment {pairs.id}: ids of these records are int64, up to "
            f"{_INT64}. Give the segments smaller ids (ffn_tf.reconcile)."
        )
    size = np.asarray(voxel_size_nm, np.float64)
    voxels = np.trunc(pairs.centers_nm_zyx / size).astype(np.int64)
    for i in range(len(pairs)):
        z, y, x = voxels[i].T.tolist()
        feature = {
            name: _int64(xyz) for name, xyz in zip(_CENTERS, zip(x, y, z))
        } | {
            "skeleton_id": _int64([pairs.id]),
            "distance": _int64([round(pairs.distance_nm[i])]),
            "vol_name": _bytes(names.volume),
            "label_volume_name": _bytes(names.labels),
        }
        for j in range(2):
            radius = round(float(pairs.radii_nm[i, j]))
            feature[f"dist_to_border-{j}"] = _int64([radius])
        yield tf.train.Example(
            features=tf.train.Features(feature=feature)
        ).SerializeToString(deterministic=True)


def writer(path: str | os.PathLike[str]) -> tf.io.TFRecordWriter:
    """For messages; a context, with `write`."""
    return tf.io.TFRecordWriter(os.fspath(path), "GZIP")


def _int64(values: Iterable[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _bytes(text: str) -> tf.train.Feature:
    return tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[text.encode()])
    )


def features() -> dict[str, tf.io.FixedLenFeature]:
    """What `tf.io.parse_example` reads, all that training needs."""
    return {
        "skeleton_id": tf.io.FixedLenFeature([], tf.int64),
        **{name: tf.io.FixedLenFeature([3], tf.int64) for name in _CENTERS},
        "distance": tf.io.FixedLenFeature([], tf.int64, -1),
    }
