"""Timing: what the clock says, worked out by hand."""

import json
import types

import pytest

from ffn_tf.inference import timing


class Time:
    """A clock that stands still until it is told to go on."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)


@pytest.fixture
def time(monkeypatch):
    return Time(monkeypatch)


def attempt(folder, time, name=""):
    """Set-up 3 s, reading 2, seeding 1, saving 4 in two goes, network 5."""
    clock = timing.Clock(folder, name)
    time.now += 3
    engine = types.SimpleNamespace(steps=7, seconds=5.0)
    clock.start(engine)
    for stage, seconds in (
        ("saving", 1),
        ("reading", 2),
        ("seeding", 1),
        ("saving", 3),
    ):
        time.now += 0.5
        with clock.during(stage):
            time.now += seconds
    time.now += 6
    return clock


STAGES = {
    "set-up": 3,
    "reading": 2,
    "seeding": 1,
    "network": 5,
    "host": 3,
    "saving": 4,
}


def test_stages(tmp_path, time):
    clock = attempt(tmp_path, time)
    found = clock.save()
    assert (found.steps, found.seconds) == (7, 15)
    assert found.stages() == STAGES
    assert clock.total() == timing.read(tmp_path) == found
    assert 10**7 < found.peak_memory_bytes < 10**12


def test_attempts_and_workers_add_up(tmp_path, time):
    first = attempt(tmp_path, time, "a").save()
    clock = attempt(tmp_path, time, "a")
    assert clock.total().seconds == 30
    clock.save()
    attempt(tmp_path, time, "b").save()
    found = timing.read(tmp_path)
    assert found.stages() == {name: 3 * s for name, s in STAGES.items()}
    # Not a sum.
    assert found.peak_memory_bytes < 2 * first.peak_memory_bytes
    since = found.since(first)
    assert since.stages() == {name: 2 * s for name, s in STAGES.items()}
    assert since.peak_memory_bytes == found.peak_memory_bytes


def test_a_stage_that_fails_counts(tmp_path, time):
    clock = attempt(tmp_path, time)
    with pytest.raises(OSError), clock.during("saving"):
        time.now += 10
        raise OSError
    assert clock.total().stages()["saving"] == 14


def test_files_of_before(tmp_path):
    """They know no stages: what is not network is host."""
    old = {
        "steps": 9,
        "seconds": 30.0,
        "network_seconds": 20.0,
        "setup_seconds": 1.0,
    }
    (tmp_path / "timing.json").write_text(json.dumps(old))
    found = timing.read(tmp_path)
    assert found.stages()["host"] == 10
    assert found.peak_memory_bytes == 0


def test_of_one_shard_and_its_workers(tmp_path):
    for steps, name in enumerate(
        ["shard-1-of-2", "shard-1-of-2-worker-3", "shard-1-of-20"], start=1
    ):
        path = tmp_path / f"timing-{name}.json"
        path.write_text(json.dumps({"steps": 10**steps}))
    assert timing.read(tmp_path, "shard-1-of-2").steps == 110
    assert timing.read(tmp_path).steps == 1110
