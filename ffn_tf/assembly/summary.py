"""(7) Summary: what was assembled, and what looks wrong, for people.

    segments.csv    a line for each global id: voxels, box, seed, pieces, parts
    report.json     counts, the largest, the suspicious, sizes

Suspicious is a segment that several objects of one piece were joined to by way
of other pieces: two axons, perhaps, that one piece took for one.
"""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import numpy as np

from ffn_tf.assembly.global_ids import GlobalIds
from ffn_tf.assembly.pieces import Pieces
from ffn_tf.volume import files

_SHOWN = 20
_DECADES = 10 ** np.arange(19)
COLUMNS = (
    "id",
    "voxels",
    *(f"{edge}_{axis}" for edge in ("start", "end") for axis in "zyx"),
    *(f"seed_{axis}" for axis in "zyx"),
    "pieces",
    "parts",
)


def write_csv(found: GlobalIds, path: pathlib.Path) -> None:
    """Writes segments.csv; a seed that is not known is empty."""
    with (
        files.atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for segment in range(1, len(found) + 1):
            seed = found.seeds[segment]
            writer.writerow(
                [
                    segment,
                    found.voxels[segment],
                    *found.boxes[segment].ravel().tolist(),
                    *(seed.tolist() if seed[0] >= 0 else ("", "", "")),
                    found.num_pieces[segment],
                    found.num_parts[segment],
                ]
            )


def report(pieces: Pieces, found: GlobalIds) -> dict[str, Any]:
    """report.json; JSON values.

    Keys:
      pieces, missing, without_tissue, domain: what there was, and was not.
      segments, voxels, covered: how many; the share of the domain.
      objects: of all pieces, with voxels in a core.
      pairs: that met in overlaps, were each other's best, were joined.
      across: segments in more than one piece.
      too_small: segments, voxels that were left out, for segments have
        min_voxels at least.
      sizes: segments with 10^k voxels or more, and less than 10^(k+1).
      largest, suspicious: at most 20: id, voxels, pieces, parts.
    """
    domain = pieces.domain
    extra = found.num_parts - found.num_pieces
    decades = np.searchsorted(_DECADES, found.voxels[1:], side="right") - 1
    sizes = np.bincount(decades, minlength=len(_DECADES))
    return {
        "pieces": len(pieces.all),
        "missing": [list(corner) for corner in pieces.missing],
        "without_tissue": pieces.empty,
        "domain": {"start_zyx": domain.start, "size_zyx": domain.size},
        "segments": len(found),
        "voxels": int(found.voxels.sum()),
        "covered": float(found.voxels.sum() / max(1, domain.num_voxels)),
        "objects": int(found.num_parts.sum()),
        "pairs": {
            "met": found.met,
            "best": found.best,
            "joined": found.joined,
        },
        "across": int((found.num_pieces > 1).sum()),
        "too_small": {
            "segments": found.crumbs[0],
            "voxels": found.crumbs[1],
            "min_voxels": pieces.min_voxels,
        },
        "sizes": {
            f"1e{decade}": int(count)
            for decade, count in enumerate(sizes)
            if count
        },
        "largest": _listed(found, found.voxels),
        "suspicious": _listed(found, np.where(extra > 0, extra, 0)),
    }


def _listed(found: GlobalIds, by: np.ndarray) -> list[dict[str, int]]:
    """Of the segments with the largest values, those above 0."""
    order = np.lexsort((np.arange(len(by)), -by))[:_SHOWN]
    return [
        {
            "id": int(segment),
            "voxels": int(found.voxels[segment]),
            "pieces": int(found.num_pieces[segment]),
            "parts": int(found.num_parts[segment]),
        }
        for segment in order
        if by[segment] > 0
    ]


def as_text(told: dict[str, Any]) -> list[str]:
    """The report in a few lines."""
    pairs, suspicious = told["pairs"], told["suspicious"]
    lines = [
        f"{told['pieces']} subvolumes, {told['objects']} objects -> "
        f"{told['segments']} segments, {told['across']} of them in more than "
        f"one; {100 * told['covered']:.1f} % of the voxels.",
        f"Pairs in overlaps: {pairs['met']} met, {pairs['best']} were each "
        f"other's best, {pairs['joined']} were joined.",
    ]
    if told["missing"]:
        lines.append(
            f"{len(told['missing'])} subvolumes are missing: there, all is 0."
        )
    small = told["too_small"]
    if small["segments"]:
        lines.append(
            f"Left out: {small['segments']} segments, {small['voxels']} "
            f"voxels, for they have fewer than {small['min_voxels']} "
            f"(run_inference's --min_segment_size)."
        )
    if suspicious:
        shown = ", ".join(
            f"{one['id']} ({one['parts']} parts in {one['pieces']} "
            f"subvolumes, {one['voxels']} voxels)"
            for one in suspicious[:5]
        )
        lines.append(
            f"Look at {shown}: objects of one subvolume were joined by way of "
            f"others."
        )
    return lines
