"""Proposals: the best, apart from each other, and what a cut leaves."""

import numpy as np

from segclr.merges import proposals


def test_the_best_apart_from_each_other():
    score = np.array([1, 5, 4, np.nan, 3, 2])
    middle = np.array([0, 10, 11, 50, 30, 12])[:, None] * np.ones((1, 3))
    segment = np.array([1, 1, 1, 1, 1, 2], np.uint64)
    found = proposals.best(score, middle, segment, 8, most=10)
    assert found.tolist() == [1, 4, 5, 0]
    assert proposals.best(score, middle, segment, 8, most=2).tolist() == [1, 4]
    near = proposals.best(score, middle, segment, 1, most=10)
    assert near.tolist() == [1, 2, 4, 5, 0]


def test_cuts():
    # Two segments: 0-1-2-3, with 4 on 1; and 5-6.
    edges = np.array([[0, 1], [5, 6], [1, 2], [2, 3], [1, 4]])
    assert proposals.cut(edges, 0, 5, 2) == (3, 2)
    assert proposals.cut(edges, 0, 5, 4) == (4, 1)
    assert proposals.cut(edges, 5, 7, 1) == (1, 1)


def test_the_file():
    one = proposals.Proposal(
        7, 2**63, 1.25, np.nan, "", "", (1.0, 2.0, 3.0), (4, 5), (6, 7)
    )
    lines = proposals.as_csv([one]).splitlines()
    assert lines[0] == ",".join(proposals.COLUMNS)
    assert lines[1] == f"1,{2**63},1.2500,,,,1.0,2.0,3.0,4,5,6,7"
