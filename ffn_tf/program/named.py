"""Flags of several NAME:VALUE."""

from __future__ import annotations

from collections.abc import Sequence


def named(values: Sequence[str], flag: str, what: str) -> dict[str, str]:
    """{name: value} of NAME:VALUE texts; the value may have colons.

    Args:
      values: of the flag.
      flag: its name, for errors.
      what: what the values are, for errors: "ADDRESS".

    Raises:
      ValueError: not of that form, or a name twice.
    """
    found: dict[str, str] = {}
    for text in values:
        name, colon, value = text.partition(":")
        # Of `precomputed://...` alone, the scheme is not a name.
        if not colon or not value or "/" in name or value.startswith("//"):
            raise ValueError(f"--{flag}: expected NAME:{what}, found {text!r}.")
        if name in found:
            raise ValueError(f"--{flag}: the name {name!r} twice.")
        found[name] = value
    return found
