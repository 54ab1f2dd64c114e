"""The progress line, on canvases that only count."""

import time
import types

import pytest

from ffn_tf import model, volume
from ffn_tf.inference import progress as progress_lib

VIEW = model.FieldOfView((33, 33, 33), (8, 8, 8))


def canvas(steps, tried, seeds=1000):
    return types.SimpleNamespace(
        counters={"steps": steps, "voxels-segmented": 1000 * steps},
        share_tried=tried / seeds,
        origins=range(3),
    )


@pytest.fixture
def clock(monkeypatch):
    """A clock to set."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_expected_steps():
    """Within 30 % of what FIB-25 took."""
    for size, took in ((80, 294), (250, 25709)):
        box = volume.Box.from_shape((size,) * 3)
        found = progress_lib.expected_steps([box], VIEW, VIEW.deltas)
        assert found == pytest.approx(took, rel=0.3)
    box = volume.Box.from_shape((130, 130, 130))
    found = progress_lib.expected_steps([box], VIEW, (12, 12, 12), True)
    assert found == pytest.approx(998, rel=0.3)


def test_a_fresh_run(clock, capfd):
    progress = progress_lib.Progress(num_canvases=1, steps=1000)
    clock[0] = 61
    progress.update([canvas(steps=250, tried=10)], 250)
    line = capfd.readouterr().err
    assert " 25 %  4.1 FOVs/s  0.25 Mvx in 3 segments" in line
    assert "01:01 gone, 03:03 left" in line


def test_a_resumed_run(clock, capfd):
    """Half was done before; the rate is that of this attempt."""
    progress = progress_lib.Progress(num_canvases=1, steps=1000)
    clock[0] = 100
    progress.update([canvas(steps=600, tried=10)], 100)
    line = capfd.readouterr().err
    assert " 60 %  1.0 FOVs/s" in line
    assert "01:40 gone, 06:40 left" in line


def test_the_seeds_tried_are_a_lower_bound(clock, capfd):
    progress = progress_lib.Progress(num_canvases=2, steps=1000)
    progress.finished(100, 0, 0)
    clock[0] = 300
    progress.update([canvas(steps=200, tried=500)], 300)
    line = capfd.readouterr().err
    assert " 75 %  1/2  1.0 FOVs/s  0.20 Mvx in 3 segments" in line
    assert "05:00 gone, 01:40 left" in line


def test_of_other_processes_only_what_is_finished_is_known(clock, capfd):
    progress = progress_lib.Progress(num_canvases=12, steps=9000)
    for _ in range(3):
        progress.finished(100, 2, 1_000_000)
    progress.failed()
    clock[0] = 60
    progress.update()
    line = capfd.readouterr().err
    assert " 25 %  3/12, 1 failed  5.0 FOVs/s  3.00 Mvx in 6 segments" in line
    assert "01:00 gone, 03:00 left" in line


def test_a_line_each_half_minute(clock, capfd):
    progress = progress_lib.Progress(num_canvases=1, steps=10)
    for clock[0] in (1, 29, 30, 59, 60):
        progress.update([canvas(steps=1, tried=0)], 1)
    assert len(capfd.readouterr().err.splitlines()) == 2
