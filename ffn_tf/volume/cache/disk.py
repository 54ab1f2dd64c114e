"""Bytes of remote chunks on a local disk, kept from one run to the next.

    cache = disk.opened(CacheOptions(max_size_gb=10))
    cache.put("em/0-64_0-64_0-64", Entry(generation, chunk))
    cache.get("em/0-64_0-64_0-64")          # -> Entry, or None

One folder serves all volumes and all processes of a machine (SQLite and one
file per chunk, by diskcache). An entry is what a chunk was at a generation
(ETag); whether that still holds is for the reader to ask (cached.py).

    size      files, database and its log stay within `max_size_gb` at every
              moment, also while several processes write: the oldest entries
              go first, and an entry is only written where there is room
    damage    every entry has a checksum; one that is wrong is dropped. A
              database that cannot be read is thrown away, with a warning
    trouble   a folder that cannot be written, a disk that is full, a lock
              that another process holds for 10 s: one warning, and nothing
              more is written; reading goes on
    safety    nothing is unpickled: a folder that others can write to may
              give wrong voxels (the checksum is no signature), but runs
              no code

Writing happens in a thread of its own, and ends before the process does;
`flush` waits for it. The folder must be on a local disk (SQLite's log does
not work on network file systems).
"""

from __future__ import annotations

from collections.abc import Iterator
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import functools
import os
import pathlib
import secrets
import shutil
import sqlite3
import struct
import threading
import time
from typing import Any
import zlib

import diskcache

from ffn_tf import program
from ffn_tf.volume import checks

_FOLDER = "chunks-1"  # Another number, should entries ever look different.
_TAG = struct.Struct("<BI")  # absent, checksum; the generation follows
_BLOCK = 4096
_FOLDERS_BYTES = 2 * 257 * _BLOCK  # Of 256 folders and this one.
_IN_DATABASE = 2**15  # Larger entries are files of their own.
_LOCK_S = 10.0
# Entries that wait to be written; what they hold is memory.
_MOST_WAITING = 128
_LEFT_ALONE_S = 3600.0
_SWEEP_EVERY_S = 86400.0
_TROUBLE = (OSError, sqlite3.Error, diskcache.Timeout)


@dataclasses.dataclass(frozen=True)
class CacheOptions:
    """A cache of remote chunks on a local disk.

    Attributes:
      max_size_gb: all that it takes on the disk, in 10^9 bytes.
      directory: on a local disk; by default $XDG_CACHE_HOME/ffn_tf or
        ~/.cache/ffn_tf.
      trust: what is in it is believed without asking the server.
    """

    max_size_gb: float = 10.0
    directory: str = ""
    trust: bool = False

    @property
    def folder(self) -> pathlib.Path:
        """Where the entries are; nothing but the cache is in it."""
        if self.directory:
            return pathlib.Path(self.directory).absolute() / _FOLDER
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return pathlib.Path(base).expanduser() / "ffn_tf" / _FOLDER


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a chunk was.

    Attributes:
      generation: of the file that holds it, as TensorStore tells it.
      value: the encoded chunk; None if there was none.
    """

    generation: bytes
    value: bytes | None


def options_of_process(trust: bool = False) -> CacheOptions:
    """As FFN_CACHE_GB and FFN_CACHE_DIR say.

    Raises:
      ValueError: a size that is no positive number.
    """
    told = os.environ.get("FFN_CACHE_GB", "10")
    size = checks.positive(told, "FFN_CACHE_GB")
    return CacheOptions(size, os.environ.get("FFN_CACHE_DIR", ""), trust)


def _tag(entry: Entry) -> bytes:
    """What the database keeps beside the value."""
    value = entry.value
    checksum = zlib.crc32(entry.generation + _TAG.pack(value is None, 0))
    checksum = zlib.crc32(value or b"", checksum)
    return _TAG.pack(value is None, checksum) + entry.generation


def _entry(value: Any, tag: Any) -> Entry | None:
    """The entry; None if it is damaged."""
    if not isinstance(value, bytes) or not isinstance(tag, bytes):
        return None
    if len(tag) < _TAG.size:
        return None
    is_absent, _ = _TAG.unpack_from(tag)
    entry = Entry(tag[_TAG.size :], None if is_absent else value)
    return entry if _tag(entry) == tag else None


class _Files(diskcache.Disk):
    """Bytes in files; nothing else goes in, nothing else comes out."""

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        if len(value) < self.min_file_size:
            return super().store(value, read, key)
        name, path = self.filename()
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                file.write(value)
        except OSError:
            self.remove(name)
            raise
        # What counts is what the disk gives.
        size = -(-len(value) // _BLOCK) * _BLOCK
        return size, diskcache.core.MODE_BINARY, name, None

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            return None
        return super().fetch(mode, filename, value, read)

    def filename(self, key: Any = None, value: Any = None) -> tuple[str, str]:
        name = secrets.token_hex(16)
        name = os.path.join(name[:2], f"{name[2:]}.val")
        return name, os.path.join(self._directory, name)

    def remove(self, file_path: str) -> None:
        with contextlib.suppress(OSError):
            os.remove(os.path.join(self._directory, file_path))


def _needed(size: int) -> int:
    """Bytes on disk of an entry of `size` bytes, at most."""
    # A row is in the database and in its log, with pages that it splits.
    return size + min(size, _IN_DATABASE) + 16 * _BLOCK


class DiskCache:
    """The cache in one folder. Any thread may use it."""

    def __init__(self, folder: pathlib.Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._cache = self._opened()
        self._can_write = self._cache is not None
        self._writer = concurrent.futures.ThreadPoolExecutor(
            1, thread_name_prefix="chunk-cache"
        )
        self._room = threading.BoundedSemaphore(_MOST_WAITING)
        if self._can_write:
            self._writer.submit(self._sweep)

    # -------------------------------------------------------------------------
    # Entries
    # -------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        """The entry of a key; None if there is none that is whole."""
        cache = self._cache
        if cache is None:
            return None
        try:
            value, tag = cache.get(key, tag=True)
        except _TROUBLE as error:
            self._trouble(error)
            return None
        entry = _entry(value, tag)
        if entry is None and tag is not None:
            self._tell("has damaged entries; they are fetched again")
            self.forget(key)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Writes an entry, soon; waits if too many are waiting."""
        if self._can_write:
            self._room.acquire()
            self._writer.submit(self._write, key, entry)

    def forget(self, key: str) -> None:
        """Removes an entry, also one that is waiting to be written."""
        if self._can_write:
            self._writer.submit(self._remove, key).result()

    def flush(self) -> None:
        """Waits until nothing waits to be written."""
        self._writer.submit(int).result()

    @property
    def num_bytes(self) -> int:
        """What the folder takes on the disk."""
        cache = self._cache
        if cache is None:
            return 0
        beside = _FOLDERS_BYTES
        for name in ("cache.db-wal", "cache.db-shm"):
            with contextlib.suppress(OSError):
                beside += os.stat(self._folder / name).st_size
        return cache.volume() + beside

    # -------------------------------------------------------------------------
    # In the writer's thread
    # -------------------------------------------------------------------------

    def _write(self, key: str, entry: Entry) -> None:
        cache, value = self._cache, entry.value or b""
        can_fit = _FOLDERS_BYTES + _needed(len(value)) <= self._max_bytes
        try:
            if cache is None or not (can_fit and self._can_write):
                return
            with self._alone():
                # Not in one transaction: the database shrinks after it.
                self._make_room(cache, len(value))
                if self._excess(len(value)) <= 0:
                    cache.set(key, value, tag=_tag(entry))
        except _TROUBLE as error:
            self._trouble(error)
        finally:
            self._room.release()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time makes room and fills it."""
        with open(self._folder / "writer", "ab") as file:
            end = time.monotonic() + _LOCK_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > end:
                        what = f"another process holds {file.name}"
                        raise OSError(what) from error
                time.sleep(0.002)
            yield

    def _excess(self, size: int) -> int:
        """Bytes above the limit, were an entry of `size` bytes added."""
        return self.num_bytes + _needed(size) - self._max_bytes

    def _make_room(self, cache: diskcache.Cache, size: int) -> None:
        """Removes the oldest entries until `size` bytes fit."""
        excess = self._excess(size)
        if excess > 0:
            room = max(0, cache.volume() - excess)
            cache.reset("size_limit", room, update=False)
            cache.cull()

    def _remove(self, key: str) -> None:
        cache = self._cache
        if cache is not None:
            with contextlib.suppress(*_TROUBLE):
                cache.delete(key)

    def _sweep(self) -> None:
        """Once a day: files of processes that were killed while writing."""
        mark = self._folder / "swept"
        now = time.time()
        try:
            if mark.exists() and now - mark.stat().st_mtime < _SWEEP_EVERY_S:
                return
            mark.touch()
            files = [
                file
                for file in self._folder.glob("??/*.val")
                if now - file.stat().st_mtime > _LEFT_ALONE_S
            ]
            with contextlib.closing(
                sqlite3.connect(self._folder / "cache.db")
            ) as database:
                rows = database.execute(
                    "SELECT filename FROM Cache WHERE filename IS NOT NULL"
                )
                known = {name for (name,) in rows}
            for file in files:
                if str(file.relative_to(self._folder)) not in known:
                    file.unlink(missing_ok=True)
        except _TROUBLE as error:
            self._trouble(error)

    # -------------------------------------------------------------------------
    # Trouble
    # -------------------------------------------------------------------------

    def _opened(self) -> diskcache.Cache | None:
        for _ in range(2):
            try:
                return diskcache.Cache(
                    str(self._folder),
                    disk=_Files,
                    timeout=_LOCK_S,
                    cull_limit=0,
                    disk_min_file_size=_IN_DATABASE,
                    size_limit=self._max_bytes,
                    eviction_policy="least-recently-stored",
                    # A file that shrinks under a map kills the process.
                    sqlite_mmap_size=0,
                )
            except _TROUBLE as error:
                if not _is_damage(error):
                    self._tell(f"cannot be opened ({error}); nothing is cached")
                    return None
                self._throw_away(error)
        return None

    def _trouble(self, error: BaseException) -> None:
        if isinstance(error, diskcache.Timeout):
            # What kept the database from being locked, be it another process.
            error = error.__context__ or error
        with self._lock:
            if _is_damage(error):
                if self._cache is not None:
                    self._cache, self._can_write = None, False
                    self._throw_away(error)
            elif self._can_write:
                self._can_write = False
                self._tell(
                    f"cannot be written ({error}); nothing more is cached"
                )

    def _throw_away(self, error: BaseException) -> None:
        """Moves the folder away, so that others may begin anew, and deletes."""
        program.warn(
            f"{self._folder}: the disk cache is damaged ({error}) and thrown "
            f"away; chunks are fetched again."
        )
        away = self._folder.with_name(f".tmp-{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            os.rename(self._folder, away)
            shutil.rmtree(away, ignore_errors=True)

    def _tell(self, what: str) -> None:
        """Warns, of each thing once."""
        if what not in self._told:
            self._told.add(what)
            program.warn(f"{self._folder}: the disk cache {what}.")


def _is_damage(error: BaseException) -> bool:
    # SQLITE_CORRUPT and SQLITE_NOTADB; the other kinds are subclasses.
    return type(error) is sqlite3.DatabaseError


@functools.cache
def _of_folder(folder: pathlib.Path, max_bytes: int) -> DiskCache:
    return DiskCache(folder, max_bytes)


def opened(options: CacheOptions) -> DiskCache:
    """The cache of this process in the folder of `options`.

    Raises:
      ValueError: a size that is not positive.
    """
    if not options.max_size_gb > 0:
        raise ValueError(
            f"max_size_gb: expected a positive size, found "
            f"{options.max_size_gb}."
        )
    return _of_folder(options.folder, int(options.max_size_gb * 1e9))
