"""What bench_volumes.py counts with: medians, bars, names, decibels."""

import numpy as np
import pytest
from volumes import claims, cutouts, exabyte, storage, turns, workplace, writers

from ffn_tf import volume

Box = volume.Box


class Clock:
    """Time passes when somebody works."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def perf_counter(self):
        return self.now

    def side(self, name, count, *seconds):
        """A side that takes `seconds` in turn, and a long time to prepare."""
        left = list(seconds)

        def work():
            self.now += left.pop(0)

        def prepare():
            self.now += 1000.0
            self.order.append(name)
            return work

        return turns.Side(prepare, count)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(turns.time, "perf_counter", clock.perf_counter)
    return clock


def test_sides_take_turns(clock):
    sides = {
        "a": clock.side("a", 10, 1, 2, 9),
        "b": clock.side("b", 30, 4, 3, 5),
    }
    times = turns.taken(sides, 3)
    assert "".join(clock.order) == "abbaab"
    assert times["a"].seconds == (1, 2, 9)  # Without the preparation.
    assert times["a"].median == 2
    assert times["a"].rate == 5
    assert times["b"].rate == 7.5
    assert turns.fastest(times, ["a", "b"]) == "b"
    # By pairs 4, 3/2 and 5/9; of the medians, 4/2.
    assert turns.excess(times["b"], times["a"]) == 0.5


def test_bars_of_the_issue():
    assert claims.KEYS == (
        "http_vs_cloudvolume_33",
        "http_vs_cloudvolume_49",
        "http_vs_cloudvolume_129",
        "http_vs_sync_33",
        "disk_vs_cloudvolume",
        "disk_cached_vs_cloudvolume",
        "disk_vs_h5py",
        "overhead",
        "tfdata_http_speedup",
        "tfdata_local_speedup",
        "tfdata_cached_share",
        "labels_ratio_fib25",
        "labels_ratio_pinky40",
        "disk_cache_speedup",
        "disk_cache_hit_rate",
        "exa_open_ms",
        "exa_rss_mb",
        "lost_voxels",
    )


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("http_vs_cloudvolume_129", 6.0, True),
        ("http_vs_cloudvolume_129", 5.99, False),
        ("overhead", 0.05, True),
        ("overhead", 0.051, False),
        ("lost_voxels", 0, True),
        ("lost_voxels", 1, False),
        ("exa_open_ms", 0.3, True),
        ("exa_open_ms", 10.5, False),
    ],
)
def test_whether_a_bar_is_met(key, value, expected):
    assert claims.is_met(key, value) is expected


def test_what_grows_with_the_domain():
    small = {"open_ms": 0.2, "view_ms": 2.0, "plan_ms": 1.0, "rss_mb": -4.0}
    assert exabyte.grown(small, small) == []
    noise = {"open_ms": 9.9, "view_ms": 5.9, "plan_ms": 1.9, "rss_mb": 19.0}
    assert exabyte.grown(small, noise) == []
    more = {"open_ms": 11, "view_ms": 12.1, "plan_ms": 12, "rss_mb": 21.0}
    assert exabyte.grown(small, more) == list(more)


def test_the_last_line():
    line = claims.line({"lost_voxels": 0, "overhead": 0.012345})
    assert tuple(line) == claims.KEYS
    assert line["overhead"] == 0.0123
    assert line["lost_voxels"] == 0
    assert line["exa_open_ms"] is None
    with pytest.raises(KeyError, match="disk_speed"):
        claims.line({"disk_speed": 1.0})


def test_the_table(capsys):
    claims.print_table({"overhead": 0.2, "disk_vs_h5py": 31.5})
    lines = capsys.readouterr().out.splitlines()
    (overhead,) = [text for text in lines if "overhead" in text]
    assert "0.2" in overhead and "NOT MET" in overhead
    (h5py,) = [text for text in lines if "disk_vs_h5py" in text]
    assert "31.5" in h5py and " met " in h5py
    (missing,) = [text for text in lines if "lost_voxels" in text]
    assert "not measured" in missing


def test_names_of_chunks_are_those_of_the_volume(tmp_path):
    """Each once, x first, the last ones of an axis cut."""
    domain = Box.from_shape((80, 80, 80))
    info = volume.VolumeInfo(domain, np.uint8)
    boxes = [Box((0, 10, 60), (20, 70, 70)), Box((1, 1, 65), (9, 9, 79))]
    with volume.create(f"precomputed://{tmp_path}/em", info) as target:
        for box in boxes:
            target.write(box, np.ones(box.size, np.uint8))
    (folder,) = [p for p in (tmp_path / "em").iterdir() if p.is_dir()]
    there = sorted(path.name for path in folder.iterdir())
    names = cutouts.chunk_names(boxes, 80)
    assert sorted(names) == there
    assert "64-80_0-64_0-64" in names


def test_boxes_are_inside_and_the_same_each_time():
    place = workplace.Workplace(server=None, quick=True)
    boxes = place.boxes(49, 200, 64)
    assert boxes == place.boxes(49, 200, 64)
    domain = Box.from_shape((64, 64, 64))
    assert all(domain.contains(box) for box in boxes)
    assert {box.start[1] for box in boxes} == set(range(16))


def test_decibels():
    voxels = np.full((3, 4, 5), 100, np.uint8)
    assert storage._psnr(voxels, voxels - 5) == pytest.approx(34.151, abs=1e-3)


def test_sizes_of_folders(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "info").write_bytes(bytes(7))
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(30))
    assert workplace.size_of(tmp_path) == 37


def test_voxels_of_writers_are_all_different():
    found = writers.voxels(2)
    assert found.shape == (4, 32, 32)
    assert found.all()
    assert np.unique(found).size == found.size
