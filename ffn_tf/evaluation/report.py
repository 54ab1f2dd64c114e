"""A comparison written down: report.json, report.md and slices.png.

report.json has these keys; every length is in voxels unless it says nm:

    made_by      program, code_version, options
    inputs       truth, segmentation and image: address, start and size (zyx),
                 and the voxel_size_nm_zyx that it knows itself (or null)
    compared     start_zyx, size_zyx, voxel_size_nm_zyx of what was compared,
                 (null where unknown), and left_out: voxels of either volume
                 outside it
    headline     coverage; voi_split, voi_merge and adapted_rand_error over
                 voxels where both are not 0 (null if there is none)
    both_nonzero   the fields of overlap_metrics.Scores over the same voxels
    truth_nonzero  the same over all voxels with a truth, 0 being a segment
    splits, merges, missed   worst offenders, as in overlap_metrics
    skeletons    if there were any, and more in headline: skeleton_report.py

Each file appears whole or not at all, and older ones go first: what is there
is of one run. The picture is last, so whatever becomes of it, the scores stay.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
import pathlib
import textwrap
from typing import Any

from PIL import Image

from ffn_tf import volume
from ffn_tf.evaluation import (
    overlap_metrics,
    skeleton_metrics,
    skeleton_report,
)
from ffn_tf.volume import source

_SCORES = (
    ("VOI split (bits)", "voi_split"),
    ("VOI merge (bits)", "voi_merge"),
    ("VOI split + merge", "voi"),
    ("Adapted Rand error", "adapted_rand_error"),
    ("Rand precision", "rand_precision"),
    ("Rand recall", "rand_recall"),
    ("Bodies", "num_truth_ids"),
    ("Segments", "num_segments"),
    ("Voxels", "voxels"),
)


@dataclasses.dataclass(frozen=True)
class Input:
    """A volume that was compared."""

    address: str
    domain: volume.Box
    voxel_size_nm: source.Nanometres = source.UNKNOWN_VOXEL_SIZE

    @classmethod
    def of(cls, opened: volume.Volume) -> Input:
        return cls(opened.address, opened.domain, opened.voxel_size_nm)


@dataclasses.dataclass(frozen=True)
class Context:
    """What was compared, and by what.

    Attributes:
      inputs: by role: truth, segmentation and, if given, image.
      box: the voxels compared.
      voxel_size_nm: zyx; (1, 1, 1) where unknown.
      made_by: program, code version, options: JSON values.
    """

    inputs: dict[str, Input]
    box: volume.Box
    voxel_size_nm: tuple[float, float, float]
    made_by: dict[str, Any]

    @property
    def left_out(self) -> dict[str, int]:
        """Voxels of truth and segmentation outside of what was compared."""
        return {
            role: self.inputs[role].domain.num_voxels - self.box.num_voxels
            for role in ("truth", "segmentation")
        }


def write(
    folder: str | pathlib.Path,
    comparison: overlap_metrics.Comparison,
    context: Context,
    skeletons: skeleton_metrics.SkeletonScores | None = None,
) -> None:
    """Writes the two reports into `folder`, which is made if missing."""
    folder = pathlib.Path(folder)
    for name in ("report.json", "report.md", "slices.png"):
        (folder / name).unlink(missing_ok=True)
    volume.files.write_text(
        folder / "report.md", as_markdown(comparison, context, skeletons)
    )
    content = as_json(comparison, context, skeletons)
    text = json.dumps(content, indent=1, allow_nan=False)
    volume.files.write_text(folder / "report.json", text + "\n")


def write_picture(folder: str | pathlib.Path, slices: Image.Image) -> None:
    """Writes the picture beside the reports."""
    with volume.files.atomic_path(pathlib.Path(folder) / "slices.png") as path:
        slices.save(path, optimize=True)


def as_json(
    comparison: overlap_metrics.Comparison,
    context: Context,
    skeletons: skeleton_metrics.SkeletonScores | None = None,
) -> dict[str, Any]:
    """The content of report.json (see the module's docstring)."""
    both = comparison.both
    headline: dict[str, float | None] = {"coverage": comparison.coverage}
    for key in ("voi_split", "voi_merge", "adapted_rand_error"):
        headline[key] = getattr(both, key, None)
    found = dataclasses.asdict(comparison)
    written: dict[str, Any] = {
        "made_by": context.made_by,
        "inputs": {
            role: {
                "address": one.address,
                "start_zyx": one.domain.start,
                "size_zyx": one.domain.size,
                "voxel_size_nm_zyx": _if_known(one.voxel_size_nm),
            }
            for role, one in context.inputs.items()
        },
        "compared": {
            "start_zyx": context.box.start,
            "size_zyx": context.box.size,
            "voxel_size_nm_zyx": _if_known(context.voxel_size_nm),
            "left_out": context.left_out,
        },
        "headline": headline,
        "voxels": comparison.voxels,
        "truth_voxels": comparison.truth_voxels,
        "covered_voxels": comparison.covered_voxels,
        "both_nonzero": found["both"],
        "truth_nonzero": found["truth"],
        "splits": found["splits"],
        "merges": found["merges"],
        "missed": found["missed"],
    }
    if skeletons is not None:
        headline.update(skeleton_report.headline(skeletons))
        written["skeletons"] = skeleton_report.as_json(skeletons)
    return written


def _if_known(size_nm: source.Nanometres) -> source.Nanometres | None:
    return None if size_nm == source.UNKNOWN_VOXEL_SIZE else size_nm


def as_text(
    comparison: overlap_metrics.Comparison,
    context: Context,
    skeletons: skeleton_metrics.SkeletonScores | None = None,
) -> str:
    """The scores as a table for a terminal."""
    rows = [
        ("", "both non-zero", "truth non-zero"),
        ("Coverage", f"{comparison.coverage:.4f}", ""),
        *_score_rows(comparison),
    ]
    lines = [
        f"{name:19}{both:>16}{truth:>16}".rstrip() for name, both, truth in rows
    ]
    lines += textwrap.wrap(_left_out(context), 80)
    if skeletons is not None:
        lines.append(skeleton_report.as_text(skeletons))
    return "\n".join(lines)


def as_markdown(
    comparison: overlap_metrics.Comparison,
    context: Context,
    skeletons: skeleton_metrics.SkeletonScores | None = None,
) -> str:
    """The content of report.md."""
    scores = _markdown_table(
        ("", "both non-zero", "truth non-zero"),
        _score_rows(comparison),
        "lrr",
    )
    sections = [
        "# Segmentation against the truth",
        f"**Coverage {comparison.coverage:.4f}**: of "
        f"{comparison.truth_voxels:,} voxels with a truth, "
        f"{comparison.covered_voxels:,} have a segment.",
        scores,
        "Errors and VOI: lower is better, 0 is perfect. Splits raise VOI split "
        "and lower recall; merges raise VOI merge and lower precision.\n\n"
        "- **both non-zero** (the headline): only voxels where truth and "
        "segmentation are both not 0, so read it together with the "
        "coverage.\n"
        "- **truth non-zero**: all voxels with a truth; where the segmentation "
        "is 0 counts as one more segment (scikit-image's convention).",
        *([] if skeletons is None else skeleton_report.as_markdown(skeletons)),
        "## Slices",
        "![Slices: truth, segmentation and errors](slices.png)",
        "A segment has the colour of the body that it shares most voxels with: "
        "where truth and segmentation differ in colour, there is an error.",
        "## Worst splits",
        _offenders(comparison.splits, "Body", "Segments (voxels)"),
        "## Worst merges",
        _offenders(comparison.merges, "Segment", "Bodies (voxels)"),
        "## Most missed",
        _missed(comparison.missed),
        "## What was compared",
        _inputs(context),
    ]
    return "\n\n".join(sections) + "\n"


def _score_rows(
    comparison: overlap_metrics.Comparison,
) -> list[tuple[str, str, str]]:
    """(name, over both non-zero, over truth non-zero), formatted."""
    rows = []
    for name, field in _SCORES:
        cells = ["undefined", "undefined"]
        for place, scores in enumerate((comparison.both, comparison.truth)):
            if scores is not None:
                value = getattr(scores, field)
                is_count = isinstance(value, int)
                cells[place] = f"{value:,}" if is_count else f"{value:.4f}"
        rows.append((name, cells[0], cells[1]))
    return rows


def _offenders(
    offenders: tuple[overlap_metrics.Offender, ...], whole: str, parts: str
) -> str:
    if not offenders:
        return "None."
    rows = []
    for one in offenders:
        named = " · ".join(f"{part} ({n:,})" for part, n in one.parts)
        more = one.num_parts - len(one.parts)
        rest = one.voxels - sum(n for _, n in one.parts)
        rows.append(
            (
                str(one.id),
                f"{one.voxels:,}",
                f"{one.outside_largest:,}",
                f"{one.voi:.4f}",
                named + (f" · {more} more ({rest:,})" if more else ""),
            )
        )
    return _markdown_table(
        (whole, "Voxels", "Outside the largest part", "VOI (bits)", parts),
        rows,
        "lrrrl",
    )


def _missed(missed: tuple[overlap_metrics.Missed, ...]) -> str:
    if not missed:
        return "None."
    rows = [
        (
            str(one.id),
            f"{one.voxels:,}",
            f"{one.missed:,}",
            f"{one.missed / one.voxels:.1%}",
        )
        for one in missed
    ]
    return _markdown_table(
        ("Body", "Voxels", "Without a segment", "Share"), rows, "lrrr"
    )


def _inputs(context: Context) -> str:
    rows = [
        (role, f"`{one.address}`", str(one.domain))
        for role, one in context.inputs.items()
    ]
    rows.append(("compared", "where both are", str(context.box)))
    lines = [
        _markdown_table(("", "Address", "Box"), rows, "lll"),
        _left_out(context),
        f"Made by {context.made_by['code_version']}.",
    ]
    return "\n\n".join(filter(None, lines))


def _left_out(context: Context) -> str:
    """What of the volumes was not compared; empty if nothing."""
    left_out = context.left_out
    if not any(left_out.values()):
        return ""
    return (
        f"Compared is what both volumes hold: {left_out['truth']:,} voxels of "
        f"the truth and {left_out['segmentation']:,} of the segmentation lie "
        f"outside the other."
    )


def _markdown_table(
    heading: Sequence[str], rows: Sequence[Sequence[str]], alignment: str
) -> str:
    """A table; `alignment` has l or r for each column."""
    rules = [{"l": "---", "r": "---:"}[side] for side in alignment]
    lines = [heading, rules, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
