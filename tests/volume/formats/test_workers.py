"""Boxes that are read by threads, until time is up."""

import threading
import time

import numpy as np
import pytest

from ffn_tf.volume import box, failures
from ffn_tf.volume.formats import workers

BOXES = [box.Box((n, 0, 0), (n + 1, 2, 3)) for n in range(20)]


def voxels(asked):
    return np.full(asked.size, asked.start[0])


def test_each_box_in_its_place_and_few_at_a_time():
    running, most = [], []

    def read(asked):
        running.append(asked)
        most.append(len(running))
        time.sleep(0.01 if asked.start[0] % 2 else 0.02)
        running.remove(asked)
        return voxels(asked)

    for found, asked in zip(workers.read_many("em", read, BOXES, None), BOXES):
        np.testing.assert_array_equal(found, voxels(asked))
    assert 2 <= max(most) <= 8
    assert workers.read_many("em", read, [], None) == []


def test_those_that_fail_are_named():
    def read(asked):
        if asked == BOXES[3]:
            raise failures.CorruptError("em", asked, "why.")
        return voxels(asked)

    with pytest.raises(failures.ReadsFailed, match="1 of 20") as caught:
        workers.read_many("em", read, BOXES, 100)
    assert isinstance(caught.value.outcomes[3], failures.CorruptError)

    def mistaken(asked):
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        workers.read_many("em", mistaken, BOXES, None)


def test_what_is_late_is_named_and_the_rest_not_begun():
    release, asked_for = threading.Event(), []

    def read(asked):
        asked_for.append(asked)
        if asked != BOXES[0]:
            release.wait()
        return voxels(asked)

    with pytest.raises(failures.OverdueReads, match="19 of 20") as caught:
        workers.read_many("em", read, BOXES, 0.2)
    release.set()
    there, *late = caught.value.outcomes
    np.testing.assert_array_equal(there, voxels(BOXES[0]))
    for error, asked in zip(late, BOXES[1:]):
        assert isinstance(error, failures.OverdueError) and error.box == asked
    time.sleep(0.1)
    assert len(asked_for) == 9
