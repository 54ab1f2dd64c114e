"""What made an output: code version and digests of its inputs."""

from __future__ import annotations

import functools
import hashlib
import pathlib
import subprocess

import ffn_tf


@functools.cache
def describe_code() -> str:
    """`0.1.0+g<commit>[.dirty]` in a git checkout, else `0.1.0`."""
    root = pathlib.Path(ffn_tf.__file__).resolve().parent.parent
    try:
        if pathlib.Path(_git(root, "rev-parse", "--show-toplevel")) != root:
            return ffn_tf.__version__  # Installed inside another checkout.
        described = _git(
            root,
            "describe",
            "--always",
            "--exclude=*",  # No tags: the commit itself.
            "--dirty=.dirty",
            "--abbrev=12",
        )
    except (OSError, subprocess.SubprocessError):
        return ffn_tf.__version__
    return f"{ffn_tf.__version__}+g{described}"


def _git(folder: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout.strip()


def file_digest(path: str | pathlib.Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
