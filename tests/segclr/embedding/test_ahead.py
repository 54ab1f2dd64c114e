"""Ahead: in order, beside what uses it, never too many, errors in turn."""

import threading
import time

import pytest

from segclr.embedding import ahead


def test_in_order_and_no_more_than_three():
    made, used = [], []

    def make(number):
        made.append(number)
        assert len(made) - len(used) <= 3
        return -number

    for found in ahead.Ahead(make, range(20)):
        time.sleep(0.001)
        used.append(found)
    assert used == [-n for n in range(20)]


def test_beside_its_use():
    """What follows is made while the first is in use."""
    second = threading.Event()

    def make(number):
        if number == 1:
            second.set()
        return number

    things = iter(ahead.Ahead(make, range(2)))
    assert next(things) == 0
    assert second.wait(10)
    assert list(things) == [1]


def test_time_waited():
    slow = ahead.Ahead(lambda _: time.sleep(0.1), range(5))
    list(slow)
    assert slow.waited > 0.4
    beside = ahead.Ahead(lambda _: time.sleep(0.1), range(5))
    for _ in beside:
        time.sleep(0.2)
    assert beside.waited < 0.4


def test_errors():
    def make(number):
        if number == 2:
            raise ValueError("two")
        return number

    seen = []
    with pytest.raises(ValueError, match="two"):
        seen += ahead.Ahead(make, range(100))
    found = []
    with pytest.raises(ValueError, match="two"):
        for one in ahead.Ahead(make, range(100)):
            found.append(one)
    assert found == [0, 1]


def test_left_early():
    threads = threading.active_count()
    for _ in ahead.Ahead(lambda number: number, range(100)):
        break
    deadline = time.monotonic() + 10
    while threading.active_count() > threads:
        assert time.monotonic() < deadline
        time.sleep(0.01)
