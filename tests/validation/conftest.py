"""Two bright boxes, what is true of them, and a network that finds them.

volume   20 x 16 x 28 voxels of 40 x 8 x 10 nm, its corner at (10, 20, 30)
A        14 x 10 x 10, of which the truth makes two bodies of 700 voxels
B        14 x 10 x 9, one body
sections 0 and 1 are dark, and the truth has a body in each: 448 voxels
"""

from __future__ import annotations

from collections.abc import Callable
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.validation import record

BOX = volume.Box.from_size((10, 20, 30), (20, 16, 28))
A, B = np.s_[3:17, 3:13, 3:13], np.s_[3:17, 3:13, 16:25]
SIZE_NM = (40.0, 8.0, 10.0)
NORMALISATION = {"em": {"mean": 400, "stddev": 100}}


def _line(path: pathlib.Path, sections: range, y: int, x: int) -> None:
    """A line along z, in voxels from the corner of the volume."""
    rows = [
        f"{n} 0 {(x + 30.5) * 10} {(y + 20.5) * 8} {(z + 10.5) * 40} 1 "
        f"{n - 1 or -1}\n"
        for n, z in enumerate(sections, 1)
    ]
    path.write_text("".join(rows))


@pytest.fixture(scope="session")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """em.npy, truth.npy, and lines/, a folder of three skeletons."""
    folder = tmp_path_factory.mktemp("tissue")
    em = np.full(BOX.size, 300, np.uint16)
    truth = np.zeros(BOX.size, np.uint32)
    texture = np.random.default_rng(0).integers(0, 24, BOX.size)
    for body, place in ((5, A), (9, B)):
        em[place] = 490 + texture[place]
        truth[place] = body
    truth[10:17, 3:13, 3:13] = 7
    truth[0], truth[1] = 3, 4
    for name, values in (("em", em), ("truth", truth)):
        info = volume.VolumeInfo(BOX, values.dtype, SIZE_NM)
        with volume.create(f"{folder}/{name}.npy", info) as created:
            created.write(BOX, values)
    (folder / "lines").mkdir()
    _line(folder / "lines/1.swc", range(2, 13), 8, 8)  # In A, but for an edge.
    _line(folder / "lines/2.swc", range(5, 11), 8, 20)  # In B.
    _line(folder / "lines/3.swc", range(30, 40), 8, 8)  # Outside.
    return folder


@pytest.fixture
def trained(
    brightness: Callable[..., str], tmp_path: pathlib.Path
) -> Callable[..., pathlib.Path]:
    """trained(step, normalisation): a checkpoint of tmp_path/run."""

    def make(
        step: int = 100, normalisation: dict[str, Any] | None = None
    ) -> pathlib.Path:
        folder = tmp_path / f"run/checkpoints/step-{step:08d}"
        shutil.copytree(brightness(5, 2), folder)
        described = json.loads((folder / "model.json").read_text())
        described["origin"] = {"normalisation": normalisation or NORMALISATION}
        (folder / "model.json").write_text(json.dumps(described))
        return folder

    return make


@pytest.fixture
def scored(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """scored(step, split, merge, coverage, ...): a checkpoint with a record."""

    def make(
        step: int,
        split: float,
        merge: float,
        coverage: float = 0.5,
        *,
        segments: int = 3,
        settings: dict[str, Any] | None = None,
        **more: float,
    ) -> pathlib.Path:
        folder = tmp_path / f"run/checkpoints/step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        scores = record.Scores(
            coverage, split, merge, 0.25, segments, 1.5, 4.0, **more
        )
        settings = {"image": "em"} if settings is None else settings
        record.write(folder, record.Record(step, scores, settings, {}))
        return folder

    return make
