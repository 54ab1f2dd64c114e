"""(3) Views: two looks at each pair, with tf.data.

    TFRecords -> pairs -> batches -> py_function: all voxels of a batch at once
    -> each view augmented by itself, and masked -> batches, ahead

The order is that of the files, again and again, shuffled; so is everything that
is drawn: view i is the same whatever came before it, and a training goes on
where it was by the number of batches that it has taken.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ffn_tf import program
from ffn_tf.training import augmentation
from segclr.cutouts import reading
from segclr.sampling import records
from segclr.training import masks

# Of the views of a batch, without their segment: then something is wrong.
_MOST_EMPTY = 0.2


@dataclasses.dataclass(frozen=True)
class ViewOptions:
    """What happens to a view, each time by chance; published, but for the last
    ones, which are off.

    A probability is that of a view to be changed so.
    """

    grey_probability: float = program.option(
        1.0,
        help="Share of the views with other contrast (0.75 to 1.25), "
        "brightness (-0.25 to 0.25) and gamma (0.5 to 2).",
    )
    flip: bool = program.option(
        True, help="Turn round each axis of half of the views."
    )
    permute: bool = program.option(
        True, help="Permute the axes, those that are of one size."
    )
    shift_voxels: int = program.option(
        4, help="Greatest shift of a view along each axis, either way."
    )
    missing_section_probability: float = program.option(
        0.0, help="Share of the views with missing sections."
    )
    misalignment_probability: float = program.option(
        0.0, help="Share of the views with a misaligned section."
    )
    mask_probability: float = program.option(
        0.0, help="Share of the views whose segment is thinner or thicker."
    )
    mask_voxels: int = program.option(
        2, help="By so much at most, see --mask_probability."
    )

    def __post_init__(self) -> None:
        for name in ("shift_voxels", "mask_voxels"):
            least = int(name == "mask_voxels")
            if not getattr(self, name) >= least:
                raise ValueError(
                    f"--{name}: expected {least} or more, found "
                    f"{getattr(self, name)}."
                )
        if not 0 <= self.mask_probability <= 1:
            raise ValueError(
                f"--mask_probability: expected a number of 0 to 1, found "
                f"{self.mask_probability}."
            )
        self.changes((3, 3, 3))

    def changes(
        self, size_zyx: tuple[int, int, int]
    ) -> augmentation.AugmentOptions:
        """What flood filling has of it (ffn_tf/training/augmentation)."""
        sizes = [size_zyx.count(n) for n in size_zyx]
        alike = [i for i, count in enumerate(sizes) if count == max(sizes)]
        grey = self.grey_probability
        return augmentation.AugmentOptions(
            permutable_axes=tuple(alike)
            if self.permute and len(alike) > 1
            else (),
            reflectable_axes=(0, 1, 2) if self.flip else (),
            misalignment_probability=self.misalignment_probability,
            contrast_probability=grey,
            contrast_range=(0.75, 1.25),
            brightness_probability=grey,
            brightness_range=(-0.25, 0.25),
            gamma_probability=grey,
            gamma_range=(0.5, 2.0),
            intensity_by_section=0.0,
            grey_range=(0.0, 1.0),
            missing_section_probability=self.missing_section_probability,
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which views are made.

    Attributes:
      files: of pairs, TFRecords, gzipped or not.
      size_zyx: voxels of a view.
      batch: pairs.
      kind: one of cutouts.KINDS.
      options: what happens to them.
      seed: of all that is drawn.
      shuffle: pairs among which the next is drawn; 0: as in the files.
    """

    files: tuple[str, ...]
    size_zyx: tuple[int, int, int]
    batch: int
    kind: str
    options: ViewOptions
    seed: int = 0
    shuffle: int = 10_000


class Views(NamedTuple):
    """A batch of pairs.

    Attributes:
      first, second: [n, z, y, x, 1] float32.
      segments: [n] int64, the neurite of each pair.
    """

    first: np.ndarray
    second: np.ndarray
    segments: np.ndarray


class Batches:
    """Batches, one after another; an iterator without end.

    Args:
      opened: the volumes, whose cutouts are of `padded_size`.
      settings: which.
      taken: batches to leave out, taken by an earlier attempt.

    Attributes:
      taken: how many have been.
    """

    def __init__(
        self, opened: reading.Cutouts, settings: Settings, taken: int = 0
    ) -> None:
        self.taken = taken
        self._opened, self._settings = opened, settings
        self._failure: Exception | None = None
        self._padded = padded_size(settings)
        self._iterator = iter(self._dataset().as_numpy_iterator())

    def __iter__(self) -> Iterator[Views]:
        return self

    def __next__(self) -> Views:
        """The next batch.

        Raises:
          ValueError: pairs that are not of these volumes, or damaged ones.
          OSError: voxels cannot be read.
        """
        try:
            found = next(self._iterator)
        except tf.errors.OpError as error:
            if self._failure is not None:
                raise self._failure from error
            raise ValueError(self._damage()) from error
        except StopIteration:
            raise ValueError(
                f"The pairs {', '.join(self._settings.files)} are fewer than a "
                f"batch of {self._settings.batch}."
            ) from None
        self.taken += 1
        views, segments = found
        return Views(views[:, 0], views[:, 1], segments)

    def _damage(self) -> str:
        files = self._settings.files
        return (
            f"The pairs {records.damage(files) or ', '.join(files)} cannot be "
            f"read: a file is damaged, or not of pairs. Fetch it again, or "
            f"delete it and run segclr.sample_pairs again."
        )

    def _dataset(self) -> tf.data.Dataset:
        settings = self._settings
        parallel = tf.data.AUTOTUNE
        batches = tf.data.Dataset.zip(
            tf.data.Dataset.counter(self.taken),
            pairs(settings)
            .batch(settings.batch, drop_remainder=True)
            .skip(self.taken),
        )
        read = batches.map(self._read, num_parallel_calls=2, deterministic=True)
        made = (
            read.unbatch()
            .map(self._view, num_parallel_calls=parallel, deterministic=True)
            .batch(2 * settings.batch, drop_remainder=True)
        )
        return made.map(self._paired).prefetch(1)

    def _read(self, number: tf.Tensor, found: dict[str, tf.Tensor]) -> tuple:
        settings = self._settings
        centers = tf.stack([found["center-0"], found["center-1"]], axis=1)
        image, mask = tf.py_function(
            self._read_now,
            (number, centers, found["skeleton_id"]),
            (tf.float32, tf.bool),
        )
        count = 2 * settings.batch
        shape = (count, *self._padded)
        return (
            # Each view has a number of its own.
            number * count + tf.range(count, dtype=tf.int64),
            tf.ensure_shape(image, shape),
            tf.ensure_shape(mask, shape),
            tf.repeat(found["skeleton_id"], 2),
        )

    def _read_now(
        self, number: tf.Tensor, centers_xyz: tf.Tensor, segments: tf.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """One call for a batch: its voxels are asked for concurrently."""
        try:
            x, y, z = np.moveaxis(centers_xyz.numpy(), -1, 0)
            centers = np.stack([z, y, x], axis=-1).reshape(-1, 3)
            ids = np.repeat(segments.numpy(), 2)
            self._check(centers, ids)
            rng = np.random.default_rng([self._settings.seed, int(number)])
            most = self._settings.options.shift_voxels
            shifted = centers + rng.integers(-most, most + 1, centers.shape)
            domain = self._opened.image.domain
            inside = np.clip(shifted, domain.start, np.array(domain.end) - 1)
            found = self._opened.read(inside, ids)
            self._check_masks(found.mask, ids)
        except (ValueError, OSError) as error:
            # TensorFlow makes another of it, without its type and its end.
            self._failure = error
            raise
        return found.image, found.mask

    def _check(self, centers_zyx: np.ndarray, ids: np.ndarray) -> None:
        domain = self._opened.image.domain
        outside = (centers_zyx < domain.start) | (centers_zyx >= domain.end)
        if outside.any():
            at = np.flatnonzero(outside.any(axis=1))[0]
            raise ValueError(
                f"A pair of segment {ids[at]} has its centre at z, y, x = "
                f"{centers_zyx[at].tolist()}, and {self._opened.image.address} "
                f"is {domain}: the pairs are of another volume, or of voxels "
                f"of another size (sample_pairs --voxel_size_nm)."
            )

    def _check_masks(self, mask: np.ndarray, ids: np.ndarray) -> None:
        empty = ids[np.logical_not(mask.any(axis=(1, 2, 3)))]
        if len(empty) > _MOST_EMPTY * len(ids):
            raise ValueError(
                f"{len(empty)} of {len(ids)} views of a batch have no voxel of "
                f"their segment (the first: {empty[0]}): are the pairs "
                f"of {self._opened.segmentation.address}, and counted in its "
                f"voxels (sample_pairs --voxel_size_nm)?"
            )

    def _view(
        self,
        number: tf.Tensor,
        image: tf.Tensor,
        mask: tf.Tensor,
        segment: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        settings = self._settings
        seed = tf.stack(
            [
                tf.constant(settings.seed, tf.int32),
                tf.cast(number % (2**31 - 1), tf.int32),
            ]
        )
        made = augmentation.augment(
            augmentation.Example(
                image, tf.cast(mask, tf.int32), tf.ones_like(image)
            ),
            seed,
            settings.options.changes(settings.size_zyx),
            settings.size_zyx,
        )
        within = masks.changed(
            tf.cast(made.labels, tf.float32),
            seed,
            settings.options.mask_probability,
            settings.options.mask_voxels,
        )
        view = {
            "masked_em": made.image * within,
            "em": made.image,
            "seg": within,
        }[settings.kind]
        return view[..., None], segment

    def _paired(
        self, views: tf.Tensor, segments: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        shape = (self._settings.batch, 2, *self._settings.size_zyx, 1)
        return tf.reshape(views, shape), segments[::2]


def padded_size(settings: Settings) -> tuple[int, int, int]:
    """Voxels that a view is made from."""
    return augmentation.padded_size(
        settings.size_zyx, settings.options.changes(settings.size_zyx)
    )


def pairs(settings: Settings) -> tf.data.Dataset:
    """Pairs without end, as `records.features` has them."""
    kinds = [records.compression(path) for path in settings.files]
    files = tf.data.Dataset.from_tensor_slices((list(settings.files), kinds))
    found = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(len(settings.files), 16),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if settings.shuffle:
        found = found.shuffle(settings.shuffle, seed=settings.seed)
    return (
        found.repeat()
        .batch(1024)
        .map(
            lambda some: tf.io.parse_example(some, records.features()),
            num_parallel_calls=2,
            deterministic=True,
        )
        .unbatch()
    )
