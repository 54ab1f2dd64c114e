"""Writes what came of embeddings as one page: map, scores, curves, merges.

    python -m segclr.report --embeddings=out/embeddings-10um \\
        --types=out/types --merges=out/merges \\
        --image=out/phantom/image.zarr \\
        --segmentation=out/phantom/labels.zarr --output=out/report.html

The last step, after classify and detect_merges. With --image and
--segmentation the worst merges get pictures; and, if both are precomputed
volumes in buckets, links to Neuroglancer, else commands that show them.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from ffn_tf import program, volume
from ffn_tf.volume import files
from segclr.classification import predictions
from segclr.embedding import table
from segclr.reporting import page, places, projection


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what, and where to."""

    embeddings: str = program.option(help="Folder of the table, for the map.")
    types: str = program.option(help="Folder of segclr.classify.")
    output: str = program.option("report.html", help="Path of the page.")
    merges: str = program.option("", help="Folder of segclr.detect_merges.")
    image: str = program.option("", help="Address of the EM, for pictures.")
    segmentation: str = program.option("", help="Address of the segmentation.")
    agglomeration: str = program.option(
        "", help="Table of the object of each segment, .npz or .csv."
    )
    worst: int = program.option(12, help="Merges to show.")
    picture_voxels: int = program.option(
        129, help="Edge of a picture, odd, voxels of --image."
    )

    def __post_init__(self) -> None:
        if bool(self.image) != bool(self.segmentation):
            raise ValueError("--image and --segmentation go together.")
        if self.picture_voxels < 33 or self.picture_voxels % 2 == 0:
            raise ValueError(
                f"--picture_voxels: expected an odd number from 33 on, found "
                f"{self.picture_voxels}."
            )


def run(options: Options) -> None:
    """Writes the page.

    Raises:
      FileNotFoundError: no embeddings, types, merges or volumes.
      ValueError: of other nodes; damaged files.
      OSError: reading or writing failed.
    """
    output = files.local(options.output, "output")
    folder = pathlib.Path(options.types)
    nodes = table.read_nodes(pathlib.Path(options.embeddings))
    typed = predictions.read(folder)
    if not (
        np.array_equal(typed.segment, nodes.segment)
        and np.array_equal(typed.node, nodes.node)
    ):
        raise ValueError(
            f"{folder}: types of other nodes ({len(typed.segment):,}) than "
            f"those of {options.embeddings} ({len(nodes):,})."
        )
    points, variance = projection.principal(nodes.embedding)
    merges, trials = [], {}
    if options.merges:
        found = pathlib.Path(options.merges)
        merges = _merges(options, found / "proposals.csv")
        trials = _json(found / "trials.json")
    facts = page.Facts(
        f"Types of {options.embeddings}",
        typed,
        points,
        variance,
        _json(folder / "scores.json"),
        trials,
        merges,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(output, page.written(facts))


def _json(path: pathlib.Path) -> dict[str, Any]:
    """What a file says; nothing if there is none."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error}).") from error


def _merges(options: Options, path: pathlib.Path) -> list[page.Merge]:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no proposals; make them with segclr.detect_merges."
        )
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))[: options.worst]
    if not options.image or not rows:
        return [page.Merge(row, None, "", "") for row in rows]
    at = np.array([[float(row[f"{a}_nm"]) for a in "zyx"] for row in rows])
    ids = [int(row["segment"]) for row in rows]
    with volume.open(options.image) as image:
        voxels = np.trunc(at / np.array(image.voxel_size_nm)).astype(int)
    drawn = places.pictures(
        options.image,
        options.segmentation,
        options.agglomeration,
        options.picture_voxels,
        at,
        ids,
    )
    watched = program.watched(drawn, len(rows), "Drawing", "places")
    return [
        page.Merge(
            row,
            picture,
            places.command(options.image, options.segmentation, voxel, segment),
            places.link(options.image, options.segmentation, voxel, segment),
        )
        for row, picture, voxel, segment in zip(
            rows, watched, voxels.tolist(), ids
        )
    ]


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    run(options)
    program.finish(options.output, f"open it in a browser: {options.output}")


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
