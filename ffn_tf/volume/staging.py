"""Volumes that appear whole or not at all.

In one go:

    with volume.staged("em.zarr", info) as filling:
        filling.write(box, array)          # ... every voxel
    # only now is there an em.zarr

A volume of this machine is made beside its place, under a name that begins with
`.tmp-`, and is renamed when the block ends without an exception; otherwise it
is removed. A process that is killed leaves the `.tmp-` thing, which nothing
reads. A dataset that joins an HDF5 file is written into a copy of the file,
which takes its place: who is killed while writing HDF5 leaves a file that
cannot be opened. If the file has changed meanwhile, it stays as it is.

In several goes, or by several processes, any of which may be killed:

    unfinished = staging.Unfinished("precomputed://gs://bucket/em")
    unfinished.create(info)
    base, *coarser = unfinished.scales()   # open for writing, again and again
    unfinished.publish()

    em/                              em.h5, em.npy
        .partial/                    .partial-em.h5-raw/
            metadata/info                voxels/zarr.json, ...
            (notes of who writes)        (notes of who writes)
        8_8_8/0-64_0-64_0-64         (no em.h5 yet)

A folder is a volume by its metadata, for every reader. So chunks go to where
they stay, while the metadata wait in `.partial`; TensorStore is shown the two
as one folder. `publish` writes the metadata to their place, the file that makes
the folder a volume as the last, and removes `.partial`. Nothing is renamed,
which buckets could not do, and so all places have the one way.

A file of HDF5 or numpy cannot be written so: who is killed while writing leaves
an HDF5 file that cannot be opened. Its voxels are collected in a zarr beside
it, and `publish` makes the file of them, which takes the room of both (and of
the HDF5 file that a dataset joins, once more).

Whatever is killed at whatever moment, the calls can be repeated. Processes that
publish the same volume at the same time write the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import secrets
import shutil
from typing import Any
import urllib.parse

import tensorstore as ts

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import grid, place, store
from ffn_tf.volume.address import Address
from ffn_tf.volume.formats import layout, zeros
from ffn_tf.volume.formats.codec import Codec
from ffn_tf.volume.place import Place
from ffn_tf.volume.source import VolumeInfo

FILES = ("hdf5", "npy")
_PARTIAL = address_lib.PARTIAL
# Of a single array, by the driver that reads it.
_METADATA = {
    "neuroglancer_precomputed": "info",
    "zarr": ".zarray",
    "zarr3": "zarr.json",
    "n5": "attributes.json",
}
# Voxels on each edge of what is copied into a file at a time, at least.
_COPIED = (64, 256, 256)


@contextlib.contextmanager
def staged(
    address: str,
    info: VolumeInfo,
    *,
    attributes: dict[str, Any] | None = None,
) -> Iterator[store.Volume]:
    """A new volume, open for writing, that becomes `address` at the end.

    Raises:
      FileExistsError: `address` exists; or, in a bucket, an unfinished one.
    """
    final = address_lib.parse(address, creating=True)
    store.refuse_existing(address)
    if final.place.is_remote:
        with _staged_remotely(address, info, attributes) as filling:
            yield filling
        return
    temporary = _beside(final, f".tmp-{secrets.token_hex(4)}-")
    try:
        with _replacing(temporary, final):
            with store.create(
                temporary.text, info, attributes=attributes
            ) as filling:
                yield filling
    except BaseException:
        _remove(temporary)
        raise


@contextlib.contextmanager
def _staged_remotely(
    address: str, info: VolumeInfo, attributes: dict[str, Any] | None
) -> Iterator[store.Volume]:
    unfinished = Unfinished(address)
    unfinished.create(info, attributes)
    try:
        yield unfinished.scales()[0]
        unfinished.publish()
    except BaseException:
        unfinished.discard()
        raise


class Unfinished:
    """A new volume that nobody can open yet.

    Attributes:
      final: where it will be.
      is_file: whether that is a file, not a folder of chunks.
      notes: a folder for small files of who writes; goes with `publish`.
    """

    def __init__(self, address: str) -> None:
        self.final = address_lib.parse(address, creating=True)
        self.is_file = self.final.format in FILES
        self.notes = _notes(self.final)

    @property
    def where(self) -> str:
        """What to delete to be rid of it; a path or a URL."""
        return self.notes.url if self.is_file else self.final.place.url

    @property
    def _waiting(self) -> Address:
        """The metadata of the volume; of a file, the voxels as well."""
        where = self.final
        name = "voxels" if self.is_file else "metadata"
        scheme = "zarr3" if self.is_file else where.format
        query = urllib.parse.urlencode(
            {
                option: value
                for option in ("endpoint", "aws_region")
                if (value := getattr(where, option))
            }
        )
        text = f"{scheme}://{self.notes.name(name)}"
        text += f"?{query}" if query else ""
        return address_lib.parse(text, creating=True)

    def create(
        self,
        info: VolumeInfo,
        attributes: dict[str, Any] | None = None,
        codec: Codec | None = None,
        num_scales: int | None = 1,
    ) -> None:
        """Makes the volume, without voxels; see layout.create_chunked.

        Of a file, one scale and the codec are the file's own.

        Raises:
          FileExistsError: an unfinished volume is there.
          ValueError: the format cannot hold such a volume.
        """
        if self.is_file:
            codec, num_scales = None, 1
        layout.create_chunked(
            self._waiting, info, attributes or {}, codec, num_scales
        )

    def scales(self) -> list[store.Volume]:
        """All scales, the finest first, open for writing.

        Raises:
          FileNotFoundError: it has not been created.
        """
        text = self._waiting.text
        base = store.open(text, mode="r+")
        joint = "&" if "?" in text else "?"
        others = [
            store.open(f"{text}{joint}mip={mip}", mode="r+")
            for mip in range(1, len(base.scales_nm))
        ]
        if self.is_file:
            return [base]
        return [self._in_place(scale) for scale in (base, *others)]

    def _in_place(self, waiting: store.Volume) -> store.Volume:
        """The scale with chunks where they stay, and metadata that wait."""
        source: Any = waiting.source
        spec = source.view.spec().to_json()
        metadata = spec["kvstore"]
        folder = metadata["path"].removeprefix(
            self._waiting.place.kvstore()["path"]
        )
        name = _METADATA[spec["driver"]]
        chunks = self.final.place.kvstore(folder.strip("/"))["path"]
        spec["kvstore"] = {
            "driver": "kvstack",
            "layers": [
                {"base": metadata | {"path": chunks}},
                {
                    "exact": name,
                    "base": metadata | {"path": metadata["path"] + name},
                },
            ],
        }
        view = ts.open(
            spec, open=True, read=True, write=True, context=place.context()
        ).result()
        where = self.final.text
        held = zeros.of(view, metadata | {"path": chunks})
        return store.Volume(
            source.with_view(view, where, held), where, writable=True
        )

    def publish(self) -> None:
        """Makes the volume appear; every voxel must have been written.

        Raises:
          FileExistsError: another volume has appeared meanwhile.
          OSError: it cannot be written.
        """
        if self.is_file:
            self._write_file()
        else:
            self._write_metadata()
        self.forget()

    def _write_metadata(self) -> None:
        waiting, final = self._waiting.place, self.final.place
        found = _keys(waiting)
        # As layout.py has it: what makes the folder a volume is the last.
        names = sorted(
            found,
            key=lambda name: ("/" not in name, name in place.METADATA_FILES),
        )
        ours = waiting.read_all(names)
        for name, new, old in zip(names, ours, final.read_all(names)):
            if old is not None and old != new:
                raise FileExistsError(
                    f"{self.final.text}: another volume has appeared there "
                    f"({name}), and nothing is overwritten."
                )
        for name, data in zip(names, ours):
            final.write(name, data or b"")

    def _write_file(self) -> None:
        store.refuse_existing(self.final.text)
        temporary = _beside(self.final, f"{_PARTIAL}-", self.notes.url)
        _remove(temporary)  # Of an attempt that was killed.
        with (
            _replacing(temporary, self.final),
            store.open(self._waiting.text) as voxels,
            store.create(
                temporary.text, voxels.info, attributes=voxels.attributes
            ) as target,
        ):
            domain, chunk = voxels.domain, voxels.info.chunk_zyx
            for box in grid.aligned(domain, chunk, domain.start, _COPIED):
                target.write(box, voxels.read(box))

    def forget(self) -> None:
        """Removes notes and metadata that wait; chunks remain."""
        _remove_all(self.notes)

    def discard(self) -> None:
        """Removes what there is of it.

        In a bucket, chunks remain: other things may have names like theirs.
        A folder of this machine was empty when the volume was created.
        """
        self.forget()
        if not self.is_file and not self.final.place.is_remote:
            shutil.rmtree(self.final.path, ignore_errors=True)

    def is_alone(self) -> bool:
        """Whether the folder of this machine holds nothing but notes."""
        where = self.final
        if self.is_file or where.place.is_remote:
            return False
        return os.path.isdir(where.path) and (
            os.listdir(where.path) == [_PARTIAL]
        )


def _notes(final: Address) -> Place:
    if final.format not in FILES:
        where = final.place
        return Place(where.name(_PARTIAL), where.endpoint, where.region)
    folder, name = os.path.split(os.path.realpath(final.path))
    parts = [_PARTIAL, name, *final.dataset.split("/")]
    return Place(os.path.join(folder, "-".join(filter(None, parts))))


def names_in(where: Place, folder: str) -> set[str]:
    """Names of the files in a folder of a place."""
    found = _keys(where, f"{folder}/")
    return {name.removeprefix(f"{folder}/") for name in found}


def _keys(where: Place, prefix: str = "") -> list[str]:
    """All files in a folder and its folders."""
    part = ts.KvStore.KeyRange()
    if prefix:  # Keys that begin with it: "a/" to, exclusively, "a0".
        part = ts.KvStore.KeyRange(prefix, prefix[:-1] + chr(ord("/") + 1))
    try:
        return [name.decode() for name in _kvstore(where).list(part).result()]
    except (ValueError, OSError) as error:
        raise OSError(
            f"{where.name()}: cannot be listed: {place.short(error)}."
        ) from error


def _remove_all(where: Place) -> None:
    if not where.is_remote:
        shutil.rmtree(where.url, ignore_errors=True)
        return
    opened = _kvstore(where)
    assert _PARTIAL in opened.path, f"{where.name()}: {opened.path}"
    try:
        opened.delete_range(ts.KvStore.KeyRange()).result()
    except (ValueError, OSError) as error:
        raise OSError(
            f"{where.name()}: cannot be deleted: {place.short(error)}."
        ) from error


def _kvstore(where: Place) -> ts.KvStore:
    return ts.KvStore.open(where.kvstore(), context=place.context()).result()


def _beside(final: Address, mark: str, folder: str = "") -> Address:
    """An address of the same format, that nothing else has."""
    beside, name = os.path.split(os.path.realpath(final.path))
    text = os.path.join(folder or beside, mark + name)
    if final.format in address_lib.SCHEMES:
        text = f"{final.format}://{text}"
    if final.dataset:
        text = f"{text}:{final.dataset}"
    return address_lib.parse(text, creating=True)


@contextlib.contextmanager
def _replacing(temporary: Address, final: Address) -> Iterator[None]:
    """Puts what is made at `temporary` into the place of `final`."""
    before = _joined(final)
    if before:
        shutil.copyfile(final.path, temporary.path)
        shutil.copymode(final.path, temporary.path)
    yield
    store.refuse_existing(final.text)
    if _joined(final) != before:
        raise FileExistsError(
            f"{final.path}: has changed meanwhile, and nothing is overwritten; "
            f"run the same again."
        )
    _rename(temporary, final)


def _joined(final: Address) -> tuple[int, ...]:
    """What the HDF5 file that a dataset joins is now; empty if none is."""
    if final.format != "hdf5" or not os.path.exists(final.path):
        return ()
    found = os.stat(final.path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _rename(temporary: Address, final: Address) -> None:
    path = os.path.realpath(final.path)
    if final.format in FILES:
        with open(temporary.path, "rb") as file:
            os.fsync(file.fileno())
    if final.format == "npy":
        os.replace(f"{temporary.path}.json", f"{path}.json")
    os.replace(temporary.path, path)


def _remove(temporary: Address) -> None:
    for path in (temporary.path, f"{temporary.path}.json"):
        with contextlib.suppress(OSError):
            os.unlink(path)
    shutil.rmtree(temporary.path, ignore_errors=True)
