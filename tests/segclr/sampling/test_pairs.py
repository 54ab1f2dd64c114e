"""Pairs: their buckets, their distances, their records."""

import numpy as np
import pytest

from ffn_tf.skeleton import Skeleton
from segclr.sampling import nodes, pairs, records

BOUNDS = (0.0, 2600.0, 10_100.0, 30_100.0)  # Between distances.


@pytest.fixture(scope="module")
def hairpin():
    """Nodes of 40 um to and fro: both ends are 1 um apart."""
    x = np.arange(0, 20_001, 50.0)
    there = np.stack([0 * x, 0 * x, x], 1)
    back = np.stack([0 * x, 0 * x + 1000, x[::-1]], 1)
    vertices = np.concatenate([there, back])
    count = len(vertices)
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], 1)
    radii = np.linspace(10, 20, count).astype(np.float32)
    return nodes.place(Skeleton(9, vertices, edges, radii), 500.0)


def draw(hairpin, seed=0, bounds=BOUNDS, **more):
    return pairs.drawn(hairpin, np.random.default_rng(seed), bounds, **more)


def test_each_bucket_has_pairs(hairpin):
    found = draw(hairpin, per_node=2.0)
    counts, _ = np.histogram(found.distance_nm, BOUNDS)
    assert found.id == 9
    assert (found.distance_nm > 0).all()
    # Two for each node; of the far ones, all nodes but those in the middle.
    assert counts[0] == counts[1] == 2 * len(hairpin)
    assert 1.2 * len(hairpin) < counts[2] <= 2 * len(hairpin)


def test_distances_are_along_the_neurite(hairpin):
    found = draw(hairpin)
    along = found.centers_nm_zyx[..., 2].copy()
    is_back = found.centers_nm_zyx[..., 1] > 500
    along[is_back] = 41_000 - along[is_back]
    np.testing.assert_allclose(
        abs(along[:, 0] - along[:, 1]), found.distance_nm, atol=600
    )


def test_the_same_seed_gives_the_same_pairs(hairpin):
    one, same, other = draw(hairpin), draw(hairpin), draw(hairpin, seed=1)
    np.testing.assert_array_equal(one.centers_nm_zyx, same.centers_nm_zyx)
    assert (
        len(one) != len(other)
        or (one.centers_nm_zyx != other.centers_nm_zyx).any()
    )


def test_a_part_of_the_nodes(hairpin):
    found = draw(hairpin, bounds=(0, 1e9), per_node=0.5)
    assert 0.25 < len(found) / len(hairpin) < 0.75


def test_partners_are_drawn_evenly(hairpin):
    found = draw(hairpin, bounds=(0, 1e9), per_node=200.0)
    counts, _ = np.histogram(found.distance_nm, 8, (0, 40_000))
    expected = np.arange(15, 0, -2) / 64  # Of all pairs of a line.
    np.testing.assert_allclose(counts / len(found), expected, atol=0.03)


def test_nobody_is_their_own_partner():
    alone = nodes.place(
        Skeleton(1, np.zeros((1, 3)), np.zeros((0, 2), int)), 500.0
    )
    found = pairs.drawn(alone, np.random.default_rng(0))
    assert len(found) == 0
    assert found.centers_nm_zyx.shape == (0, 2, 3)


@pytest.mark.parametrize("bounds", [(0,), (0, 0), (5, 2), (-1, 2)])
def test_buckets(hairpin, bounds):
    with pytest.raises(ValueError, match="--buckets_um: expected bounds"):
        draw(hairpin, bounds=bounds)


def test_records(hairpin):
    import tensorflow as tf

    found = draw(hairpin)
    names = records.Names("em", "c3")
    messages = list(records.encoded(found, (33.0, 32.0, 16.0), names))
    assert len(messages) == len(found)
    example = tf.train.Example.FromString(messages[3]).features.feature
    for j in range(2):
        z, y, x = found.centers_nm_zyx[3, j]
        assert list(example[f"center-{j}"].int64_list.value) == [
            int(x / 16),
            int(y / 32),
            int(z / 33),
        ]
        (radius,) = example[f"dist_to_border-{j}"].int64_list.value
        assert radius == round(float(found.radii_nm[3, j]))
    assert list(example["skeleton_id"].int64_list.value) == [9]
    assert list(example["vol_name"].bytes_list.value) == [b"em"]
    parsed = tf.io.parse_example(messages, records.features())
    np.testing.assert_allclose(parsed["distance"], found.distance_nm, atol=0.51)
    assert parsed["center-1"].shape == (len(found), 3)


def test_released_records_may_have_more_and_less():
    import tensorflow as tf

    feature = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        for name, values in (
            ("skeleton_id", [4]),
            ("center-0", [1, 2, 3]),
            ("center-1", [4, 5, 6]),
            ("class_label", [0]),
        )
    }
    message = tf.train.Example(
        features=tf.train.Features(feature=feature)
    ).SerializeToString()
    parsed = tf.io.parse_single_example(message, records.features())
    assert parsed["center-1"].numpy().tolist() == [4, 5, 6]
    assert int(parsed["distance"]) == -1


def test_ids_that_int64_cannot_hold(hairpin):
    import dataclasses

    found = dataclasses.replace(draw(hairpin), id=2**63)
    with pytest.raises(ValueError, match="Segment 9223372036854775808"):
        list(records.encoded(found, (1.0, 1.0, 1.0), records.Names()))
