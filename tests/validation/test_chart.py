"""The chart: points where they belong, in their colours."""

import numpy as np
import pytest

from ffn_tf.validation import chart, record

BLACK, BLUE, RED = (24, 24, 28), (40, 120, 250), (232, 48, 40)


def scores(split, merge, coverage, arand, **more):
    return record.Scores(coverage, split, merge, arand, 3, 1.5, 4.0, **more)


def at(picture, x, y):
    return tuple(np.asarray(picture)[round(y), round(x)])


# Panels are 240 pixels high from 30 and 340 on; steps go from x = 70 to 880.
def test_points_are_where_they_belong():
    found = [scores(3, 1, 0.25, 0.75), scores(1, 0.5, 1.0, 0.125)]
    picture = chart.draw([1000, 3000], found)
    assert picture.size == (900, 620)
    # VOI: the top is 4, that of nothing.
    assert at(picture, 70, 30) == BLACK  # 3 + 1
    assert at(picture, 70, 30 + 240 / 4) == BLUE
    assert at(picture, 70, 30 + 240 * 3 / 4) == RED
    assert at(picture, 880, 30 + 240 * 5 / 8) == BLACK
    assert at(picture, 880, 30 + 240 * 3 / 4) == BLUE
    # Shares: the top is 1.
    assert at(picture, 70, 340 + 240 * 3 / 4) == BLACK
    assert at(picture, 70, 340 + 240 / 4) == BLUE
    assert at(picture, 880, 340) == BLACK
    # A line between them.
    assert at(picture, 475, 340 + 240 * 3 / 8) == BLACK


def test_the_best_is_marked():
    found = [scores(3, 1, 0.2, 0.5), scores(1, 0, 0.2, 0.5)] * 2
    picture = chart.draw([0, 10, 20, 30], found)
    grey = (205, 205, 212)
    assert at(picture, 70 + 270, 45) == grey
    assert at(picture, 70 + 540, 45) == (255, 255, 255)


@pytest.mark.parametrize("length", [1, 2])
def test_run_length_only_where_all_have_one(length):
    runs = [{"normalised_erl": 0.5}, {}][:length]
    found = [scores(1, 1, 0.9, 0.1, **run) for run in runs]
    picture = chart.draw(list(range(length)), found)
    x = 475 if length == 1 else 70
    assert (at(picture, x, 340 + 120) == RED) == (length == 1)
