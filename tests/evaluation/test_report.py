"""The report: what it says, and that it is valid whatever was found."""

import dataclasses
import json

import numpy as np
from PIL import Image
import pytest

from ffn_tf import evaluation, volume
from ffn_tf.evaluation import report

TRUTH = np.array([[[1, 1, 1, 1, 1, 2, 2, 0]]], np.uint64)
SEGMENTATION = np.array([[[5, 5, 5, 6, 0, 7, 5, 7]]], np.uint64)


def compare(segmentation=SEGMENTATION, **options):
    return evaluation.compare(evaluation.count(TRUTH, segmentation), **options)


def context(truth_size=(1, 1, 8)):
    return report.Context(
        inputs={
            "truth": report.Input(
                "t.npy", volume.Box.from_size((0, 0, 0), truth_size), (40, 4, 4)
            ),
            "segmentation": report.Input(
                "s.h5:x", volume.Box.from_size((0, 0, 0), (1, 1, 8))
            ),
        },
        box=volume.Box.from_size((0, 0, 0), (1, 1, 8)),
        voxel_size_nm=(40, 4, 4),
        made_by={"program": "p", "code_version": "v", "options": {}},
    )


def test_json_has_both_conventions_and_the_headline():
    found = compare()

    written = json.loads(json.dumps(report.as_json(found, context())))

    assert written["headline"] == {
        "coverage": 6 / 7,
        "voi_split": found.both.voi_split,
        "voi_merge": found.both.voi_merge,
        "adapted_rand_error": found.both.adapted_rand_error,
    }
    assert written["both_nonzero"] == vars(found.both)
    assert written["truth_nonzero"] == vars(found.truth)
    assert written["both_nonzero"]["voxels"] == 6
    assert written["truth_nonzero"]["voxels"] == 7
    assert written["splits"][0]["parts"] == [[5, 3], [6, 1]]
    assert written["splits"][1]["parts"] == [[5, 1], [7, 1]]
    assert written["merges"][0]["id"] == 5
    assert written["missed"] == [{"id": 1, "voxels": 5, "missed": 1}]
    assert written["compared"] == {
        "start_zyx": [0, 0, 0],
        "size_zyx": [1, 1, 8],
        "voxel_size_nm_zyx": [40, 4, 4],
        "left_out": {"truth": 0, "segmentation": 0},
    }
    assert written["inputs"]["truth"]["address"] == "t.npy"
    assert written["inputs"]["truth"]["voxel_size_nm_zyx"] == [40, 4, 4]
    assert written["inputs"]["segmentation"]["voxel_size_nm_zyx"] is None


def test_markdown_names_the_scores_and_the_offenders():
    text = report.as_markdown(compare(num_parts=1), context())

    assert "**Coverage 0.8571**" in text
    assert "| Voxels | 6 | 7 |" in text
    assert "| 1 | 4 | 1 | 0.5409 | 5 (3) · 1 more (1) |" in text
    assert "| 1 | 5 | 1 | 20.0% |" in text
    assert "(slices.png)" in text
    assert "Only the voxels in both" not in text


def test_markdown_says_what_was_left_out():
    text = report.as_markdown(compare(), context(truth_size=(2, 1, 8)))
    assert "8 voxels of the truth and 0 of the segmentation lie" in text


def test_text_is_one_table_with_the_headline_first():
    lines = report.as_text(compare(), context()).splitlines()
    assert [line.split() for line in lines[1:6]] == [
        ["Coverage", "0.8571"],
        ["VOI", "split", "(bits)", "0.8742", "1.2650"],
        ["VOI", "merge", "(bits)", "0.5409", "0.4636"],
        ["VOI", "split", "+", "merge", "1.4150", "1.7286"],
        ["Adapted", "Rand", "error", "0.5385", "0.6471"],
    ]
    # One under the other, below their headings.
    ends = {line.index(line.split()[-2]) for line in lines[2:6]}
    assert len(ends) == 1
    assert max(len(line) for line in lines) <= 80


def test_text_says_what_was_left_out():
    assert "Only the voxels" not in report.as_text(compare(), context())
    text = report.as_text(compare(), context(truth_size=(2, 1, 8)))
    assert text.endswith("lie outside the other.")
    assert max(len(line) for line in text.splitlines()) <= 80


def test_an_unknown_voxel_size_is_null():
    unknown = dataclasses.replace(context(), voxel_size_nm=(1.0, 1.0, 1.0))
    written = report.as_json(compare(), unknown)
    assert written["compared"]["voxel_size_nm_zyx"] is None


def test_nothing_segmented_is_reported_as_undefined(tmp_path):
    found = compare(np.zeros_like(TRUTH))

    report.write(tmp_path, found, context())

    written = json.loads((tmp_path / "report.json").read_text())
    assert written["headline"] == {
        "coverage": 0,
        "voi_split": None,
        "voi_merge": None,
        "adapted_rand_error": None,
    }
    assert written["both_nonzero"] is None
    text = (tmp_path / "report.md").read_text()
    assert "| VOI split (bits) | undefined | 0.0000 |" in text
    assert "None." in text


def test_three_whole_files(tmp_path):
    folder = tmp_path / "new" / "folder"
    report.write(folder, compare(), context())
    report.write_picture(folder, Image.new("RGB", (3, 2)))
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.json",
        "report.md",
        "slices.png",
    ]
    with Image.open(folder / "slices.png") as picture:
        assert picture.size == (3, 2)


def test_an_interrupted_rerun_leaves_no_report_of_the_first(
    tmp_path, monkeypatch
):
    report.write(tmp_path, compare(), context())
    report.write_picture(tmp_path, Image.new("RGB", (2, 2)))

    def fail(*unused):
        raise OSError("No space left on device")

    monkeypatch.setattr(volume.files, "write_text", fail)
    with pytest.raises(OSError, match="No space"):
        report.write(tmp_path, compare(), context())
    assert not list(tmp_path.iterdir())
