"""Run lengths: by hand, their laws, and funlib's and em_erl's on fib25."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import phantom, skeleton, volume
from ffn_tf.evaluation import skeleton_metrics
from ffn_tf.phantom import skeletons as phantom_skeletons

DATA = volume.dataset.data_dir()
PUBLISHED = DATA / "fib25" / "sample-training2.npz"
GOLDEN = DATA.parent / "golden" / "skeletons_training2.npz"


def line(id_, *positions, z=0.0):
    """A skeleton along x with vertices at these nm."""
    vertices = np.array([[z, 0.0, x] for x in positions], np.float32)
    number = np.arange(len(positions) - 1)
    return skeleton.Skeleton(
        id_, vertices, np.stack([number, number + 1], axis=1)
    )


def score(skeletons, labels, threshold=0):
    return skeleton_metrics.score(
        skeletons, np.array(labels, np.uint64), threshold
    )


def shares(found):
    return found.correct, found.split, found.merged, found.omitted


# -----------------------------------------------------------------------------
# By hand
# -----------------------------------------------------------------------------


def test_a_split():
    # Edges of 10, 20, 30, 40 nm; the third joins segments 5 and 6.
    found = score([line(1, 0, 10, 30, 60, 100)], [5, 5, 5, 6, 6])

    assert shares(found) == pytest.approx((0.7, 0.3, 0, 0))
    assert found.erl_nm == pytest.approx((30**2 + 40**2) / 100)
    assert found.best_erl_nm == 100
    assert found.normalised_erl == pytest.approx(0.25)
    assert found.rows.splits.tolist() == [1]
    assert found.rows.merges.tolist() == [0]


def test_a_segment_that_comes_back_is_one_run():
    found = score([line(1, 0, 10, 30, 60, 100)], [5, 5, 6, 5, 5])
    assert shares(found) == pytest.approx((0.5, 0.5, 0, 0))
    assert found.erl_nm == pytest.approx((10 + 40) ** 2 / 100)


def test_an_omitted_edge():
    found = score([line(1, 0, 10, 30, 60, 100)], [0, 5, 5, 5, 0])

    assert shares(found) == pytest.approx((0.5, 0, 0, 0.5))
    assert found.erl_nm == pytest.approx(50**2 / 100)


def test_a_merge():
    # Segment 5 holds both; skeleton 2 goes on in 6, skeleton 3 is alone in 7.
    skeletons = [line(1, 0, 10), line(2, 0, 20, 50), line(3, 0, 40)]

    found = score(skeletons, [5, 5, 5, 6, 6, 7, 7])

    assert shares(found) == pytest.approx((0.7, 0.2, 0.1, 0))
    assert found.erl_nm == pytest.approx((30**2 / 50 * 50 + 40**2) / 100)
    assert found.best_erl_nm == pytest.approx((10**2 + 50**2 + 40**2) / 100)
    assert found.merging_segments == 1
    rows = found.rows
    assert rows.ids.tolist() == [1, 2, 3]
    assert rows.merges.tolist() == [1, 1, 0]
    assert rows.splits.tolist() == [0, 1, 0]
    assert rows.erl_nm == pytest.approx([0, 900 / 50, 40])
    assert rows.contributions_nm == pytest.approx([0, 9, 16])
    assert rows.lengths_nm.tolist() == [
        [0, 0, 10, 0],
        [30, 20, 0, 0],
        [40, 0, 0, 0],
    ]


def test_background_does_not_merge():
    found = score([line(1, 0, 10, 30), line(2, 0, 20)], [5, 5, 0, 0, 6])
    assert shares(found) == pytest.approx((0.2, 0, 0, 0.8))
    assert found.merging_segments == 0


@pytest.mark.parametrize(
    "threshold, merged", [(0, 0.9), (1, 0.9), (2, 0.9), (3, 0)]
)
def test_a_merge_takes_nodes_of_both(threshold, merged):
    # Segment 5 holds 4 nodes of one skeleton, 2 of the other.
    skeletons = [line(1, 0, 10, 20, 30), line(2, 0, 60, 70)]
    found = score(skeletons, [5, 5, 5, 5, 5, 5, 6], threshold)
    assert found.merged == pytest.approx(merged)
    assert found.merge_threshold == threshold


def test_all_edges_in_a_merging_segment_are_merged():
    # The threshold makes 5 a merge of 1 and 2; skeleton 3 is in it, too.
    skeletons = [line(1, 0, 10, 20), line(2, 0, 30, 40), line(3, 0, 40)]
    found = score(skeletons, [5] * 8, 3)
    assert found.merged == 1
    assert found.rows.merges.tolist() == [1, 1, 1]


def test_rows_are_in_order_of_ids():
    found = score([line(9, 0, 10), line(4, 0, 40)], [1, 1, 2, 0])
    assert found.rows.ids.tolist() == [4, 9]
    assert found.rows.erl_nm.tolist() == [0, 10]
    assert found.rows.lengths_nm[:, skeleton_metrics.Edge.OMITTED].tolist() == [
        40,
        0,
    ]


def test_skeletons_without_length_change_nothing():
    alone = line(2, 7)
    found = score([line(1, 0, 10), alone, line(3, 5, 5)], [5, 5, 6, 7, 7])
    assert found.erl_nm == 10
    assert found.rows.erl_nm.tolist() == [10, 0, 0]


def test_bad_input():
    one = line(1, 0, 10)
    with pytest.raises(ValueError, match="different ids"):
        score([one, one], [5, 5, 5, 5])
    with pytest.raises(ValueError, match="each of 2 vertices, found an array"):
        score([one], [5, 5, 5])
    with pytest.raises(ValueError, match=r"merge_threshold: expected .* -1"):
        score([one], [5, 5], -1)
    with pytest.raises(ValueError, match="2 skeletons without any length"):
        score([line(1, 7), line(2, 5, 5)], [5, 5, 5])
    with pytest.raises(ValueError, match="negative: found -1"):
        skeleton_metrics.score([one], np.array([5, -1]))
    with pytest.raises(ValueError, match="integer ids: found float32"):
        skeleton_metrics.score([one], np.ones(2, np.float32))


# -----------------------------------------------------------------------------
# Laws
# -----------------------------------------------------------------------------


@st.composite
def scenes(draw):
    """Skeletons (random trees and loops) and a label for each vertex."""
    sizes = draw(st.lists(st.integers(2, 9), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    skeletons = []
    for id_, n in enumerate(sizes, 1):
        edges = rng.integers(0, n, (n, 2))
        edges[0] = 0, 1
        vertices = rng.uniform(0, 100, (n, 3)).astype(np.float32)
        skeletons.append(skeleton.Skeleton(id_, vertices, edges))
    labels = draw(
        st.lists(
            st.integers(0, 5), min_size=sum(sizes), max_size=sum(sizes)
        ).map(lambda found: np.array(found, np.uint64))
    )
    return skeletons, labels


def owners(skeletons):
    return np.repeat(
        [s.id for s in skeletons], [len(s.vertices_nm_zyx) for s in skeletons]
    ).astype(np.uint64)


@hypothesis.given(scenes(), st.integers(0, 4))
def test_shares_and_contributions_add_up(scene, threshold):
    skeletons, labels = scene
    found = score(skeletons, labels, threshold)
    assert sum(shares(found)) == pytest.approx(1)
    assert found.rows.contributions_nm.sum() == pytest.approx(found.erl_nm)
    whole = [s.length_nm for s in skeletons]
    assert found.rows.lengths_nm.sum(axis=1) == pytest.approx(whole)
    assert 0 <= found.normalised_erl <= 1 + 1e-9


@hypothesis.given(scenes())
def test_a_segment_for_each_skeleton_is_perfect(scene):
    skeletons, _ = scene
    found = score(skeletons, owners(skeletons))
    assert found.normalised_erl == pytest.approx(1)
    assert shares(found) == pytest.approx((1, 0, 0, 0))


@hypothesis.given(scenes(), st.permutations(range(1, 6)), st.integers(0, 4))
def test_ids_do_not_matter(scene, ids, threshold):
    skeletons, labels = scene
    # Beyond int64, and beyond what float64 tells apart.
    renamed = np.array([0, *ids], np.uint64)[labels]
    renamed[renamed > 0] += np.uint64(2**63)
    before = score(skeletons, labels, threshold)
    after = score(skeletons, renamed, threshold)
    assert after.erl_nm == pytest.approx(before.erl_nm)
    assert shares(after) == pytest.approx(shares(before))


@hypothesis.given(scenes(), st.integers(0, 2**32 - 1))
def test_splitting_never_raises_run_length(scene, seed):
    skeletons, labels = scene
    # No segment merges, for it holds one skeleton.
    labels[labels > 0] += 10 * owners(skeletons)[labels > 0]
    split = labels.copy()
    chosen = np.random.default_rng(seed).integers(0, 2, len(split)) == 1
    split[chosen & (labels > 0)] += np.uint64(1000)
    before, after = score(skeletons, labels), score(skeletons, split)
    assert before.merged == after.merged == 0
    assert after.erl_nm <= before.erl_nm + 1e-9


@hypothesis.given(scenes(), st.integers(1, 5), st.integers(1, 5))
def test_joining_two_skeletons_never_raises_run_length(scene, one, other):
    skeletons, labels = scene
    joined = np.where(labels == other, np.uint64(one), labels)
    hypothesis.assume(len(set(owners(skeletons)[joined == one])) > 1)
    before, after = score(skeletons, labels), score(skeletons, joined)
    assert after.erl_nm <= before.erl_nm + 1e-9


# -----------------------------------------------------------------------------
# Volumes
# -----------------------------------------------------------------------------


def counted(array, start, chunk):
    """A volume in memory that notes the boxes read of it."""
    opened = volume.from_array(array, start=start).described(chunk_zyx=chunk)
    boxes = []
    whole = opened.read_many

    def read_many(wanted):
        boxes.append(list(wanted))
        return whole(boxes[-1])

    opened.read_many = read_many
    return opened, boxes


@pytest.mark.parametrize("at_once", [1, 60, 10**6])
def test_labels_at_reads_little_and_the_right_voxels(monkeypatch, at_once):
    monkeypatch.setattr(skeleton_metrics, "_VOXELS_AT_ONCE", at_once)
    array = np.arange(7 * 8 * 9, dtype=np.uint32).reshape(7, 8, 9)
    opened, boxes = counted(array, (10, -20, 30), (2, 3, 5))
    rng = np.random.default_rng(0)
    voxels = rng.integers((10, -20, 30), (17, -12, 39), (40, 3))

    found = skeleton_metrics.labels_at(opened, voxels)

    expected = array[tuple((voxels - (10, -20, 30)).T)]
    np.testing.assert_array_equal(found, expected)
    flat = [box for batch in boxes for box in batch]
    assert all(box.size <= (2, 3, 5) for box in flat)
    if at_once < 30:
        assert all(box.num_voxels == 1 for box in flat)
    most = {1: 1, 60: 2, 10**6: len(flat)}[at_once]
    assert max(len(batch) for batch in boxes) == most


def test_a_volume_is_scored_where_it_is():
    # Voxels of 30, 20, 10 nm; x is 2..5, so the line leaves it on both sides.
    array = np.zeros((2, 3, 4), np.uint8)
    array[1, 2] = [7, 7, 7, 8]
    opened = volume.from_array(array, start=(4, 5, 2))
    vertices = [[150.0, 140.0, x] for x in (10, 20, 30, 40, 59, 60, 70)]
    edges = np.array([[i, i + 1] for i in range(6)])
    one = skeleton.Skeleton(3, np.array(vertices, np.float32), edges)

    found = skeleton_metrics.score_volume([one], opened, (30, 20, 10))

    # Left are x = 20, 30, 40 in segment 7, and 59 in 8.
    assert found.length_nm == 39
    assert found.left_out_nm == 21
    assert shares(found) == pytest.approx((20 / 39, 19 / 39, 0, 0))
    assert found.erl_nm == pytest.approx(20**2 / 39)


@pytest.mark.parametrize("address", ["precomputed://{}/a", "{}/a.h5:b"])
def test_volumes_in_files(tmp_path, address):
    address = address.format(tmp_path)
    box = volume.Box((3, 40, 20), (43, 90, 80))
    array = np.arange(box.num_voxels, dtype=np.uint64).reshape(box.size)
    info = volume.VolumeInfo(box, array.dtype, (33, 8, 4), (16, 17, 18))
    with volume.create(address, info) as created:
        created.write(box, array)
    voxels = np.random.default_rng(0).integers(box.start, box.end, (500, 3))
    with volume.open(address) as opened:
        found = skeleton_metrics.labels_at(opened, voxels)
    expected = array[tuple((voxels - box.start).T)]
    np.testing.assert_array_equal(found, expected)


def test_skeletons_elsewhere_are_an_error():
    opened = volume.from_array(np.ones((2, 3, 4), np.uint8))
    with pytest.raises(ValueError, match="No edge of 1 skeletons lies in"):
        skeleton_metrics.score_volume([line(1, 39, 40)], opened, (10, 10, 10))
    with pytest.raises(ValueError, match="No edge of 0 skeletons"):
        skeleton_metrics.score_volume([], opened, (10, 10, 10))


def test_truth_of_a_phantom_is_perfect(tmp_path):
    options = phantom.Options(
        seed=6, size_zyx=(12, 50, 60), voxel_size_nm=(33.0, 9.0, 8.0)
    )
    phantom_skeletons.save(tmp_path / "truth.npz", phantom.truth(options))
    labels = phantom.generate(options).labels

    found = skeleton_metrics.score_volume(
        skeleton.read(tmp_path / "truth.npz"),
        volume.from_array(labels),
        options.voxel_size_nm,
    )

    assert len(found.rows.ids) > 2
    assert found.normalised_erl == pytest.approx(1)
    assert found.left_out_nm == 0


@pytest.mark.parametrize(
    "threshold, erl", [(0, 170.662), (1, 170.662), (50, 4334)]
)
def test_published_fib25_segmentation(threshold, erl):
    if not (GOLDEN.exists() and PUBLISHED.exists()):
        pytest.skip(f"no {GOLDEN} or {PUBLISHED}")
    skeletons = skeleton.read(GOLDEN)
    with volume.open(f"{PUBLISHED}:segmentation") as opened:
        found = skeleton_metrics.score_volume(
            skeletons, opened, (10, 10, 10), threshold
        )
    assert found.erl_nm == pytest.approx(erl, rel=3e-5)
    assert round(found.best_erl_nm, 1) == 16922.7
    assert round(found.length_nm / 1e3) == 454
    assert found.left_out_nm == 0
    assert len(found.rows.ids) == 209


def test_truth_of_fib25_is_perfect():
    truth = DATA / "fib25" / "groundtruth.h5"
    if not (GOLDEN.exists() and truth.exists()):
        pytest.skip(f"no {GOLDEN} or {truth}")
    skeletons = skeleton.read(GOLDEN)
    with volume.open(f"{truth}:stack") as opened:
        found = skeleton_metrics.score_volume(skeletons, opened, (10, 10, 10))
    assert found.normalised_erl == pytest.approx(1)
    assert found.correct == pytest.approx(1)
