"""Skeletons of every format, read as others wrote them; and damaged ones."""

import json

import cloudvolume
import numpy as np
import pytest

from ffn_tf import phantom, skeleton, volume
from ffn_tf.phantom import skeletons as phantom_skeletons

GOLDEN = volume.dataset.data_dir().parent / "golden" / "skeletons_training2.npz"

# Two skeletons, x, y, z all different; the second in two pieces.
XYZ = {
    17: np.array([[1, 20, 300], [4, 50, 600], [7, 80, 900]], np.float32),
    2**40: np.array([[9, 8, 7], [6, 5, 4], [3, 2, 1], [0, 1, 2]], np.float32),
}
EDGES = {
    17: np.array([[0, 1], [2, 1]]),
    2**40: np.array([[1, 0], [3, 2]]),
}


def assert_both(found):
    assert [one.id for one in found] == list(XYZ)
    for one in found:
        np.testing.assert_array_equal(
            one.vertices_nm_zyx, XYZ[one.id][:, [2, 1, 0]]
        )
        assert edge_set(one.edges) == edge_set(EDGES[one.id])


def edge_set(edges):
    return {tuple(sorted(pair)) for pair in edges.tolist()}


def of_cloudvolume(id_):
    return cloudvolume.Skeleton(XYZ[id_], EDGES[id_], segid=id_)


# -----------------------------------------------------------------------------
# .npz
# -----------------------------------------------------------------------------


def in_one_file(**changes):
    arrays = {
        "ids": np.array(list(XYZ), np.int64),
        "vertices_nm_xyz": np.concatenate(list(XYZ.values())),
        "edges": np.concatenate(list(EDGES.values())).astype(np.int32),
        "vertex_count": np.array([3, 4]),
        "edge_count": np.array([2, 2]),
    }
    return arrays | changes


def test_in_one_file(tmp_path):
    np.savez(tmp_path / "all.npz", **in_one_file(), more=np.ones(3))
    assert_both(skeleton.read(tmp_path / "all.npz"))


def test_ids_are_in_order(tmp_path):
    ids = np.array([5, 3])
    np.savez(tmp_path / "all.npz", **in_one_file(ids=ids))
    found = skeleton.read(str(tmp_path / "all.npz"))
    assert [one.id for one in found] == [3, 5]
    assert len(found[0].vertices_nm_zyx) == 4


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ids": np.array([4, 4])}, "two skeletons have the id 4"),
        ({"ids": np.array([0, 4])}, "expected positive ids, found 0"),
        ({"ids": np.array([4])}, "vertex_count of 1 skeletons"),
        ({"vertex_count": np.array([3, 3])}, "that add up to 6"),
        ({"edge_count": np.array([2, 3])}, "that add up to 5"),
        ({"edges": np.full((4, 2), 3)}, "name vertices 3 to 3"),
        ({"ids": np.array([None, None])}, "not an .npz of arrays"),
    ],
)
def test_damage_in_one_file(tmp_path, changes, message):
    np.savez(tmp_path / "all.npz", **in_one_file(**changes))
    with pytest.raises(ValueError, match=rf"all\.npz: .*{message}"):
        skeleton.read(tmp_path / "all.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_bit_of_one_file(tmp_path, save):
    path = tmp_path / "all.npz"
    save(path, **in_one_file())
    good = skeleton.read(path)
    data = path.read_bytes()
    for place in range(0, len(data), 13):
        flipped = data[place] ^ (1 << place % 7)
        path.write_bytes(data[:place] + bytes([flipped]) + data[place + 1 :])
        try:
            found = skeleton.read(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert [one.id for one in found] == [one.id for one in good]
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"all\.npz: not an \.npz"):
        skeleton.read(path)


def test_other_npz(tmp_path):
    np.savez(tmp_path / "a.npz", segmentation=np.ones(3))
    with pytest.raises(ValueError, match=r"found \['segmentation'\]"):
        skeleton.read(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_text("no zip")
    with pytest.raises(ValueError, match=r"b\.npz: not an \.npz of arrays"):
        skeleton.read(tmp_path / "b.npz")


def test_truth_of_a_phantom(tmp_path):
    truth = phantom.truth(phantom.Options(seed=6, size_zyx=(32, 56, 64)))
    phantom_skeletons.save(tmp_path / "truth.npz", truth)

    found = skeleton.read(tmp_path / "truth.npz")

    assert [one.id for one in found] == sorted(truth.skeletons)
    assert len(found) > 2
    for one in found:
        expected = truth.skeletons[one.id]
        np.testing.assert_array_equal(one.vertices_nm_zyx, expected.vertices_nm)
        np.testing.assert_array_equal(one.edges, expected.edges)


@pytest.mark.parametrize(
    "neurite, edges",
    [
        ([1, 2, 1], [[0, 2]]),
        ([1, 1, 2], [[0, 2]]),
        ([1, 1, 2, 2], [[2, 3], [0, 1]]),
    ],
)
def test_truth_of_a_phantom_in_disorder(tmp_path, neurite, edges):
    np.savez(
        tmp_path / "truth.npz",
        vertices_nm=np.zeros((len(neurite), 3)),
        neurite=np.array(neurite, np.uint64),
        edges=np.array(edges),
    )
    with pytest.raises(ValueError, match=r"truth\.npz: .* in order of"):
        skeleton.read(tmp_path / "truth.npz")


def test_golden():
    if not GOLDEN.exists():
        pytest.skip(f"no {GOLDEN}")
    found = skeleton.read(GOLDEN)
    assert len(found) == 209
    assert sum(len(one.edges) for one in found) == 32124
    assert round(sum(one.length_nm for one in found) / 1e3) == 454


# -----------------------------------------------------------------------------
# SWC
# -----------------------------------------------------------------------------


def test_swc_of_cloudvolume(tmp_path):
    for id_ in XYZ:
        text = of_cloudvolume(id_).to_swc()
        (tmp_path / f"{id_}.swc").write_text(text)
    (tmp_path / "readme.txt").write_text("not one")
    # It numbers vertices anew: compare the ends of edges.
    found = skeleton.read(tmp_path)
    assert [one.id for one in found] == list(XYZ)
    for one in found:
        ends = XYZ[one.id][:, [2, 1, 0]][EDGES[one.id]]
        assert ends_of(one.vertices_nm_zyx[one.edges]) == ends_of(ends)


def ends_of(pairs):
    return {frozenset(map(tuple, pair)) for pair in pairs.tolist()}


def test_one_swc_with_numbers_in_any_order(tmp_path):
    path = tmp_path / "5.swc"
    path.write_text(
        "# made by hand\n\n"
        "9 3 1.5 20 300 0.1 0\n"
        "0 1 4 50 600 0.1 -1\n"
        " 11 0 7 80 900 1 9\n"
    )
    (found,) = skeleton.read(path)
    assert found.id == 5
    assert found.vertices_nm_zyx.tolist() == [
        [300, 20, 1.5],
        [600, 50, 4],
        [900, 80, 7],
    ]
    assert edge_set(found.edges) == {(0, 1), (0, 2)}


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("5.swc", "1 1 0 0 0 1 -1\n2 1 0 0 0 1 3\n", "vertex 2 has the parent"),
        ("5.swc", "1 1 0 0 0 -1\n", "expected lines of 7 numbers"),
        ("5.swc", "1 1 0 0 zero 1 -1\n", "expected lines of 7 numbers"),
        (
            "5.swc",
            "".join(f"{i} 1 0 0 0 1 {i - 1} 9\n" for i in range(7)),
            "expected lines of 7 numbers",
        ),
        ("5.swc", "", "expected lines of 7 numbers"),
        ("5.swc", "1 1 0 0 0 1 nan\n", "expected lines of 7 numbers"),
        ("axon.swc", "1 1 0 0 0 1 -1\n", "expected a name like 17.swc"),
    ],
)
def test_damaged_swc(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        skeleton.read(tmp_path)


# -----------------------------------------------------------------------------
# Precomputed
# -----------------------------------------------------------------------------


def precomputed(folder, **info):
    info = {"@type": "neuroglancer_skeletons"} | info
    (folder / "info").write_text(json.dumps(info))
    for id_ in XYZ:
        (folder / str(id_)).write_bytes(of_cloudvolume(id_).to_precomputed())


def test_precomputed_as_encoded_by_cloudvolume(tmp_path):
    precomputed(tmp_path)
    assert_both(skeleton.read(tmp_path))


def test_precomputed_as_written_by_cloudvolume(tmp_path):
    layer = cloudvolume.CloudVolume.create_new_info(
        num_channels=1,
        layer_type="segmentation",
        data_type="uint64",
        encoding="raw",
        resolution=(4, 5, 6),
        voxel_offset=(0, 0, 0),
        volume_size=(64, 65, 66),
        skeletons="lines",
    )
    opened = cloudvolume.CloudVolume(f"file://{tmp_path}", info=layer)
    opened.commit_info()
    opened.skeleton.meta.commit_info()
    opened.skeleton.upload([of_cloudvolume(id_) for id_ in XYZ])

    names = {path.name for path in (tmp_path / "lines").iterdir()}
    assert "17.gz" in names  # Its default.
    assert_both(skeleton.read(tmp_path / "lines"))
    with pytest.raises(ValueError, match="not of the volume"):
        skeleton.read(tmp_path)


def test_precomputed_transform(tmp_path):
    # x' = 2 y + 1, y' = 3 z, z' = x - 5.
    transform = [0, 2, 0, 1, 0, 0, 3, 0, 1, 0, 0, -5]
    precomputed(tmp_path, transform=transform)
    found = skeleton.read(tmp_path)[0]
    assert found.vertices_nm_zyx[0].tolist() == [1 - 5, 3 * 300, 2 * 20 + 1]


def test_damaged_precomputed(tmp_path):
    precomputed(tmp_path)
    path = tmp_path / "17"
    whole = path.read_bytes()
    for size in (0, 7, 8, 8 + 12 * 3 + 8 * 2 - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="17: damaged: "):
            skeleton.read(tmp_path)
    path.rename(tmp_path / "17.gz")
    with pytest.raises(ValueError, match=r"17\.gz: damaged: "):
        skeleton.read(tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ("[]", "found None"),
        (
            '{"@type": "neuroglancer_skeletons", "sharding": {"a": 1}}',
            "sharded",
        ),
    ],
)
def test_other_info(tmp_path, text, message):
    (tmp_path / "info").write_text(text)
    with pytest.raises(ValueError, match=message):
        skeleton.read(tmp_path)


# -----------------------------------------------------------------------------
# Nothing
# -----------------------------------------------------------------------------


def test_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        skeleton.read(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="no skeleton in it"):
        skeleton.read(tmp_path)
    with pytest.raises(ValueError, match="copy them first"):
        skeleton.read("gs://bucket/skeletons")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"a\.txt: expected skeletons as"):
        skeleton.read(tmp_path / "a.txt")
