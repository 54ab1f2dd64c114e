"""(2) Pipeline: from coordinate files to examples, with tf.data.

    TFRecords -> centres -> batches of centres -> py_function: all voxels of a
    batch at once -> one by one, augmented and normalised, in parallel -> ahead

The order is that of the files (several files take turns), again and again; so
is everything that is drawn: example i is the same whatever came before it, and
a training goes on where it was by the number of examples that it has taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from ffn_tf import volume
from ffn_tf.sampling import records
from ffn_tf.training import augmentation, patches
from ffn_tf.training.moves import INSIDE, OUTSIDE, Example
from ffn_tf.volume.box import Triple

_READ_AHEAD = 2  # Batches.


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """(raw - mean) / stddev, as google/ffn's image_mean and image_stddev."""

    mean: float
    stddev: float


@dataclasses.dataclass(frozen=True)
class Settings:
    """What examples are made.

    Attributes:
      files: coordinates, TFRecords with GZIP.
      size: of the patches, zyx.
      augment: what happens to them.
      normalisations: of the volumes, by name.
      seed: of the augmentation, and of the shuffle.
      batch: centres that are read at a time.
      shuffle: examples among which the next is drawn; 0: as in the files.
    """

    files: tuple[str, ...]
    size: Triple
    augment: augmentation.AugmentOptions
    normalisations: Mapping[str, Normalisation]
    seed: int = 0
    batch: int = 16
    shuffle: int = 0


def coordinate_files(
    pattern: str,
    flag: str = "train_coords",
    maker: str = "ffn_tf.build_coordinates",
) -> tuple[str, ...]:
    """The files of a flag: commas, globs, PATH@N, as google/ffn has them.

    Args:
      pattern: the flag's value.
      flag, maker: its name, and the program that makes such files.

    Raises:
      FileNotFoundError: a part that names no file.
      ValueError: after @ comes no number; or a file without bytes.
    """
    found: list[str] = []
    for part in pattern.split(","):
        # A file may have an @ in its name, too.
        names = [part] if pathlib.Path(part).exists() else records.shards(part)
        missing = [name for name in names if not pathlib.Path(name).exists()]
        if missing == [part]:
            names, missing = sorted(tf.io.gfile.glob(part)), []
            # What is noted of them.
            names = [name for name in names if not name.endswith(".json")]
        if missing or not names:
            raise FileNotFoundError(
                f"--{flag}: no file {(missing or [part])[0]}; make it with "
                f"{maker}."
            )
        found.extend(names)
    for name in found:
        if not tf.io.gfile.stat(name).length:
            raise ValueError(
                f"--{flag}: {name} has no bytes: damaged. Copy it again, or "
                f"make it again with {maker}."
            )
    return tuple(found)


def centers(settings: Settings) -> tf.data.Dataset:
    """(center_xyz [3] int64, name) without end, in the order of the files."""
    files = tf.data.Dataset.from_tensor_slices(list(settings.files))
    records = files.interleave(
        lambda path: tf.data.TFRecordDataset(path, "GZIP"),
        cycle_length=min(len(settings.files), 16),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if settings.shuffle:
        records = records.shuffle(settings.shuffle, seed=settings.seed)
    # In large batches: to parse one costs what a thousand do.
    return (
        records.repeat()
        .batch(1024)
        .map(_parsed, num_parallel_calls=2, deterministic=True)
        .unbatch()
    )


def _parsed(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    found = tf.io.parse_example(
        records,
        {
            "center": tf.io.FixedLenFeature([3], tf.int64),
            "label_volume_name": tf.io.FixedLenFeature([], tf.string),
        },
    )
    return found["center"], found["label_volume_name"]


class Examples:
    """Examples, one after another; an iterator without end.

    Attributes:
      taken: how many have been.
    """

    def __init__(
        self, opened: patches.Patches, settings: Settings, taken: int = 0
    ) -> None:
        """Begins to read.

        Args:
          opened: the volumes.
          settings: which examples.
          taken: examples to leave out, taken by an earlier attempt.
        """
        self.taken = taken
        self._patches = opened
        self._settings = settings
        self._failure: Exception | None = None
        voxel_size = opened.voxel_size_nm
        self._voxel_size = voxel_size
        self._padded = augmentation.padded_size(
            settings.size, settings.augment, voxel_size
        )
        values = [settings.normalisations[name] for name in opened.names]
        self._means = np.array([v.mean for v in values], np.float32)
        self._stddevs = np.array([v.stddev for v in values], np.float32)
        self._iterator = iter(self._dataset().as_numpy_iterator())

    def __iter__(self) -> Iterator[Example]:
        return self

    def __next__(self) -> Example:
        """The next example.

        Raises:
          ValueError: coordinates and volumes that do not fit each other, or
            damaged coordinates.
          OSError: voxels cannot be read.
        """
        try:
            example = Example(*next(self._iterator))
        except tf.errors.OpError as error:
            if self._failure is not None:
                raise self._failure from error
            path, said = _damage(self._settings.files, error)
            raise ValueError(
                f"The coordinates {path} cannot be read ({said}): a file is "
                f"damaged, or not of build_coordinates."
            ) from error
        except StopIteration:
            raise ValueError(
                f"The coordinates {', '.join(self._settings.files)} hold no "
                f"examples: an empty partition."
            ) from None
        if not np.isfinite(example.image).all():
            # A network's rectifiers would hide it.
            index, *center = example.place.tolist()
            raise ValueError(
                f"The image of {self._patches.names[index]!r} at x, y, z = "
                f"{center} is not finite once it is normalised and augmented: "
                f"mean {self._means[index]:g}, stddev "
                f"{self._stddevs[index]:g}. Give others, or augment less."
            )
        self.taken += 1
        return example

    def _dataset(self) -> tf.data.Dataset:
        settings = self._settings
        parallel = tf.data.AUTOTUNE
        numbered = tf.data.Dataset.zip(
            tf.data.Dataset.counter(self.taken),
            centers(settings).skip(self.taken),
        )
        read = numbered.batch(settings.batch).map(
            self._read, num_parallel_calls=_READ_AHEAD, deterministic=True
        )
        made = read.unbatch().map(
            self._example, num_parallel_calls=parallel, deterministic=True
        )
        return made.prefetch(settings.batch)

    def _read(self, number: tf.Tensor, place: Any) -> tuple[tf.Tensor, ...]:
        shape = (None, *self._padded)
        image, mask, weights, places = tf.py_function(
            self._read_now,
            place,
            (tf.float32, tf.uint8, tf.float32, tf.int64),
        )
        return (
            number,
            tf.ensure_shape(image, shape),
            tf.ensure_shape(mask, shape),
            tf.ensure_shape(weights, shape),
            tf.ensure_shape(places, [None, 4]),
        )

    def _read_now(
        self, centers_xyz: tf.Tensor, names: tf.Tensor
    ) -> tuple[np.ndarray, ...]:
        """One call for a batch: its voxels are asked for concurrently."""
        try:
            indices = [
                self._patches.index(name.decode()) for name in names.numpy()
            ]
            x, y, z = centers_xyz.numpy().T
            centers_zyx = np.stack([z, y, x], axis=1)
            found = self._patches.read(
                indices, centers_zyx, self._padded, self._means.tolist()
            )
        except (ValueError, OSError) as error:
            # TensorFlow makes another of it, without its type and its end.
            self._failure = error
            raise
        places = np.column_stack([indices, centers_xyz.numpy()])
        return (*found, places)

    def _example(
        self,
        number: tf.Tensor,
        image: tf.Tensor,
        mask: tf.Tensor,
        weights: tf.Tensor,
        place: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        seed = tf.stack(
            [
                tf.constant(self._settings.seed, tf.int32),
                tf.cast(number % (2**31 - 1), tf.int32),
            ]
        )
        made = augmentation.augment(
            # Not bytes: to transpose those, TensorFlow has no fast way.
            augmentation.Example(image, tf.cast(mask, tf.int32), weights),
            seed,
            self._settings.augment,
            self._settings.size,
            self._voxel_size,
        )
        mean = tf.gather(self._means, place[0])
        stddev = tf.gather(self._stddevs, place[0])
        labels = tf.where(made.labels > 0, INSIDE, OUTSIDE)
        return (
            (made.image - mean) / stddev,
            tf.cast(labels, tf.float32),
            made.weights,
            place,
        )


def _damage(files: Sequence[str], error: tf.errors.OpError) -> tuple[str, str]:
    """The file that cannot be read, and why; if all can be, all of them."""
    where = ", ".join(files)
    for path in files:
        try:
            for _ in tf.data.TFRecordDataset(path, "GZIP").batch(4096):
                pass
        except tf.errors.OpError as found:
            where, error = path, found
            break
    # Without what TensorFlow says of itself.
    said = error.message.splitlines()[0].rpartition("}} ")[2]
    return where, said.partition(" [Op:")[0]


def normalisations(
    opened: patches.Patches,
    mean: float | None,
    stddev: float | None,
    of_volumes: Mapping[str, str],
) -> dict[str, Normalisation]:
    """How the volumes are normalised, from google/ffn's flags.

    Args:
      opened: the volumes.
      mean, stddev: of all that are not in `of_volumes`; None: measured.
      of_volumes: {name: "OFFSET:SCALE"}.

    Raises:
      ValueError: a name that no volume has, or a spread that is not positive.
    """
    found: dict[str, Normalisation] = {}
    for name, text in of_volumes.items():
        opened.index(name)
        try:
            offset, scale = map(float, text.split(":"))
        except ValueError as error:
            raise ValueError(
                f"--image_offset_scale_map: expected NAME:OFFSET:SCALE, found "
                f"{name}:{text}."
            ) from error
        found[name] = Normalisation(offset, scale)
    for name in opened.names:
        if name not in found:
            measured = (0.0, 1.0)
            if mean is None or stddev is None:
                measured = volume.grey.measured(opened.image(name))
            found[name] = Normalisation(
                measured[0] if mean is None else mean,
                measured[1] if stddev is None else stddev,
            )
        if not np.isfinite(found[name].mean):
            raise ValueError(
                f"The mean of {name!r} must be finite: found "
                f"{found[name].mean}."
            )
        if not 0 < found[name].stddev < float("inf"):
            raise ValueError(
                f"The standard deviation of {name!r} must be positive: found "
                f"{found[name].stddev}."
            )
    return found
