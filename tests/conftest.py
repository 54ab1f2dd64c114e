"""Programs as users call them, the real data, a network of known segments.

Tests that need the data skip where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from ffn_tf.volume import dataset

pytest_plugins = ["servers.fixtures"]

_DATA = dataset.data_dir()


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """command(program, *arguments): `python -m ffn_tf.<program>`, ended.

    Or `package="segclr"`.
    """

    def run(
        program: str, *arguments: str, package: str = "ffn_tf"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"{package}.{program}", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )

    return run


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


@pytest.fixture(scope="session")
def brightness(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., str]:
    """brightness(size, deltas): the folder of a network made by hand.

    Its logits are 8 times the image, whatever the seed, so flood filling gives
    the bright boxes of an image whose walls are dark, and at least half a
    field of view thick.
    """
    from ffn_tf import model

    made: dict[tuple[int, int], str] = {}

    def make(size: int = 5, deltas: int = 1) -> str:
        if (size, deltas) not in made:
            view = model.FieldOfView((size,) * 3, (deltas,) * 3)
            network = model.ConvStack(depth=1, features=4, view=view)
            network.build()
            first, second, head = network.convolutions.values()
            signs = np.array([[1, -1, 0, 0], [0, 0, 1, -1]])  # Image, seed.
            first.set_weights([_centered(signs), np.zeros(4)])
            second.set_weights([_centered(np.eye(4)), np.zeros(4)])
            # logits = seed + update
            update = np.reshape([8, -8, -1, 1], (1, 1, 1, 4, 1))
            head.set_weights([update, np.zeros(1)])
            folder = tmp_path_factory.mktemp("brightness")
            model.save(network, folder, {"made": "by hand"})
            made[size, deltas] = str(folder)
        return made[size, deltas]

    return make


def _centered(taps: np.ndarray) -> np.ndarray:
    """A kernel of 3x3x3 whose only taps are the central ones."""
    kernel = np.zeros((3, 3, 3, *taps.shape))
    kernel[1, 1, 1] = taps
    return kernel
