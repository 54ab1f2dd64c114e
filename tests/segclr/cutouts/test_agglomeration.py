"""Agglomeration tables."""

import numpy as np
import pytest

from segclr.cutouts import agglomeration


def test_objects():
    table = agglomeration.Agglomeration(
        np.array([7, 3, 5]), np.array([100, 100, 2**60])
    )
    segments = np.array([[0, 3], [5, 7], [8, 3]], np.uint32)
    found = table.objects_of(segments)
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, [[0, 100], [2**60, 100], [8, 100]])
    alone = agglomeration.NONE.objects_of(segments)
    np.testing.assert_array_equal(alone, segments)


def test_files(tmp_path):
    segments, objects = np.array([4, 2**63 + 5], np.uint64), np.array([9, 9])
    np.savez(tmp_path / "a.npz", segment=segments, object=objects)
    (tmp_path / "b.csv").write_text(f"segment,object\n4,9\n{2**63 + 5},9\n")
    (tmp_path / "c.csv").write_text(f"4,9\n{2**63 + 5},9")
    for name in ("a.npz", "b.csv", "c.csv"):
        found = agglomeration.read(tmp_path / name)
        np.testing.assert_array_equal(found.objects_of(segments), [9, 9])
    assert agglomeration.read("") is agglomeration.NONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4,9\n4,8\n", "segment 4 is in two objects"),
        ("0,9\n", "segment 0 is background"),
        ("4,9,7\n", "lines SEGMENT,OBJECT"),
        ("4,x\n", "lines SEGMENT,OBJECT"),
        ("4,-1\n", "lines SEGMENT,OBJECT"),
        ("", "lines SEGMENT,OBJECT"),
    ],
)
def test_damaged(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        agglomeration.read(tmp_path / "a.csv")


def test_damaged_npz(tmp_path):
    np.savez(tmp_path / "a.npz", segment=[1.5], object=[2])
    with pytest.raises(ValueError, match="found float64"):
        agglomeration.read(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"expected an \.npz"):
        agglomeration.read(tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError, match="no such agglomeration"):
        agglomeration.read(tmp_path / "c.npz")
