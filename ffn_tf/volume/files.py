"""Files that appear whole or not at all, and folders of one process."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import tempfile

from ffn_tf import program


def local(path: str, flag: str) -> pathlib.Path:
    """The path, which need not be there yet.

    Args:
      flag: its name, for the message.

    Raises:
      ValueError: no path, or a URL.
    """
    if not path or "://" in path:
        raise ValueError(
            f"--{flag}: expected a path of this machine, found {path!r}. What "
            f"is to be elsewhere can be copied afterwards."
        )
    return pathlib.Path(path)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """A temporary path beside `path` that becomes `path` on success.

    The folder is made if missing. The temporary name ends like the real one
    (some writers look at the suffix). On any exception nothing is left.

    Raises:
      OSError: the folder cannot be written (the path is in the message).
    """
    final = pathlib.Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=final.parent,
        prefix=_leftover_prefix(final),
        suffix="".join(final.suffixes),
    )
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, final)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.filename is None:
            raise OSError(
                error.errno, error.strerror or str(error), str(final)
            ) from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _leftover_prefix(final: pathlib.Path) -> str:
    return f".tmp-{final.name}-"


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Removes what killed processes left beside `path` while writing it.

    Nobody else may be writing it.
    """
    final = pathlib.Path(path)
    for leftover in final.parent.glob(_leftover_prefix(final) + "*"):
        leftover.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes UTF-8 `text` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def locked(
    path: str | os.PathLike[str], doing: str, shared: bool = False
) -> Iterator[None]:
    """Keeps other processes away from a folder or a file.

    The lock is the system's (flock): it ends with the process, however that
    ends. Some network file systems have none.

    Args:
      doing: what a process does that holds it, for the message.
      shared: with those who lock it so, too.

    Raises:
      BlockingIOError: another process holds it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        _lock(handle, path, doing, shared)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def marked(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """`locked`, of an empty file that is made for it, and removed in the end.

    Raises:
      as `locked`.
    """
    is_ours = False
    while not is_ours:
        handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
        try:
            _lock(handle, path, doing, shared=False)
            # Whoever held it may have removed it between these two lines.
            is_ours = _is_file(handle, path)
            if is_ours:
                try:
                    yield
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
        finally:
            os.close(handle)


def _is_file(handle: int, path: str | os.PathLike[str]) -> bool:
    """Whether an open file is the one that is there now."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(
    handle: int, path: str | os.PathLike[str], doing: str, shared: bool
) -> None:
    """See `locked`."""
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            f"{os.fspath(path)}: another process is {doing}. Wait for "
            f"it, or use another folder."
        ) from error
    except OSError as error:
        program.warn(
            f"{os.fspath(path)} cannot be locked ({error.strerror}): see "
            f"that no second process works there."
        )


@contextlib.contextmanager
def turn(path: str | os.PathLike[str]) -> Iterator[None]:
    """Waits until no other process is in a context of the same file.

    The file is made; it stays, and is empty.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        with contextlib.suppress(OSError):  # Where there are no locks.
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
