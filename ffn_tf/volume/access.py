"""Who reads a volume: TensorStore, else CloudVolume, else gcsfs.

    method       reads                                  of
    tensorstore  precomputed, zarr, zarr3, n5; writes   every place
    cloudvolume  precomputed, in more encodings         every place
    gcsfs        precomputed, in the same encodings     gs://

`?access=METHOD` in an address forces one. Without it (auto) they are tried in
this order when a volume is opened, and the first that can open it serves it
to the end; `Served` says which, and why the others did not. A volume that is
not there, or has no such scale or channel, is an error at once. Only
TensorStore writes.

They give the same voxels, of the same domain: of several channels one is
chosen, and a chunk that is missing is an error that names it, unless the
address says ?missing=zero. The first is by far the fastest, so what is used
often is better written anew in an encoding that it knows.

?cache=disk keeps the chunks that TensorStore reads (cache/); ?tolerate=corrupt
fills damaged chunks (tolerance.py) and ?deadline_s= holds, whoever reads them.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from ffn_tf import program
from ffn_tf.volume import tolerance
from ffn_tf.volume.address import Address
from ffn_tf.volume.cache import cached, disk
from ffn_tf.volume.formats import chunked, cloudvolume_source, gcsfs_source
from ffn_tf.volume.source import Source

AUTO = "auto"


def _tensorstore(address: Address) -> Source:
    found = chunked.open_chunked(address, writable=False)
    if not address.cache:
        return found
    return cached.CachedSource(
        found.view,
        found.info,
        found.attributes,
        address.text,
        disk.options_of_process(trust=address.cache == "trusted"),
        scales_nm=found.scales_nm,
        deadline_s=address.deadline_s,
    )


METHODS: dict[str, Callable[[Address], Source]] = {
    "tensorstore": _tensorstore,
    "cloudvolume": cloudvolume_source.open_cloudvolume,
    "gcsfs": gcsfs_source.open_gcsfs,
}


@dataclasses.dataclass(frozen=True)
class Served:
    """Who serves a volume.

    Attributes:
      method: its name.
      refused: (name, reason) of each that was tried before.
    """

    method: str
    refused: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        reasons = [f"not by {name}: {reason}" for name, reason in self.refused]
        return "; ".join([f"read by {self.method}", *reasons])


def open_source(address: Address, writable: bool) -> tuple[Source, Served]:
    """Opens a folder of chunks, by the method that the address asks for.

    Raises:
      FileNotFoundError: it is not there.
      ValueError: no such scale or channel; or a method that cannot write.
      OSError: the method that was asked for, or each of them, cannot.
    """
    if writable:
        _refuse_reading_options(address)
        return chunked.open_chunked(address, writable), Served("tensorstore")
    if address.access == AUTO:
        source, served = _first_that_can(address)
    else:
        source = METHODS[address.access](address)
        served = Served(address.access)
    if served.method != "tensorstore" and address.cache:
        program.warn(f"{address.text}: {served}, which knows no cache.")
    if address.tolerate:
        source = tolerance.TolerantSource(source, address.text)
    return source, served


def _refuse_reading_options(address: Address) -> None:
    for name, value, can in (
        ("access", address.access, (AUTO, "tensorstore")),
        ("cache", address.cache, ("",)),
        ("tolerate", address.tolerate, ("",)),
    ):
        if value not in can:
            raise ValueError(
                f"{address.text}: {name}={value} is for reading only; remove "
                f"it to write."
            )


def _first_that_can(address: Address) -> tuple[Source, Served]:
    refused: list[tuple[str, str]] = []
    for name, opened in METHODS.items():
        try:
            return opened(address), Served(name, tuple(refused))
        except (OSError, ValueError) as error:
            # Of the first, these are answers: the volume is not there, or
            # not what is asked for, or its server cannot be reached; and
            # nobody else reads other formats.
            if not refused and (
                isinstance(
                    error, (FileNotFoundError, ValueError, ConnectionError)
                )
                or address.format != "precomputed"
            ):
                raise
            reason = str(error).removeprefix(f"{address.text}: ").rstrip(".")
            refused.append((name, reason))
    reasons = "".join(f"\n  {name}: {reason}." for name, reason in refused)
    raise OSError(f"{address.text}: nobody can read it:{reasons}")
