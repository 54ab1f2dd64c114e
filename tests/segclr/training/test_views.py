"""Views: what is seen of a pair; seeds; where it goes on."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.training.pipeline import coordinate_files
from segclr.cutouts import reading
from segclr.sampling import records
from segclr.training import views

PLAIN = views.ViewOptions(
    grey_probability=0.0, flip=False, permute=False, shift_voxels=0
)
SIZE = (9, 9, 9)


@pytest.fixture
def batches(world):
    """batches(options, taken=0, **settings): an iterator."""
    with reading.Cutouts(world["image"], world["segmentation"], SIZE) as opened:
        wider = []

        def make(options=PLAIN, taken=0, **changes):
            settings = views.Settings(
                coordinate_files(world["pairs"], "pairs"),
                SIZE,
                4,
                "masked_em",
                options,
            )
            settings = dataclasses.replace(settings, **changes)
            used = opened
            if views.padded_size(settings) != SIZE:
                used = reading.Cutouts(
                    world["image"],
                    world["segmentation"],
                    views.padded_size(settings),
                )
                wider.append(used)
            return views.Batches(used, settings, taken)

        yield make
        for one in wider:
            one.close()


def expected(world, count):
    """The first pairs, and what is around them."""
    found = []
    files = coordinate_files(world["pairs"], "pairs")
    dataset = tf.data.Dataset.from_tensor_slices(list(files)).interleave(
        lambda path: tf.data.TFRecordDataset(path, "GZIP"), cycle_length=2
    )
    for message in dataset.take(count):
        one = tf.io.parse_single_example(message, records.features())
        found.append({k: v.numpy() for k, v in one.items()})
    return found


def test_what_is_seen(batches, world):
    with reading.Cutouts(world["image"], world["segmentation"], SIZE) as opened:
        batch = next(batches(shuffle=0))
        for i, pair in enumerate(expected(world, 4)):
            assert batch.segments[i] == pair["skeleton_id"]
            for j, seen in enumerate((batch.first[i], batch.second[i])):
                x, y, z = pair[f"center-{j}"]
                cutout = opened.read(
                    np.array([[z, y, x]]), [pair["skeleton_id"]]
                ).cutouts("masked_em")[0]
                np.testing.assert_array_equal(seen[..., 0], cutout)
    assert batch.first.shape == (4, *SIZE, 1)


@pytest.mark.parametrize("options", [PLAIN, views.ViewOptions()])
def test_it_goes_on_where_it_was(batches, options):
    first = batches(options)
    taken = [next(first) for _ in range(3)]
    later = batches(options, taken=2)
    np.testing.assert_array_equal(next(later).first, taken[2].first)
    assert first.taken == later.taken == 3
    other = next(batches(options, seed=5))
    assert (other.first != taken[0].first).any()


def test_each_view_is_changed_by_itself(batches):
    """Of one neurite all plain views are alike; changed ones are not."""
    everything = views.ViewOptions(
        missing_section_probability=0.5,
        misalignment_probability=0.5,
        mask_probability=0.5,
    )
    plain, changed = next(batches()), next(batches(everything))
    np.testing.assert_array_equal(plain.segments, changed.segments)
    seen = [*changed.first, *changed.second]
    assert len({one.tobytes() for one in seen}) == 8
    for view in seen:
        assert 0 <= view.min() <= view.max() <= 1
        assert view.any()


def test_flips_turn_all_three_axes(batches):
    """google's leave z alone, and freeze in a graph (1.11, 1 and 2)."""
    flips = dataclasses.replace(PLAIN, flip=True)
    plain, flipped = batches(), batches(flips)
    turned = set()
    for _ in range(6):
        for one, other in zip(next(plain).first, next(flipped).first):
            turned.add(
                next(
                    axes
                    for axes in np.ndindex(2, 2, 2)
                    if np.array_equal(
                        np.flip(one, np.flatnonzero(axes).tolist()), other
                    )
                )
            )
    assert {axes[0] for axes in turned} == {0, 1}
    assert {axes[1] for axes in turned} == {0, 1}
    assert {axes[2] for axes in turned} == {0, 1}


def test_shifts(batches):
    shifted = dataclasses.replace(PLAIN, shift_voxels=3)
    one, other = next(batches()), next(batches(shifted))
    assert (one.first != other.first).any()


def test_kinds(batches):
    masked, em, seg = (next(batches(kind=kind)).first for kind in reading.KINDS)
    assert set(np.unique(seg)) == {0, 1}
    np.testing.assert_array_equal(masked, em * seg)
    assert (masked != em).any()


def test_pairs_of_another_volume(world, batches, tmp_path):
    from segclr.sampling import pairs

    far = pairs.Pairs(
        3,
        np.full((8, 2, 3), 5000.0),
        np.zeros((8, 2), np.float32),
        np.ones(8),
    )
    with records.Writer(tmp_path / "far") as file:
        for message in records.encoded(far, (10, 10, 10), records.Names()):
            file.write(message)
    made = batches(files=(str(tmp_path / "far"),))
    with pytest.raises(ValueError, match=r"segment 3 has its centre .*another"):
        next(made)


def test_pairs_of_another_segmentation(batches, tmp_path):
    from segclr.sampling import pairs

    gone = pairs.Pairs(
        77,
        np.full((8, 2, 3), 120.0),
        np.zeros((8, 2), np.float32),
        np.ones(8),
    )
    with records.Writer(tmp_path / "gone") as file:
        for message in records.encoded(gone, (10, 10, 10), records.Names()):
            file.write(message)
    made = batches(files=(str(tmp_path / "gone"),))
    with pytest.raises(ValueError, match=r"8 of 8 views .*\(the first: 77\)"):
        next(made)


def test_damaged_and_few_pairs(world, batches, tmp_path):
    path = tmp_path / "pairs"
    data = pathlib.Path(coordinate_files(world["pairs"])[0]).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    good = coordinate_files(world["pairs"])[1]
    made = batches(files=(good, str(path)))
    with pytest.raises(
        ValueError, match=rf"^The pairs {path} cannot be read: .*again\.$"
    ):
        for _ in range(10_000):
            next(made)
    with records.Writer(tmp_path / "none"):
        pass
    with pytest.raises(ValueError, match="fewer than a batch"):
        next(batches(files=(str(tmp_path / "none"),)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift_voxels": -1}, "--shift_voxels: expected 0"),
        ({"mask_voxels": 0}, "--mask_voxels: expected 1"),
        ({"mask_probability": 2.0}, "--mask_probability: expected a number"),
        ({"missing_section_probability": -1.0}, "missing_section_probability"),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(ValueError, match=message):
        views.ViewOptions(**changes)
