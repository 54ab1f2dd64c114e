"""What was assembled, for people."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import subvolumes

from ffn_tf.assembly import global_ids, summary
from ffn_tf.assembly import pieces as pieces_lib


def ids(voxels, pieces, parts, seeds):
    """Of segments whose boxes are all different."""
    count = len(voxels) + 1
    corners = np.arange(3 * count).reshape(count, 3)
    return global_ids.GlobalIds(
        [],
        np.array([0, *voxels]),
        np.stack([corners, corners + [40, 30, 20]], axis=1),
        np.array([[-1] * 3, *seeds]).reshape(-1, 3),
        np.array([0, *pieces]),
        np.array([0, *parts]),
        9,
        7,
        5,
    )


@pytest.fixture
def pieces(tmp_path):
    """6 x 5 x 9 voxels in two."""
    subvolumes.cut(tmp_path, np.ones((6, 5, 9), int), (6, 5, 6), (0, 0, 2))
    return pieces_lib.found(str(tmp_path))


FOUND = ids(
    [9, 10, 99, 17], [1, 2, 2, 1], [1, 2, 5, 2], [(7, 8, 9)] + 3 * [[-1] * 3]
)


def test_segments(tmp_path):
    summary.write_csv(FOUND, tmp_path / "segments.csv")
    text = (tmp_path / "segments.csv").read_text()
    assert text.splitlines() == [
        "id,voxels,start_z,start_y,start_x,end_z,end_y,end_x,"
        "seed_z,seed_y,seed_x,pieces,parts",
        "1,9,3,4,5,43,34,25,7,8,9,1,1",
        "2,10,6,7,8,46,37,28,,,,2,2",
        "3,99,9,10,11,49,40,31,,,,2,5",
        "4,17,12,13,14,52,43,34,,,,1,2",
    ]
    with open(tmp_path / "segments.csv") as file:
        assert [row["id"] for row in csv.DictReader(file)] == list("1234")


def test_report(pieces):
    told = summary.report(pieces, FOUND)
    assert json.loads(json.dumps(told)) == {
        "pieces": 2,
        "missing": [],
        "without_tissue": 0,
        "domain": {"start_zyx": [0, 0, 0], "size_zyx": [6, 5, 9]},
        "segments": 4,
        "voxels": 135,
        "covered": 135 / 270,
        "objects": 10,
        "pairs": {"met": 9, "best": 7, "joined": 5},
        "across": 2,
        "too_small": {"segments": 0, "voxels": 0, "min_voxels": 0},
        "sizes": {"1e0": 1, "1e1": 3},
        "largest": [
            {"id": 3, "voxels": 99, "pieces": 2, "parts": 5},
            {"id": 4, "voxels": 17, "pieces": 1, "parts": 2},
            {"id": 2, "voxels": 10, "pieces": 2, "parts": 2},
            {"id": 1, "voxels": 9, "pieces": 1, "parts": 1},
        ],
        "suspicious": [
            {"id": 3, "voxels": 99, "pieces": 2, "parts": 5},
            {"id": 4, "voxels": 17, "pieces": 1, "parts": 2},
        ],
    }
    assert summary.as_text(told) == [
        "2 subvolumes, 10 objects -> 4 segments, 2 of them in more than one; "
        "50.0 % of the voxels.",
        "Pairs in overlaps: 9 met, 7 were each other's best, 5 were joined.",
        "Look at 3 (5 parts in 2 subvolumes, 99 voxels), 4 (2 parts in 1 "
        "subvolumes, 17 voxels): objects of one subvolume were joined by way "
        "of others.",
    ]


def test_what_was_too_small_is_told(pieces):
    pieces = dataclasses.replace(pieces, min_voxels=50)
    found = dataclasses.replace(FOUND, crumbs=(3, 70))
    told = summary.as_text(summary.report(pieces, found))
    assert told[2] == (
        "Left out: 3 segments, 70 voxels, for they have fewer than 50 "
        "(run_inference's --min_segment_size)."
    )


def test_lists_are_short(pieces):
    many = ids(range(1, 31), [1] * 30, [2] * 30, [[-1] * 3] * 30)
    told = summary.report(pieces, many)
    assert [one["id"] for one in told["largest"]] == list(range(30, 10, -1))
    assert [one["id"] for one in told["suspicious"]] == list(range(1, 21))
    (*_, last) = summary.as_text(told)
    assert last.count("parts") == 5


@pytest.mark.parametrize("power", range(16))
def test_sizes_at_their_limits(pieces, power):
    around = [10**power - 1, 10**power, 10**power + 1]
    around = [n for n in around if n]
    told = summary.report(pieces, ids(around, *[[1] * len(around)] * 2, []))
    below = {f"1e{power - 1}": 1} if power else {}
    assert told["sizes"] == {**below, f"1e{power}": 2}


def test_nothing_was_found(pieces, tmp_path):
    nothing = ids([], [], [], [])
    told = summary.report(pieces, nothing)
    assert told["segments"] == told["voxels"] == told["across"] == 0
    assert told["sizes"] == {}
    assert told["largest"] == told["suspicious"] == []
    assert len(summary.as_text(told)) == 2
    summary.write_csv(nothing, tmp_path / "segments.csv")
    assert (tmp_path / "segments.csv").read_text().count("\n") == 1
