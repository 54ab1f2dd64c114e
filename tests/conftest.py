"""Where the real data is; tests that need it skip where it is not."""

from __future__ import annotations

import os
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_DATA = pathlib.Path(
    os.environ.get("FFN_DATA_DIR", _ROOT.parent / "shared" / "data")
)


@pytest.fixture(scope="session")
def fib25() -> pathlib.Path:
    """The folder of FIB-25 data (third_party/README.md)."""
    folder = _DATA / "fib25"
    if not (folder / "grayscale_maps.h5").exists():
        pytest.skip(f"no FIB-25 data in {folder} (set FFN_DATA_DIR)")
    return folder


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
    """The folder of google/ffn's outputs, beside the data."""
    folder = _DATA.parent / "golden"
    if not (folder / "forward_fib25.npz").exists():
        pytest.skip(f"no golden outputs in {folder} (set FFN_DATA_DIR)")
    return folder
