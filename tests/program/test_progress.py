"""The progress of a long program, by a clock that is set."""

import io
import sys
import types

import pytest

from ffn_tf import program
from ffn_tf.program import progress as progress_lib


@pytest.fixture
def clock(monkeypatch):
    """clock.now, to set."""
    found = types.SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress_lib.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def said(monkeypatch):
    """said(is_terminal): standard error from now on."""

    def change(is_terminal):
        stream = io.StringIO()
        stream.isatty = lambda: is_terminal
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return change


def test_a_log_has_a_line_early_and_each_half_minute(clock, said):
    log = said(is_terminal=False)
    with program.Progress("Copying", "voxels") as progress:
        for seconds in (4, 5, 6, 30, 35, 36, 64, 100):
            clock.now = 1000 + seconds
            progress.update(1000 + 10 * seconds, 4000, before=1000)
    assert log.getvalue().splitlines() == [
        "Copying:  26 %  1050 of 4000 voxels  10.0/s  00:05 gone, 04:55 left",
        "Copying:  34 %  1350 of 4000 voxels  10.0/s  00:35 gone, 04:25 left",
        "Copying:  50 %  2000 of 4000 voxels  10.0/s  01:40 gone, 03:20 left",
    ]


def test_a_terminal_has_one_line_that_ends(clock, said):
    terminal = said(is_terminal=True)
    with program.Progress("Copying", "voxels") as progress:
        for clock.now in (1000.5, 1001, 1001.5, 1002):
            progress.update(int(clock.now - 1000) * 10 + 10, 400)
    text = terminal.getvalue()
    assert text.count("\r") == 2
    assert text.rstrip(" \n").endswith("00:02 gone, 00:24 left")
    assert text.endswith(" \n") and text.count("\n") == 1


def test_a_line_ends_however_it_was_shown(clock, said):
    terminal = said(is_terminal=True)
    line = progress_lib.Line()
    line.show("half")
    line.end()
    line.end()
    assert terminal.getvalue().count("\n") == 1
    line.show("all")
    line.end()
    assert terminal.getvalue().endswith(" \n")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_is_soon_done_says_nothing(clock, said, is_terminal):
    stream = said(is_terminal)
    assert list(program.watched("abc", 3, "Reading", "letters")) == [
        "a",
        "b",
        "c",
    ]
    assert stream.getvalue() == ""


def test_what_is_watched_counts_when_it_is_done(clock, said):
    log = said(is_terminal=False)
    for _ in program.watched("abcd", 4, "Reading", "letters"):
        clock.now += 45
    assert [line[:31] for line in log.getvalue().splitlines()] == [
        "Reading:  25 %  1 of 4 letters ",
        "Reading:  50 %  2 of 4 letters ",
        "Reading:  75 %  3 of 4 letters ",
        "Reading: 100 %  4 of 4 letters ",
    ]


def test_nothing_done_leaves_the_rest_unknown(clock, said):
    log = said(is_terminal=False)
    with program.Progress("Copying", "voxels") as progress:
        clock.now += 60
        progress.update(1000, 4000, before=1000)
    assert log.getvalue().endswith("0/s  01:00 gone, ? left\n")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.00294, "0.0029"),
        (0.5, "0.5"),
        (12.3, "12.3"),
        (9999, "9999"),
        (10_000, "10.0 k"),
        (999_960, "1.0 M"),
        (3_884_000_000_000_000, "3.9 P"),
    ],
)
def test_short_numbers(number, text):
    assert progress_lib.short(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (3599.9, "59:59"), (3600, "1:00:00"), (4e5, "111:06:40")],
)
def test_clock(seconds, text):
    assert progress_lib.clock(seconds) == text
