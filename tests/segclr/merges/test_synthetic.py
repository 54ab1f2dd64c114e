"""Contacts are the faces between segments; merges are drawn from them."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.skeleton import Skeleton
from segclr.merges import synthetic
from tests.segclr.conftest import make


def faces(labels):
    """{pair: (area, places)}, face by face."""
    found = {}
    for axis in range(3):
        for at in np.ndindex(*labels.shape):
            other = list(at)
            other[axis] += 1
            if other[axis] == labels.shape[axis]:
                continue
            pair = sorted((int(labels[at]), int(labels[tuple(other)])))
            if pair[0] and pair[0] != pair[1]:
                place = np.array(at) + 0.5
                place[axis] += 0.5
                found.setdefault(tuple(pair), []).append(place)
    return found


@pytest.mark.parametrize("block", [256, 5])
def test_contacts_face_by_face(tmp_path, monkeypatch, block):
    monkeypatch.setattr(synthetic, "_BLOCK", block)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (7, 9, 11)).astype(np.uint64)
    labels[labels == 3] = 2**63 + 1
    nm = (30.0, 10.0, 20.0)
    with volume.open(make(tmp_path / "labels.zarr", labels, nm)) as opened:
        found = synthetic.contacts(opened)
    expected = faces(labels)
    assert {tuple(p) for p in found.pair.tolist()} == set(expected)
    for pair, area, place in zip(
        found.pair.tolist(), found.area, found.place_nm_zyx
    ):
        places = np.array(expected[tuple(pair)])
        assert area == len(places)
        if block < 256:  # The place is of one block.
            assert (place / nm == places).all(1).any()
            continue
        away = np.sqrt(((places - places.mean(0)) ** 2).sum(1))
        mine = np.sqrt((((place / nm) - places.mean(0)) ** 2).sum())
        np.testing.assert_allclose(mine, away.min())


def some_contacts():
    pair = np.array([[1, 2], [1, 3], [4, 5], [6, 7], [8, 9], [2, 9]], np.uint64)
    area = np.array([50, 50, 50, 50, 50, 3])
    return synthetic.Contacts(pair, area, np.arange(18.0).reshape(6, 3))


def test_each_segment_is_joined_once_and_kinds_are_as_they_say():
    types = dict.fromkeys((1, 2, 4, 6, 7), "axon") | {3: "glia", 5: "glia"}
    for seed in range(10):
        seams = synthetic.drawn(some_contacts(), types, range(1, 10), 1, seed)
        joined = [id_ for s in seams for id_ in (s.segment, s.other)]
        assert len(set(joined)) == len(joined)
        assert seams[0].kind == "random"
        for seam in seams[1:]:
            same = types[seam.segment] == types[seam.other]
            assert same == (seam.kind == "same_type")
        assert {s.kind for s in seams} <= set(synthetic.KINDS)


def test_what_is_not_usable_is_not_joined():
    seams = synthetic.drawn(some_contacts(), {}, [2, 8, 9, 1], 9, 0)
    assert {(s.segment, s.other) for s in seams} == {(1, 2), (8, 9)}
    assert {s.kind for s in seams} == {"random"}


def test_skeletons_are_joined_where_they_touch():
    one = Skeleton(
        5, np.array([[0.0, 0, 0], [0, 0, 10]]), np.array([[0, 1]]), np.ones(2)
    )
    two = Skeleton(
        7,
        np.array([[0.0, 30, 0], [0, 5, 10], [0, 30, 20]]),
        np.array([[0, 1], [1, 2]]),
        np.ones(3),
    )
    seam = synthetic.Seam(5, 7, "random", (0.0, 2.0, 11.0))
    whole = synthetic.joined(one, two, seam)
    assert whole.id == 5
    assert whole.edges.tolist() == [[0, 1], [2, 3], [3, 4], [1, 3]]
    assert len(whole.radii_nm) == 5


def test_seams_are_kept(tmp_path):
    seams = [synthetic.Seam(2**63, 7, "same_type", (1.0, 2.5, 3.0))]
    path = tmp_path / "seams.csv"
    path.write_text(synthetic.seams_csv(seams))
    assert synthetic.read_seams(path) == seams
    path.write_text("x_nm,y_nm,z_nm,segment\n3,2,1,9\n")
    (plain,) = synthetic.read_seams(path)
    assert plain == synthetic.Seam(9, 0, "merge", (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    "text, message",
    [
        ("segment,x,y,z\n1,2,3,4\n", "expected columns"),
        ("segment,z_nm,y_nm,x_nm\n1,2,3,here\n", r"csv:2: expected an id"),
        ("segment,z_nm,y_nm,x_nm\n1,2,3\n", r"csv:2: expected an id"),
    ],
)
def test_bad_seams(tmp_path, text, message):
    path = tmp_path / "seams.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        synthetic.read_seams(path)
    with pytest.raises(FileNotFoundError, match="no such file of merges"):
        synthetic.read_seams(tmp_path / "none.csv")
