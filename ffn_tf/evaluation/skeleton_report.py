"""Scores on skeletons written down, as a part of the report (report.py).

In report.json, `headline` has erl_nm, normalised_erl and edge_accuracy (the
share of correct edges), and `skeletons` has

    num, length_nm, left_out_nm     what was scored, and what was not
    merge_threshold                 nodes of a skeleton that a merge takes
    erl_nm, best_erl_nm, normalised_erl
    correct, split, merged, omitted      shares of the length
    merging_segments                how many there are
    rows    for each skeleton: id, length_nm, erl_nm (its own),
            contribution_nm (to the ERL of all), correct_nm, split_nm,
            merged_nm, omitted_nm, splits (edges), merges (segments)

What the words mean is in skeleton_metrics.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ffn_tf.evaluation import skeleton_metrics

_WORST = 10
_SHARES = tuple(kind.name.lower() for kind in skeleton_metrics.Edge)


def headline(scores: skeleton_metrics.SkeletonScores) -> dict[str, float]:
    """The three numbers to rank segmentations by."""
    return {
        "erl_nm": scores.erl_nm,
        "normalised_erl": scores.normalised_erl,
        "edge_accuracy": scores.correct,
    }


def as_json(scores: skeleton_metrics.SkeletonScores) -> dict[str, Any]:
    """The content of `skeletons` in report.json."""
    rows = scores.rows
    columns = {
        "id": rows.ids,
        "length_nm": rows.lengths_nm.sum(axis=1),
        "erl_nm": rows.erl_nm,
        "contribution_nm": rows.contributions_nm,
        **{
            f"{name}_nm": rows.lengths_nm[:, k]
            for k, name in enumerate(_SHARES)
        },
        "splits": rows.splits,
        "merges": rows.merges,
    }
    values = zip(*(column.tolist() for column in columns.values()))
    return {
        "num": len(rows.ids),
        "length_nm": scores.length_nm,
        "left_out_nm": scores.left_out_nm,
        "merge_threshold": scores.merge_threshold,
        "erl_nm": scores.erl_nm,
        "best_erl_nm": scores.best_erl_nm,
        "normalised_erl": scores.normalised_erl,
        **{name: getattr(scores, name) for name in _SHARES},
        "merging_segments": scores.merging_segments,
        "rows": [dict(zip(columns, row)) for row in values],
    }


def as_text(scores: skeleton_metrics.SkeletonScores) -> str:
    """The scores as lines for a terminal."""
    shares = "  ".join(
        f"{name} {getattr(scores, name):.4f}" for name in _SHARES
    )
    lines = [
        f"Run length (ERL)   {scores.erl_nm:,.1f} of at most "
        f"{scores.best_erl_nm:,.1f} nm: {scores.normalised_erl:.4f}",
        f"Skeleton length    {shares}",
    ]
    return "\n".join(lines)


def as_markdown(scores: skeleton_metrics.SkeletonScores) -> list[str]:
    """The sections of report.md."""
    left_out = (
        f" {scores.left_out_nm / 1e3:,.1f} µm outside of the segmentation were "
        f"not scored."
        if scores.left_out_nm
        else ""
    )
    merge = (
        f"at least {scores.merge_threshold} nodes of each of two"
        if scores.merge_threshold > 1
        else "a node of each of two"
    )
    shares = " · ".join(
        f"{name} {getattr(scores, name):.2%}" for name in _SHARES
    )
    return [
        "## Skeletons",
        f"**Expected run length {scores.erl_nm:,.1f} nm** of at most "
        f"{scores.best_erl_nm:,.1f}: normalised {scores.normalised_erl:.4f}. "
        f"{len(scores.rows.ids):,} skeletons, {scores.length_nm / 1e3:,.1f} "
        f"µm.{left_out}",
        f"Of their length: {shares}.\n\nSegments that merge skeletons (with "
        f"{merge}): {scores.merging_segments:,}. All edges in them are merged.",
        _worst(scores),
    ]


def _worst(scores: skeleton_metrics.SkeletonScores) -> str:
    """The skeletons that cost the most of the expected run length."""
    rows = scores.rows
    whole = rows.lengths_nm.sum(axis=1)
    lost = whole**2 / scores.length_nm - rows.contributions_nm
    order = np.argsort(-lost, kind="stable")[:_WORST]
    lines = [
        "| Skeleton | Length (µm) | ERL lost (nm) | Its ERL (µm) | Splits "
        "| Merges | Omitted |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for k in order[lost[order] > 0]:
        omitted = rows.lengths_nm[k, skeleton_metrics.Edge.OMITTED] / whole[k]
        lines.append(
            f"| {rows.ids[k]} | {whole[k] / 1e3:,.2f} | {lost[k]:,.1f} "
            f"| {rows.erl_nm[k] / 1e3:,.2f} | {rows.splits[k]:,} "
            f"| {rows.merges[k]:,} | {omitted:.1%} |"
        )
    return "\n".join(lines) if len(lines) > 2 else "All of them are right."
