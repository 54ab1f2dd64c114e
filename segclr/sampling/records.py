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
import contextlib
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


class Writer:
    """A file of messages, gzipped. A context manager, which closes it.

    Args:
      path: of the file.

    Raises:
      OSError: it cannot be written; this and the methods.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        with self._named():
            self._file = tf.io.TFRecordWriter(self._path, "GZIP")

    def write(self, message: bytes) -> None:
        with self._named():
            self._file.write(message)

    def close(self) -> None:
        with self._named():
            self._file.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            raise OSError(
                f"{self._path}: cannot be written "
                f"({error.message.splitlines()[0].rpartition('; ')[2]}). Is "
                f"there room on the disk, and may you write there?"
            ) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except OSError:
            if kind is None:  # Otherwise the first failure is the one to tell.
                raise


def compression(path: str) -> str:
    """GZIP, or nothing: gzipped files begin by 1f 8b."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return "GZIP" if file.read(2) == b"\x1f\x8b" else ""


def damage(files: Sequence[str]) -> str:
    """The first file that cannot be read, or holds no pairs; "" if all can."""
    for path in files:
        found = tf.data.TFRecordDataset(path, compression(path)).batch(4096)
        try:
            for _ in found.map(lambda s: tf.io.parse_example(s, features())):
                pass
        except tf.errors.OpError:
            return path
    return ""


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
