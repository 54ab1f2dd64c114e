"""Scores: by hand, their laws, scikit-image's, and on the fib25 volume."""

import json
import math

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import skimage.metrics

from ffn_tf import evaluation, volume
from ffn_tf.evaluation import overlap_metrics

DATA = volume.dataset.data_dir()
TRUTH = DATA / "fib25" / "groundtruth.h5"
PUBLISHED = DATA / "fib25" / "sample-training2.npz"
GOLDEN = DATA.parent / "golden" / "metrics.json"

pairs = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        *[hnp.arrays(np.int64, n, elements=st.integers(0, 6))] * 2
    )
)


def scores(truth, segmentation) -> evaluation.Scores:
    return evaluation.score(evaluation.count(truth, segmentation))


def compare(truth, segmentation, **options) -> evaluation.Comparison:
    table = evaluation.count(np.array(truth), np.array(segmentation))
    return evaluation.compare(table, **options)


def test_one_body_in_two_halves():
    found = scores(np.array([1, 1, 1, 1]), np.array([5, 5, 6, 6]))

    assert (found.voi_split, found.voi_merge) == (1.0, 0.0)
    assert found.rand_precision == 1.0
    assert found.rand_recall == pytest.approx(4 / 12)
    assert found.adapted_rand_error == pytest.approx(0.5)
    assert (found.num_truth_ids, found.num_segments) == (1, 2)


def test_two_bodies_in_one_segment():
    found = scores(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 5]))

    assert (found.voi_split, found.voi_merge) == (0.0, 1.0)
    assert found.rand_precision == pytest.approx(4 / 12)
    assert found.rand_recall == 1.0


def test_uneven_split_and_merge():
    # Body 1 has 3 voxels in 5 and 1 in 6; body 2 has 4 in 6.
    truth = np.array([1, 1, 1, 1, 2, 2, 2, 2])
    segmentation = np.array([5, 5, 5, 6, 6, 6, 6, 6])

    found = scores(truth, segmentation)

    body = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    segment = -(0.2 * math.log2(0.2) + 0.8 * math.log2(0.8))
    assert found.voi_split == pytest.approx(4 / 8 * body, abs=1e-15)
    assert found.voi_merge == pytest.approx(5 / 8 * segment, abs=1e-15)
    # Ordered pairs: 3 * 2 + 1 * 0 + 4 * 3 together in both.
    assert found.rand_precision == pytest.approx(18 / (6 + 20))
    assert found.rand_recall == pytest.approx(18 / (12 + 12))
    assert found.adapted_rand_error == pytest.approx(1 - 36 / 50)


def test_no_pairs_at_all_is_perfect():
    found = scores(np.array([1, 2, 3]), np.array([4, 5, 6]))
    assert found.adapted_rand_error == 0
    assert (found.rand_precision, found.rand_recall) == (1, 1)


@hypothesis.given(pairs)
def test_of_itself_is_perfect(pair):
    found = scores(pair[0], pair[0])
    assert found.voi_split == found.voi_merge == 0
    assert found.adapted_rand_error == 0
    assert found.rand_precision == found.rand_recall == 1


@hypothesis.given(pairs, st.permutations(range(7)), st.permutations(range(7)))
def test_ids_do_not_matter(pair, truth_ids, segment_ids):
    truth, segmentation = pair
    # 2**61 * 6 is beyond int64, and beyond what float64 tells apart.
    renamed_truth = np.array(truth_ids, np.uint64)[truth] << np.uint64(61)
    renamed = np.array(segment_ids, np.uint64)[segmentation] + np.uint64(2**63)

    before = scores(truth, segmentation)
    after = scores(renamed_truth, renamed)

    for name, value in vars(before).items():
        assert getattr(after, name) == pytest.approx(value, abs=1e-12), name


@hypothesis.given(pairs)
def test_swapping_swaps_splits_and_merges(pair):
    there, back = scores(*pair), scores(*reversed(pair))
    assert there.voi_split == pytest.approx(back.voi_merge, abs=1e-12)
    assert there.voi_merge == pytest.approx(back.voi_split, abs=1e-12)
    assert there.rand_precision == pytest.approx(back.rand_recall)
    assert there.rand_recall == pytest.approx(back.rand_precision)
    assert there.adapted_rand_error == pytest.approx(back.adapted_rand_error)


def assert_like_scikit_image(found, truth, segmentation):
    split, merge = skimage.metrics.variation_of_information(truth, segmentation)
    with np.errstate(all="ignore"):  # 0 / 0 where there are no pairs.
        # The code of 0.26 divides the first by the pairs of the truth, which
        # its documentation calls recall.
        error, recall, precision = skimage.metrics.adapted_rand_error(
            truth, segmentation, ignore_labels=()
        )
    expected = {
        "voi_split": split,
        "voi_merge": merge,
        "adapted_rand_error": error,
        "rand_recall": recall,
        "rand_precision": precision,
    }
    for name, value in expected.items():
        if not np.isnan(value):
            assert getattr(found, name) == pytest.approx(value, abs=1e-9), name


@hypothesis.given(pairs)
def test_equals_scikit_image(pair):
    truth, segmentation = pair
    both = (truth != 0) & (segmentation != 0)
    hypothesis.assume(both.any())

    found = compare(truth, segmentation)

    assert_like_scikit_image(found.both, truth[both], segmentation[both])
    labelled = truth != 0
    assert_like_scikit_image(
        found.truth, truth[labelled], segmentation[labelled]
    )
    assert found.coverage == pytest.approx((segmentation[labelled] != 0).mean())


@hypothesis.given(pairs)
def test_offenders_account_for_all_of_voi(pair):
    hypothesis.assume(((pair[0] != 0) & (pair[1] != 0)).any())

    found = compare(*pair, num_worst=99, num_parts=99)

    for offenders, total in (
        (found.splits, found.both.voi_split),
        (found.merges, found.both.voi_merge),
    ):
        assert sum(one.voi for one in offenders) == pytest.approx(total)
        worst_first = [one.voi for one in offenders]
        assert worst_first == sorted(worst_first, reverse=True)
        for one in offenders:
            sizes = [voxels for _, voxels in one.parts]
            assert len(sizes) == one.num_parts > 1
            assert sizes == sorted(sizes, reverse=True)
            assert sum(sizes) == one.voxels
            assert one.outside_largest == one.voxels - sizes[0]
    missed = sum(one.missed for one in found.missed)
    assert missed == found.truth_voxels - found.covered_voxels


def test_offenders_by_hand():
    #        body 1: 7 voxels, 1 missed     body 2: 3      unlabelled
    truth = [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 0]
    segmentation = [5, 5, 5, 6, 6, 7, 0, 7, 7, 7, 9]

    found = compare(truth, segmentation, num_parts=2)

    (split,) = found.splits
    assert (split.id, split.voxels, split.outside_largest) == (1, 6, 3)
    assert (split.num_parts, split.parts) == (3, ((5, 3), (6, 2)))
    (merge,) = found.merges
    assert (merge.id, merge.voxels, merge.outside_largest) == (7, 4, 1)
    assert merge.parts == ((2, 3), (1, 1))
    assert found.missed == (overlap_metrics.Missed(1, 7, 1),)
    assert found.coverage == 0.9
    assert (found.voxels, found.truth_voxels, found.covered_voxels) == (
        11,
        10,
        9,
    )


def test_only_as_many_offenders_as_asked_for():
    truth = np.repeat([1, 2, 3], 4)
    found = compare(truth, np.arange(12) % 4, num_worst=2)
    assert [one.id for one in found.splits] == [1, 2]
    assert [one.id for one in found.merges] == [1, 2]
    assert [one.id for one in found.missed] == [1, 2]


def test_empty_truth_is_refused():
    with pytest.raises(ValueError, match="truth is 0 in all 4 voxels"):
        compare([0, 0, 0, 0], [1, 1, 2, 0])


def test_nothing_segmented_has_no_headline_scores():
    found = compare([1, 1, 2, 0], [0, 0, 0, 3])
    assert found.coverage == 0
    assert found.both is None
    assert found.truth.voi_merge > 0
    assert (found.splits, found.merges) == ((), ())
    assert [one.id for one in found.missed] == [1, 2]


def test_an_empty_table_has_no_score():
    with pytest.raises(ValueError, match="table is empty"):
        evaluation.score(evaluation.merged([]))


@pytest.fixture(scope="module")
def published():
    if not (TRUTH.exists() and PUBLISHED.exists()):
        pytest.skip(f"no fib25 data in {DATA}")
    with (
        volume.open(f"{TRUTH}:stack") as truth,
        volume.open(f"{PUBLISHED}:segmentation") as segmentation,
    ):
        table = evaluation.count_volumes(truth, segmentation, truth.domain)
    return evaluation.compare(table)


def test_published_segmentation_headline(published):
    assert published.coverage == pytest.approx(0.8875, abs=5e-5)
    assert published.both.voi_split == pytest.approx(0.613, abs=5e-4)
    assert published.both.voi_merge == pytest.approx(0.263, abs=5e-4)
    assert published.both.adapted_rand_error == pytest.approx(0.0557, abs=5e-5)


def test_published_segmentation_equals_other_packages(published):
    if not GOLDEN.exists():
        pytest.skip(f"no {GOLDEN}")
    golden = json.loads(GOLDEN.read_text())["fib25_ts2_ffn_published"]
    split, merge = golden["skimage voi (masked gt>0)"]
    error, recall, precision = golden["skimage arand gt0 ignored"]
    found = published.truth
    assert found.voi_split == pytest.approx(split, abs=1e-9)
    assert found.voi_merge == pytest.approx(merge, abs=1e-9)
    assert found.adapted_rand_error == pytest.approx(error, abs=1e-9)
    assert found.rand_recall == pytest.approx(recall, abs=1e-9)
    assert found.rand_precision == pytest.approx(precision, abs=1e-9)
    for name in ("funlib", "waterz"):
        other = golden[name]
        assert found.voi_split == pytest.approx(other["voi_split"], abs=1e-9)
        assert found.voi_merge == pytest.approx(other["voi_merge"], abs=1e-9)
