"""Scores on skeletons, as JSON, as text and as Markdown."""

import json

import numpy as np
import pytest

from ffn_tf import skeleton
from ffn_tf.evaluation import skeleton_metrics, skeleton_report


@pytest.fixture
def scores():
    """One of 3,000 nm, split and omitted; two of 1,000 nm, merged; a right."""

    def line(id_, *x):
        vertices = np.array([[0, 0, place] for place in x], np.float32)
        number = np.arange(len(x) - 1)
        return skeleton.Skeleton(
            id_, vertices, np.stack([number, number + 1], axis=1)
        )

    skeletons = [
        line(2**60 + 1, 0, 1500, 2000, 2700, 3000),
        line(7, 0, 1000),
        line(8, 0, 1000),
        line(9, 0, 500),
    ]
    labels = np.array([1, 1, 2, 2, 0, 3, 3, 3, 3, 4, 4])
    return skeleton_metrics.score(skeletons, labels, 2)


def test_json(scores):
    found = json.loads(json.dumps(skeleton_report.as_json(scores)))

    rows = found.pop("rows")
    assert found == pytest.approx(
        {
            "num": 4,
            "length_nm": 5500,
            "left_out_nm": 0,
            "merge_threshold": 2,
            "erl_nm": (1500**2 + 700**2 + 500**2) / 5500,
            "best_erl_nm": (3000**2 + 2 * 1000**2 + 500**2) / 5500,
            "normalised_erl": (1500**2 + 700**2 + 500**2) / 11_250_000,
            "correct": 2700 / 5500,
            "split": 500 / 5500,
            "merged": 2000 / 5500,
            "omitted": 300 / 5500,
            "merging_segments": 1,
        }
    )
    assert [row["id"] for row in rows] == [7, 8, 9, 2**60 + 1]
    assert rows[3] == {
        "id": 2**60 + 1,
        "length_nm": 3000,
        "erl_nm": pytest.approx((1500**2 + 700**2) / 3000),
        "contribution_nm": pytest.approx((1500**2 + 700**2) / 5500),
        "correct_nm": 2200,
        "split_nm": 500,
        "merged_nm": 0,
        "omitted_nm": 300,
        "splits": 1,
        "merges": 0,
    }
    assert rows[0]["merged_nm"] == 1000
    assert rows[0]["merges"] == 1


def test_headline(scores):
    assert skeleton_report.headline(scores) == {
        "erl_nm": scores.erl_nm,
        "normalised_erl": scores.normalised_erl,
        "edge_accuracy": scores.correct,
    }


def test_text(scores):
    assert skeleton_report.as_text(scores).splitlines() == [
        "Run length (ERL)   543.6 of at most 2,045.5 nm: 0.2658",
        "Skeleton length    correct 0.4909  split 0.0909  merged 0.3636  "
        "omitted 0.0545",
    ]


def test_markdown_has_the_worst_first(scores):
    text = "\n\n".join(skeleton_report.as_markdown(scores))

    assert "**Expected run length 543.6 nm** of at most 2,045.5" in text
    assert "4 skeletons, 5.5 µm.\n" in text
    assert "correct 49.09% · split 9.09% · merged 36.36%" in text
    assert "skeletons (with at least 2 nodes of each of two): 1." in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [
        f"| {2**60 + 1}",
        "| 7",
        "| 8",
    ]
    assert rows[0].endswith("| 3.00 | 1,138.2 | 0.91 | 1 | 0 | 10.0% |")


def test_markdown_of_perfection():
    one = skeleton.Skeleton(
        3, np.array([[0, 0, 0], [0, 0, 9.0]]), np.array([[0, 1]])
    )
    found = skeleton_metrics.score([one], np.array([5, 5]))
    text = "\n\n".join(skeleton_report.as_markdown(found))
    assert "All of them are right." in text
    assert "(with a node of each of two): 0." in text
