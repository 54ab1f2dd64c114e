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
    root = pathlib.Path(ffn_tf.__file__).parent.parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=.dirty", "--abbrev=12"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ffn_tf.__version__
    return f"{ffn_tf.__version__}+g{described}"


def file_digest(path: str | pathlib.Path) -> str:
    """`sha256:<hex>` of a file's bytes."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
