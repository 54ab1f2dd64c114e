"""Volumes that appear whole or not at all.

    with volume.staged("em.zarr", info) as filling:
        filling.write(box, array)          # ... every voxel
    # only now is there an em.zarr

The volume is made beside its place, under a name that begins with `.tmp-`,
and is renamed when the block ends without an exception; otherwise it is
removed. A process that is killed leaves the `.tmp-` thing, which nothing
reads. A dataset that joins an existing HDF5 file is renamed inside the file.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import secrets
import shutil
from typing import Any

import h5py

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import store
from ffn_tf.volume.address import Address
from ffn_tf.volume.source import VolumeInfo


@contextlib.contextmanager
def staged(
    address: str,
    info: VolumeInfo,
    *,
    attributes: dict[str, Any] | None = None,
) -> Iterator[store.Volume]:
    """A new volume, open for writing, that becomes `address` at the end.

    Raises:
      FileExistsError: `address` exists.
    """
    final = address_lib.parse(address, creating=True)
    store.refuse_existing(address)
    temporary = _beside(final)
    try:
        with store.create(
            temporary.text, info, attributes=attributes
        ) as filling:
            yield filling
        store.refuse_existing(address)
        _rename(temporary, final)
    except BaseException:
        _remove(temporary, final)
        raise


def _beside(final: Address) -> Address:
    """An address of the same format, that nothing else has."""
    mark = f".tmp-{secrets.token_hex(4)}-"
    if final.format == "hdf5" and os.path.exists(final.path):
        dataset = f"{mark}{final.dataset.replace('/', '-')}"
        text = f"{final.path}:{dataset}"
    else:
        folder, name = os.path.split(os.path.abspath(final.path))
        text = os.path.join(folder, mark + name)
        if final.format in address_lib.SCHEMES:
            text = f"{final.format}://{text}"
        if final.dataset:
            text = f"{text}:{final.dataset}"
    return address_lib.parse(text, creating=True)


def _rename(temporary: Address, final: Address) -> None:
    if temporary.path == final.path:
        with h5py.File(final.path, "r+") as file:
            file.move(temporary.dataset, final.dataset)
        return
    if final.format == "npy":
        os.replace(f"{temporary.path}.json", f"{final.path}.json")
    os.replace(temporary.path, final.path)


def _remove(temporary: Address, final: Address) -> None:
    if temporary.path == final.path:
        with h5py.File(final.path, "r+") as file:
            file.pop(temporary.dataset, None)
        return
    for path in (temporary.path, f"{temporary.path}.json"):
        with contextlib.suppress(OSError):
            os.unlink(path)
    shutil.rmtree(temporary.path, ignore_errors=True)
