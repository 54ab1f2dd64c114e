"""Makes merges that are known, to see how well they are found.

    python -m segclr.make_merges --segmentation=out/phantom/labels.zarr \\
        --skeletons=out/skeletons --labels=out/phantom/types.csv \\
        --output_dir=out/merged

Segments that touch are joined, drawn at random, of one type, and of two types
(segclr/merges/synthetic.py). The folder gets skeletons/, with the joined ones
and the others; agglomeration.csv, by which segclr.embed sees each pair as one;
and seams.csv, which segclr.detect_merges is tried with.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

import numpy as np

from ffn_tf import program, skeleton, volume
from ffn_tf.skeleton import precomputed
from ffn_tf.volume import files
from segclr.classification import labels
from segclr.merges import synthetic


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what, and how many."""

    segmentation: str = program.option(help="Address of the segmentation.")
    skeletons: str = program.option(
        help="Skeletons of the segments (ffn_tf.skeletonize)."
    )
    output_dir: str = program.option(help="Folder for what is joined.")
    labels: str = program.option(
        "", help="CSV of segment,label; without, random merges only."
    )
    count: int = program.option(100, help="Merges of each kind, at most.")
    min_length_um: float = program.option(
        2.0, help="Of the skeletons of what is joined."
    )
    seed: int = program.option(0, help="Another draws others.")

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"--count: expected 1 or more: {self.count}.")


@dataclasses.dataclass(frozen=True)
class Summary:
    """How many there are: by kind; and skeletons in all."""

    merges: dict[str, int]
    skeletons: int


def run(options: Options) -> Summary:
    """Makes them.

    Raises:
      FileExistsError: the folder holds merges already.
      FileNotFoundError: no segmentation, skeletons or labels.
      ValueError: nothing that could be joined.
      OSError: reading or writing failed.
    """
    output = files.local(options.output_dir, "output_dir")
    if (output / "seams.csv").exists():
        raise FileExistsError(
            f"{output}: holds merges already; give another --output_dir."
        )
    lines = {one.id: one for one in skeleton.read(options.skeletons)}
    types: dict[int, str] = {}
    if options.labels:
        types = _types(options.labels, sorted(lines))
    with volume.open(options.segmentation) as segmentation:
        found = synthetic.contacts(segmentation)
    long_ones = [
        one.id
        for one in lines.values()
        if one.length_nm >= 1000 * options.min_length_um
    ]
    seams = synthetic.drawn(
        found, types, long_ones, options.count, options.seed
    )
    if not seams:
        raise ValueError(
            f"{options.segmentation}: no two segments touch that have "
            f"skeletons of {options.min_length_um} um or more "
            f"({len(long_ones)} of {len(lines)} have); see --min_length_um."
        )
    for number, seam in enumerate(seams):
        one, two = lines[seam.segment], lines.pop(seam.other)
        lines[seam.segment] = synthetic.joined(one, two, seam)
        count = len(one.vertices_nm_zyx)
        seams[number] = dataclasses.replace(seam, first_vertices=count)
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output, "making merges in it"):
        shutil.rmtree(output / "skeletons", ignore_errors=True)
        _write(output, lines, seams)
    kinds = [seam.kind for seam in seams]
    return Summary(
        {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}, len(lines)
    )


def _types(path: str, ids: list[int]) -> dict[int, str]:
    segment = np.array(ids, np.uint64)
    given = labels.read(path, segment, np.zeros(len(ids), np.int64))
    return {
        id_: given.classes[number]
        for id_, number in zip(ids, given.of_node.tolist())
        if number != labels.NONE
    }


def _write(
    output: pathlib.Path,
    lines: dict[int, skeleton.Skeleton],
    seams: list[synthetic.Seam],
) -> None:
    """All files; seams.csv last."""
    folder = output / "skeletons"
    folder.mkdir(parents=True, exist_ok=True)
    has_radii = all(one.radii_nm is not None for one in lines.values())
    for one in lines.values():
        kept = one if has_radii else dataclasses.replace(one, radii_nm=None)
        (folder / str(one.id)).write_bytes(precomputed.encode(kept))
    files.write_text(folder / "info", json.dumps(precomputed.info(has_radii)))
    pairs = [f"{seam.other},{seam.segment}\n" for seam in seams]
    files.write_text(
        output / "agglomeration.csv", "".join(["segment,object\n", *pairs])
    )
    files.write_text(output / "seams.csv", synthetic.seams_csv(seams))


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    kinds = ", ".join(f"{n} {kind}" for kind, n in summary.merges.items())
    out = options.output_dir
    program.finish(
        f"merges ({kinds}) among {summary.skeletons} skeletons in {out}",
        f"python -m segclr.embed --skeletons={out}/skeletons "
        f"--agglomeration={out}/agglomeration.csv "
        f"--segmentation={options.segmentation} --output_dir={out}/embeddings "
        f"--image=IMAGE --encoder=ENCODER",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
