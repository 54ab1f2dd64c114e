"""Coordinates: the classes are balanced, and each voxel has its turn."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
import resource

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.sampling import coordinates

MARGIN = (1, 2, 3)


def _source(
    array: np.ndarray, name: str = "a", start: Sequence[int] = (0, 0, 0)
) -> coordinates.Source:
    found = volume.from_array(array, start=start)
    return coordinates.Source.within(name, found, MARGIN)


def _classes(seed: int, values: Sequence[int], shape: Sequence[int]):
    return np.random.default_rng(seed).choice(values, shape).astype(np.uint8)


def _drawn(
    sources: Sequence[coordinates.Source],
    plan: coordinates.Plan,
    seed: int = 0,
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate(list(coordinates.examples(sources, plan, rng)))


def test_balanced() -> None:
    one = _classes(0, [0, 1, 1, 1, 7, 255], (9, 12, 15))
    other = _classes(1, [0, 1, 1, 3], (8, 11, 13))
    sources = [
        _source(one, "one", (5, -6, 700)),
        _source(other, "other"),
    ]
    plan = coordinates.planned(sources)
    inner = [a[1:-1, 2:-2, 3:-3] for a in (one, other)]
    expected = {
        value: sum(int((a == value).sum()) for a in inner)
        for value in (0, 1, 3, 7)
    }
    assert plan.voxels == expected
    assert plan.most == expected[1]
    assert plan.num_examples == 4 * plan.most

    found = _drawn(sources, plan)
    assert len(found) == plan.num_examples
    centers = coordinates.centers_xyz(found, sources)
    times = [np.zeros(a.shape, int) for a in (one, other)]
    for index, source in enumerate(sources):
        start = source.partitions.domain.start
        mine = centers[found["volume"] == index]
        x, y, z = mine.T
        np.add.at(times[index], (z - start[0], y - start[1], x - start[2]), 1)
    for index, array in enumerate((one, other)):
        border = times[index].copy()
        border[1:-1, 2:-2, 3:-3] = 0
        assert not border.any()
        assert not times[index][array == 255].any()
    inner_times = [t[1:-1, 2:-2, 3:-3] for t in times]
    for value, count in expected.items():
        drawn = np.concatenate(
            [t[a == value] for t, a in zip(inner_times, inner)]
        )
        assert drawn.sum() == plan.most
        assert set(drawn.tolist()) <= {
            plan.most // count,
            -(-plan.most // count),
        }


def test_with_a_cap_each_voxel_is_as_likely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coordinates, "_BLOCK", (3, 4, 5))
    source = _source(_classes(2, [1, 1, 1, 2], (5, 8, 11)))
    plan = coordinates.planned([source], cap=20)
    assert plan.most == 20
    times = np.zeros(source.box.num_voxels)
    repeats = 3000
    for seed in range(repeats):
        found = _drawn([source], plan, seed)
        assert len(found) == 40
        np.add.at(times, found["voxel"].astype(int), 1)
    values = source.partitions.read(source.box).ravel()
    for value in (1, 2):
        mine = times[values == value] / repeats
        mean = 20 / plan.voxels[value]
        assert mine.mean() == pytest.approx(mean)
        # Five standard deviations of so many draws.
        assert abs(mine - mean).max() < 5 * np.sqrt(mean / repeats)


def test_beyond_what_numpy_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way of counting is as exact, and as fair on average."""
    monkeypatch.setattr(coordinates, "_HYPERGEOMETRIC", 0)
    monkeypatch.setattr(coordinates, "_BLOCK", (3, 4, 5))
    source = _source(_classes(2, [1, 2], (5, 8, 11)))
    plan = coordinates.planned([source], cap=20)
    times = np.zeros(source.box.num_voxels)
    for seed in range(1000):
        found = _drawn([source], plan, seed)
        assert len(found) == 40
        np.add.at(times, found["voxel"].astype(int), 1)
    values = source.partitions.read(source.box).ravel()
    mine = times[values == 1] / 1000
    mean = 20 / plan.voxels[1]
    assert abs(mine - mean).max() < 5 * np.sqrt(mean / 1000)


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(
    st.tuples(st.integers(3, 9), st.integers(5, 9), st.integers(7, 12)),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(1, 400),
)
def test_whatever_the_blocks(
    shape: tuple[int, int, int], block: tuple[int, int, int], cap: int
) -> None:
    source = _source(_classes(sum(shape), [0, 4, 4, 4, 9], shape))
    plan = coordinates.planned([source], cap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinates, "_BLOCK", block)
        found = _drawn([source], plan)
    values = source.partitions.read(source.box).ravel()
    drawn = values[found["voxel"].astype(int)]
    counts = dict(zip(*np.unique(drawn, return_counts=True)))
    assert counts == dict.fromkeys(plan.voxels, plan.most)


def test_a_rare_class_comes_in_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is in memory at a time does not grow with the examples."""
    array = np.zeros((9, 12, 15), np.uint8)
    array[4, 5, 6:8] = 1
    sources = [_source(array, start=(5, -6, 700))]
    plan = coordinates.planned(sources)
    whole = _drawn(sources, plan)
    monkeypatch.setattr(coordinates, "_SLICE", 100)
    rng = np.random.default_rng(0)
    parts = list(coordinates.examples(sources, plan, rng))
    assert max(map(len, parts)) == 100
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_buckets_keep_their_size(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be more than files that a process may open."""
    monkeypatch.setattr(coordinates, "_BUCKET", 4)
    rng = np.random.default_rng(1)
    buckets = coordinates.Buckets(tmp_path, 10_000, 2)
    found = np.zeros(5_000, coordinates._EXAMPLE)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limits[1]))
    try:
        buckets.fill(iter([found, found]), rng)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    sizes = [
        len(coordinates.shuffled(path, rng))
        for shard in range(2)
        for path in buckets.of_shard(shard)
    ]
    assert len(sizes) == 2500
    assert sum(sizes) == 10_000
    assert max(sizes) < 20  # Of 4 on average.


def test_buckets_keep_all_and_mix(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinates, "_BUCKET", 100)
    source = _source(_classes(3, [1, 2], (9, 12, 15)))
    plan = coordinates.planned([source])
    rng = np.random.default_rng(1)
    buckets = coordinates.Buckets(tmp_path, plan.num_examples, 3)
    drawing = np.random.default_rng(0)
    buckets.fill(coordinates.examples([source], plan, drawing), rng)
    found = [
        coordinates.shuffled(path, rng)
        for shard in range(3)
        for path in buckets.of_shard(shard)
    ]
    assert len(found) % 3 == 0
    assert len(found) >= 3
    mixed = np.concatenate(found)
    plain = _drawn([source], plan)
    assert sorted(mixed["voxel"]) == sorted(plain["voxel"])
    # Classes come one after another before, and not after.
    values = source.partitions.read(source.box).ravel()
    order = values[mixed["voxel"].astype(int)].astype(int)
    changes = (order[1:] != order[:-1]).mean()
    assert 0.4 < changes < 0.6


def test_what_cannot_be_drawn_from() -> None:
    with pytest.raises(ValueError, match="partitions are uint8"):
        _source(np.zeros((9, 9, 9), np.uint16))
    with pytest.raises(ValueError, match="leaves nothing of"):
        _source(np.zeros((9, 9, 6), np.uint8))
    excluded = _source(np.full((9, 9, 9), 255, np.uint8))
    with pytest.raises(ValueError, match="an empty partition"):
        coordinates.planned([excluded])
    with pytest.raises(ValueError, match="at least 1, found 0"):
        coordinates.planned([_source(np.zeros((9, 9, 9), np.uint8))], 0)
