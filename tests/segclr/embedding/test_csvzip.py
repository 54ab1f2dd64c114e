"""CSV-zips: the shard of a segment, rows there and back, damage."""

import hashlib
import zipfile

import numpy as np
import pytest

from segclr.embedding import csvzip, zip_members

SMALL = csvzip.Layout(num_shards=3)
SEGMENT = 864691135293126156


def rows(count=5, columns=64, seed=0):
    rng = np.random.default_rng(seed)
    return csvzip.Rows(
        rng.permutation(count).astype(np.int64),
        rng.uniform(0, 4e6, (count, 3)).round(1),
        rng.normal(size=(count, columns)).astype(np.float32),
    )


def assert_same(found, expected):
    np.testing.assert_array_equal(found.node_ids, expected.node_ids)
    np.testing.assert_array_equal(found.positions_xyz, expected.positions_xyz)
    np.testing.assert_array_equal(found.vectors, expected.vectors)


@pytest.fixture
def shard_of(tmp_path):
    """shard_of(text): a folder whose segment 7 is this file."""

    def make(text, name="7.csv"):
        path = tmp_path / f"{SMALL.shard(7)}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, text)
        return csvzip.Reader(str(tmp_path), SMALL)

    return make


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (1014493630, [4378, 2187, 2187]),
        (SEGMENT, [8617, 5645, 25645]),
        (864691135591041291, [885, 7443, 7443]),
    ],
)
def test_shards_of_the_releases(segment, expected):
    """shared/reference/segclr_behaviour.md 1.8."""
    layouts = [(10_000, 64), (10_000, 8), (50_000, 8)]
    assert [csvzip.Layout(*one).shard(segment) for one in layouts] == expected


@pytest.mark.parametrize("columns", [64, 128])
@pytest.mark.parametrize("bytewidth", [8, 64])
def test_there_and_back(tmp_path, columns, bytewidth):
    layout = csvzip.Layout(50_000, bytewidth)
    first, second = rows(columns=columns), rows(3, columns, seed=1)
    shard = layout.shard(SEGMENT)
    count = csvzip.write_shard(tmp_path, shard, [(SEGMENT, [first])], layout)
    assert count == 5
    reader = csvzip.Reader(str(tmp_path), layout, columns)
    assert_same(reader.get(SEGMENT), first)
    csvzip.write_shard(
        tmp_path,
        shard,
        [(SEGMENT, [second])],
        layout,
    )
    seen = 0
    for segment, blocks in reader.segments(shard):
        assert segment == SEGMENT
        assert_same(csvzip.joined(blocks), second)
        seen += 1
    assert seen == 1
    assert reader.get(SEGMENT).vectors.shape == (3, columns)


def test_columns_that_begin_with_whole_numbers(tmp_path):
    """Of many megabytes, only the last row has fractions."""
    many = rows(20_000, 8)
    many.vectors[:-1, 3] = 0
    many.positions_xyz[:-1] = 7
    csvzip.write_shard(tmp_path, SMALL.shard(7), [(7, [many])], SMALL)
    assert_same(csvzip.Reader(str(tmp_path), SMALL).get(7), many)


def test_same_rows_same_bytes(tmp_path):
    found = set()
    for name in ("one", "other"):
        shard = SMALL.shard(7)
        csvzip.write_shard(tmp_path / name, shard, [(7, [rows()])], SMALL)
        data = (tmp_path / name / f"{shard}.zip").read_bytes()
        found.add(hashlib.sha256(data).hexdigest())
    assert len(found) == 1


def test_voxels_are_whole_numbers(tmp_path):
    one = csvzip.Rows(
        np.array([3]), np.array([[10.0, 20.0, 30.0]]), np.ones((1, 2), "f4")
    )
    shard = SMALL.shard(7)
    csvzip.write_shard(tmp_path, shard, [(7, [one])], SMALL)
    with zipfile.ZipFile(tmp_path / f"{shard}.zip") as archive:
        assert archive.read("7.csv") == b"3,10,20,30,1,1\n"


def test_in_blocks(tmp_path, monkeypatch):
    """What is in memory is bounded by a block, not by a segment."""
    monkeypatch.setattr(csvzip, "_BLOCK_BYTES", 10_000)
    many = rows(500, 8)
    parts = [
        csvzip.Rows(
            many.node_ids[i : i + 100],
            many.positions_xyz[i : i + 100],
            many.vectors[i : i + 100],
        )
        for i in range(0, 500, 100)
    ]
    csvzip.write_shard(tmp_path, SMALL.shard(7), [(7, parts)], SMALL)
    reader = csvzip.Reader(str(tmp_path), SMALL)
    blocks = list(reader.blocks(7))
    assert len(blocks) > 3
    assert max(map(len, blocks)) < 200
    assert_same(reader.get(7), many)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n"])
def test_trailing_newlines(shard_of, end):
    found = shard_of("4,1,2,3,0.5,-1e-3\n5,1.5,2,3,0.25,7" + end).get(7)
    np.testing.assert_array_equal(found.node_ids, [4, 5])
    np.testing.assert_array_equal(found.positions_xyz, [[1, 2, 3], [1.5, 2, 3]])
    np.testing.assert_allclose(found.vectors, [[0.5, -1e-3], [0.25, 7]])


def test_a_row_twice(shard_of):
    found = shard_of("4,1,2,3,0.5\n5,1,2,3,0.7\n4,1,2,3,0.5\n").get(7)
    np.testing.assert_array_equal(found.node_ids, [4, 5])
    # Two nodes may be in one place (google's reader fails there).
    assert len(found) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4,1,2,3,0.5\n4,1,2,3,0.6\n", "node 4 has two different embeddings"),
        ("4,1,2,3,0.5\n5,1,2,3,0.6,0.7\n", "Expected 5 columns, got 6"),
        ("4,1,2,3\n", "found 4 columns"),
        ("4,1,2,3,x\n", "x"),
        ("4,1,2,3,0.5,nan\n", "not finite"),
        ("4,1,2,3,0.5,\n", "invalid value"),
        (",1,2,3,0.5\n", "invalid value"),
        ("4,1,inf,3,0.5\n", "a position or an embedding is not finite"),
        ("4,2022-01-01,2,3,0.5\n", "expected rows of node id.*2022-01-01"),
        ("2022-01-01,1,2,3,0.5\n", "expected rows of node id.*2022-01-01"),
        ("node,x,y,z,e0\n4,1,2,3,0.5\n", "rows of node id.*'node'"),
        ("4,1,2,3,true\n", "expected rows of node id.*true"),
        ("", "has no rows"),
    ],
)
def test_wrong_rows(shard_of, text, message):
    reader = shard_of(text)
    with pytest.raises(ValueError, match=message) as caught:
        reader.get(7)
    assert f"{SMALL.shard(7)}.zip, 7.csv: " in str(caught.value)


def test_other_columns_than_asked_for(shard_of, tmp_path):
    shard_of("4,1,2,3,0.5,0.6\n")
    reader = csvzip.Reader(str(tmp_path), SMALL, columns=64)
    with pytest.raises(ValueError, match="and 64 in each row, found 6 columns"):
        reader.get(7)


def test_nothing_there(shard_of, tmp_path):
    reader = shard_of("4,1,2,3,0.5\n", name="8.csv")
    with pytest.raises(KeyError, match=r"Segment 7 has no embeddings.*64"):
        reader.get(7)
    with pytest.raises(KeyError, match=r"9\.zip: no such zip"):
        csvzip.Reader(str(tmp_path), csvzip.Layout(10)).get(
            next(i for i in range(99) if csvzip.Layout(10).shard(i) == 9)
        )


def test_damaged(shard_of, tmp_path):
    reader = shard_of("4,1,2,3,0.5\n" * 100)
    path = tmp_path / f"{SMALL.shard(7)}.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="damaged"):
        reader.get(7)


def test_other_files(shard_of):
    reader = shard_of("", name="readme.txt")
    with pytest.raises(ValueError, match=r"named ID\.csv, found 'readme.txt'"):
        list(reader.segments(SMALL.shard(7)))


@pytest.mark.parametrize("name", ["007.csv", "7.CSV", "7.csv.gz", "²7.csv"])
def test_names_that_are_no_ids(shard_of, name):
    reader = shard_of("4,1,2,3,0.5\n", name=name)
    with pytest.raises(ValueError, match=r"ID\.csv, found .*Leave such files"):
        list(reader.segments(SMALL.shard(7)))


def test_folders_in_a_zip(shard_of, tmp_path):
    reader = shard_of("4,1,2,3,0.5\n")
    shard = SMALL.shard(7)
    with zipfile.ZipFile(tmp_path / f"{shard}.zip", "a") as archive:
        archive.mkdir("7")
    found = {
        id_: csvzip.joined(blocks) for id_, blocks in reader.segments(shard)
    }
    assert list(found) == [7] and len(found[7]) == 1


@pytest.mark.parametrize("id_", [-1, 2**64, np.int64(-5)])
def test_ids_without_room(id_):
    with pytest.raises(
        ValueError, match=r"Segment -?\d+: expected an id .* 8 by"
    ):
        csvzip.Layout(10, 8).shard(id_)


def test_ids_of_numpy():
    layout = csvzip.Layout(10, 8)
    assert layout.shard(np.uint64(2**64 - 1)) == layout.shard(2**64 - 1)


@pytest.mark.parametrize("whole", [0, 1 << 30])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_pieces(shard_of, tmp_path, monkeypatch, whole, method):
    """At once and in pieces; a wrong checksum is found either way."""
    monkeypatch.setattr(zip_members, "_WHOLE_BYTES", whole)
    monkeypatch.setattr(csvzip, "_BLOCK_BYTES", 1000)
    reader = shard_of("")
    text = "".join(f"{i},1,2,3,{i / 7}\n" for i in range(1000))
    path = tmp_path / f"{SMALL.shard(7)}.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("7.csv", text)
    found = reader.get(7)
    np.testing.assert_array_equal(found.node_ids, np.arange(1000))
    np.testing.assert_allclose(found.vectors[:, 0], np.arange(1000) / 7)
    with zipfile.ZipFile(path) as archive:
        crc = archive.getinfo("7.csv").CRC.to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(crc, b"oops"))
    with pytest.raises(ValueError, match=r"7\.csv: damaged: the checksum"):
        reader.get(7)


def test_damage_within(shard_of, tmp_path):
    reader = shard_of("".join(f"{i},1,2,3,{i / 7}\n" for i in range(1000)))
    path = tmp_path / f"{SMALL.shard(7)}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("7.csv", "4,1,2,3,0.5\n" * 99)
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"7\.csv: damaged"):
        reader.get(7)
    data[:2] = b"XX"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged: no member where"):
        reader.get(7)


def test_other_compression(shard_of, tmp_path):
    reader = shard_of("")
    path = tmp_path / f"{SMALL.shard(7)}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("7.csv", "4,1,2,3,0.5\n")
    with pytest.raises(ValueError, match="by method 12; expected 8, deflate"):
        reader.get(7)


def test_many_blocks_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(csvzip, "_SMALL_BYTES", 0)
    monkeypatch.setattr(csvzip, "_BLOCK_BYTES", 3000)
    many = rows(1000, 8)
    csvzip.write_shard(tmp_path, SMALL.shard(7), [(7, [many])], SMALL)
    assert_same(csvzip.Reader(str(tmp_path), SMALL).get(7), many)


def test_the_wrong_shard(tmp_path):
    wrong = (SMALL.shard(7) + 1) % 3
    with pytest.raises(ValueError, match="Segment 7 belongs into"):
        csvzip.write_shard(tmp_path, wrong, [(7, [rows()])], SMALL)
    assert not list(tmp_path.glob("*.zip"))
