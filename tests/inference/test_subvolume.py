"""Subvolume files: ours, google/ffn's, damaged ones and hostile ones."""

import collections
import dataclasses
import io
import json
import os
import pathlib
import pickle
import shutil
import sys
import types
import zipfile
import zlib

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import pickles
from ffn_tf.inference import subvolume as subvolume_lib

DATA = volume.dataset.data_dir()
PUBLISHED = DATA / "fib25/sample-training2.npz"
GOOGLE3 = "google3.research.neuromancer.segmentation.ffn.storage"

OriginInfo = subvolume_lib.OriginInfo


def make(**changes) -> subvolume_lib.Subvolume:
    """Every voxel different, so that no two axes can be confused."""
    labels = np.arange(2 * 3 * 4, dtype=np.int32).reshape(2, 3, 4)
    made = subvolume_lib.Subvolume(
        box=volume.Box.from_size((5, 6, 7), labels.shape),
        segmentation=labels,
        origins={
            23: OriginInfo((1, 2, 3), 2**40, 1.5),
            1: OriginInfo((0, 0, 1), 7, 2.5),
        },
        overlaps={
            23: np.array([[1, 2], [300, 2**40]]),
            1: np.zeros((2, 0), np.int64),
        },
        counters={"b": 2, "a": 1},
        request=b"\x01\x02\x00",
        provenance={"voxel_size_nm": [30, 20, 10], "code": "0.1"},
    )
    return dataclasses.replace(made, **changes)


def check_same(found, expected) -> None:
    assert found.box == expected.box
    np.testing.assert_array_equal(found.segmentation, expected.segmentation)
    assert {k: (o.start_zyx, o.iters) for k, o in found.origins.items()} == {
        k: (o.start_zyx, o.iters) for k, o in expected.origins.items()
    }
    assert found.overlaps.keys() == expected.overlaps.keys()
    for key, table in expected.overlaps.items():
        np.testing.assert_array_equal(found.overlaps[key], table)
        assert found.overlaps[key].dtype == np.int64
    assert found.counters == expected.counters
    assert found.request == expected.request
    assert found.provenance == expected.provenance


@pytest.fixture
def google(monkeypatch):
    """google/ffn's module, as far as its pickles are concerned."""

    def install(name: str):
        for i in range(1, len(name.split("."))):
            package = ".".join(name.split(".")[:i])
            monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        module = types.ModuleType(name)
        module.OriginInfo = collections.namedtuple(
            "OriginInfo", ["start_zyx", "iters", "walltime_sec"]
        )
        module.OriginInfo.__module__ = name
        monkeypatch.setitem(sys.modules, name, module)
        return module.OriginInfo

    return install


def pickled_npz(path: pathlib.Path, origins: bytes, **arrays) -> pathlib.Path:
    """A subvolume file whose `origins` is the pickle `origins`."""
    np.savez(path, segmentation=np.ones((1, 1, 1), np.uint8), **arrays)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("origins.npy", header.getvalue() + origins)
    return path


# -- names --------------------------------------------------------------------


def test_path_is_xyz() -> None:
    path = subvolume_lib.path_for("out", (30, 20, 10))
    assert path == pathlib.Path("out/10/20/seg-10_20_30.npz")


def test_negative_corner_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="negative corner zyx 3, -2, 1"):
        subvolume_lib.path_for("out", (3, -2, 1))
    with pytest.raises(ValueError, match="negative corner"):
        box = volume.Box.from_size((0, 0, -1), (2, 3, 4))
        subvolume_lib.save(tmp_path, make(box=box))


def test_find_reads_nested_and_flat_names(tmp_path) -> None:
    nested = subvolume_lib.save(tmp_path, make())
    box = volume.Box.from_size((0, 0, 1), (2, 3, 4))
    other = subvolume_lib.save(tmp_path, make(box=box))
    flat = tmp_path / other.name
    other.rename(flat)
    (tmp_path / nested.name).write_bytes(b"the nested one counts")
    assert subvolume_lib.find(tmp_path) == {(0, 0, 1): flat, (5, 6, 7): nested}
    assert subvolume_lib.load(flat).box == box


def test_a_file_of_ours_knows_where_it_lies(tmp_path) -> None:
    start = (4, 5, 6)
    labels = np.ones((2, 3, 4), np.int32)
    made = subvolume_lib.Subvolume(
        volume.Box.from_size(start, labels.shape),
        labels,
        {},
        {},
        {},
        b"",
        {"start_zyx": start},
    )
    path = subvolume_lib.save(tmp_path, made)
    renamed = tmp_path / "renamed.npz"
    shutil.copy(path, renamed)
    for each in (path, renamed):
        assert subvolume_lib.load(each).box == made.box
    shutil.copy(path, tmp_path / "seg-1_2_3.npz")
    with pytest.raises(ValueError, match=r"says corner zyx \(3, 2, 1\)"):
        subvolume_lib.load(tmp_path / "seg-1_2_3.npz")


def test_header_says_it_without_the_voxels(tmp_path) -> None:
    made = make()
    path = subvolume_lib.save(tmp_path, made)
    header = subvolume_lib.header(path)
    assert (header.box, header.request) == (made.box, made.request)
    assert header.provenance == made.provenance
    with zipfile.ZipFile(path) as file:
        data = file.read("segmentation.npy")
    assert header.checksum == zlib.crc32(data)
    other = make(segmentation=made.segmentation[::-1])
    subvolume_lib.save(tmp_path, other)
    assert subvolume_lib.header(path).checksum != header.checksum


def test_header_of_google_ffns(tmp_path) -> None:
    path = pickled_npz(tmp_path / "seg-7_6_5.npz", b"", request=b"\x01")
    header = subvolume_lib.header(path)
    assert header.box == volume.Box.from_size((5, 6, 7), (1, 1, 1))
    assert (header.request, header.provenance) == (b"\x01", {})


def test_header_of_no_such_thing(tmp_path) -> None:
    path = tmp_path / "seg-7_6_5.npz"
    with pytest.raises(FileNotFoundError):
        subvolume_lib.header(path)
    np.savez(path, labels=np.ones((1, 1, 1)))
    with pytest.raises(ValueError, match="no 'segmentation' in it"):
        subvolume_lib.header(path)
    np.savez(path, segmentation=np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"seg-7_6_5\.npz: cannot be read"):
        subvolume_lib.header(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("segmentation.npy", b"\x93NUMPY\x09\x00")
    with pytest.raises(ValueError, match=r"an array format \(9, 0\)"):
        subvolume_lib.header(path)


def test_find_refuses_a_name_without_corner(tmp_path) -> None:
    (tmp_path / "seg-a.npz").touch()
    with pytest.raises(ValueError, match=r"seg-a.npz: expected a name like"):
        subvolume_lib.find(tmp_path)


# -- ours ---------------------------------------------------------------------


def test_saved_then_loaded(tmp_path) -> None:
    path = subvolume_lib.save(tmp_path, make())
    assert path == tmp_path / "7/6/seg-7_6_5.npz"
    check_same(subvolume_lib.load(path), make())
    assert subvolume_lib.checked_provenance(path) == make().provenance


def test_an_empty_result(tmp_path) -> None:
    nothing = subvolume_lib.Subvolume(
        box=volume.Box.from_size((0, 0, 0), (1, 2, 3)),
        segmentation=np.zeros((1, 2, 3), np.int32),
    )
    path = subvolume_lib.save(tmp_path, nothing)
    check_same(subvolume_lib.load(path), nothing)


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [
        (0, np.uint8),
        (255, np.uint8),
        (256, np.uint16),
        (65536, np.uint32),
        (2**32, np.uint64),
    ],
)
def test_ids_take_as_few_bytes_as_they_need(tmp_path, highest, dtype) -> None:
    labels = np.full((2, 3, 4), highest, np.int64)
    path = subvolume_lib.save(tmp_path, make(segmentation=labels))
    found = subvolume_lib.load(path).segmentation
    assert found.dtype == dtype
    assert (found == highest).all()


def test_same_input_same_bytes(tmp_path, monkeypatch) -> None:
    first = subvolume_lib.save(tmp_path / "a", make()).read_bytes()
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    slower = {
        key: dataclasses.replace(origin, walltime_sec=99.0)
        for key, origin in reversed(make().origins.items())
    }
    again = make(origins=slower, counters={"a": 1, "b": 2})
    assert subvolume_lib.save(tmp_path / "b", again).read_bytes() == first
    other = make(counters={"a": 1, "b": 3})
    assert subvolume_lib.save(tmp_path / "c", other).read_bytes() != first


def test_walltime_is_written_as_zero(tmp_path) -> None:
    path = subvolume_lib.save(tmp_path, make())
    assert subvolume_lib.load(path).origins[1].walltime_sec == 0.0


def test_nothing_is_left_of_a_failed_write(tmp_path) -> None:
    with pytest.raises(ValueError, match="no negative ids, found -1"):
        subvolume_lib.save(
            tmp_path, make(segmentation=np.full((2, 3, 4), -1, np.int32))
        )
    with pytest.raises(ValueError, match=r"overlaps: expected \[2, n\]"):
        subvolume_lib.save(tmp_path, make(overlaps={1: np.zeros(3)}))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_segmentation_must_fill_its_box() -> None:
    with pytest.raises(ValueError, match=r"found int32 of shape \(2, 3, 5\)"):
        make(segmentation=np.zeros((2, 3, 5), np.int32))
    with pytest.raises(ValueError, match="found float64"):
        make(segmentation=np.zeros((2, 3, 4)))


@hypothesis.given(
    st.dictionaries(
        st.integers(1, 2**63),
        st.tuples(
            st.tuples(*[st.integers(0, 2**31)] * 3), st.integers(0, 2**63)
        ),
    ),
    st.dictionaries(
        st.integers(1, 2**31),
        hnp.arrays(np.int64, st.tuples(st.just(2), st.integers(0, 4))),
    ),
)
def test_dictionaries_survive(origins, overlaps) -> None:
    expected = {key: OriginInfo(*fields) for key, fields in origins.items()}
    data = pickles.origins_member(expected)
    assert pickles.read_origins(data, "x") == expected
    found = pickles.read_overlaps(pickles.overlaps_member(overlaps), "x")
    assert found.keys() == overlaps.keys()
    for key, table in overlaps.items():
        np.testing.assert_array_equal(found[key], table, strict=True)


# -- google/ffn's -------------------------------------------------------------


def test_numpy_and_google_ffn_read_ours(tmp_path, google) -> None:
    origin_class = google("ffn.inference.storage")
    path = subvolume_lib.save(tmp_path, make())
    with np.load(path, allow_pickle=True) as archive:
        np.testing.assert_array_equal(
            archive["segmentation"], make().segmentation
        )
        origins = archive["origins"].item()
        overlaps = archive["overlaps"].item()
        assert json.loads(archive["counters"].item()) == {"a": 1, "b": 2}
        # numpy drops the zeros at the end of bytes; requests of ours have none.
        assert archive["request"].item() == b"\x01\x02"
    assert origins == {
        1: origin_class((0, 0, 1), 7, 0.0),
        23: origin_class((1, 2, 3), 2**40, 0.0),
    }
    assert isinstance(origins[1], origin_class)
    np.testing.assert_array_equal(
        overlaps[23], make().overlaps[23], strict=True
    )
    assert overlaps[1].shape == (2, 0)


@pytest.mark.parametrize("module", ["ffn.inference.storage", GOOGLE3])
def test_we_read_google_ffns(tmp_path, google, module) -> None:
    origin_class = google(module)
    expected = make(provenance={})
    origins = {
        np.int64(1): origin_class(np.array([0, 0, 1]), np.int32(7), 0.5),
        23: origin_class(tuple(np.int64([1, 2, 3])), 2**40, np.float32(0.25)),
    }
    path = tmp_path / "seg-7_6_5.npz"
    np.savez_compressed(
        path,
        segmentation=expected.segmentation.astype(np.uint8),
        origins=origins,
        overlaps=expected.overlaps,
        request=expected.request,
        counters=json.dumps(expected.counters),
    )
    found = subvolume_lib.load(path)
    check_same(found, expected)
    assert found.origins[1] == OriginInfo((0, 0, 1), 7, 0.5)
    assert found.origins[23].walltime_sec == 0.25
    assert type(found.origins[1].start_zyx[0]) is int


def test_big_endian_and_fortran_arrays(google) -> None:
    google("ffn.inference.storage")
    table = np.asfortranarray(np.arange(6).reshape(2, 3), ">i4")
    file = io.BytesIO()
    np.save(file, np.array({5: table}, object), allow_pickle=True)
    found = pickles.read_overlaps(file.getvalue(), "x")
    np.testing.assert_array_equal(found[5], [[0, 1, 2], [3, 4, 5]])


def test_published_result_loads() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"no data: {PUBLISHED}")
    found = subvolume_lib.load(PUBLISHED)
    assert found.box == volume.Box.from_size((0, 0, 0), (250, 250, 250))
    assert len(found.origins) == 254
    assert found.origins[1].start_zyx == (16, 18, 109)
    assert found.origins[1].iters == 1884
    assert found.counters["predict-calls"] == 25799
    for key, origin in found.origins.items():
        assert found.segmentation[origin.start_zyx] == key
    assert found.overlaps == {}
    assert found.provenance == {}


# -- damaged and hostile ------------------------------------------------------


class Payload:
    """A pickle of it calls `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_not_run(tmp_path, protocol) -> None:
    proof = tmp_path / "executed"
    data = pickle.dumps(Payload(os.mkdir, str(proof)), protocol)
    path = pickled_npz(tmp_path / "seg-0_0_0.npz", data)
    with pytest.raises(
        ValueError, match=r"seg-0_0_0.npz.*asks for posix.mkdir"
    ):
        subvolume_lib.load(path)
    assert not proof.exists()
    pickle.loads(data)  # The payload is live.
    assert proof.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("ffn.inference.storage", "os"),
        ("ffn_tf.inference.pickles", "OriginInfo"),
        ("copyreg", "_reconstructor"),
    ],
)
@pytest.mark.parametrize("read", [pickles.read_origins, pickles.read_overlaps])
def test_no_other_name_is_admitted(read, module, name) -> None:
    header = pickles.origins_member({})[:128]
    for opcodes in (
        f"c{module}\n{name}\n.".encode(),
        b"\x80\x04\x8c%c%b\x8c%c%b\x93."
        % (len(module), module.encode(), len(name), name.encode()),
    ):
        with pytest.raises(ValueError, match=f"asks for {module}.{name}"):
            read(header + opcodes, "x")


def test_flags_of_an_object_dtype_are_not_believed() -> None:
    """With numpy's own functions, the eight bytes would become a pointer."""
    good = pickles.overlaps_member({1: np.zeros((2, 1), np.int64)})
    assert good.count(b"i8") == 1
    bad = good.replace(b"i8", b"O8")
    with pytest.raises(ValueError, match="an array of 'O8' in it"):
        pickles.read_overlaps(bad, "x")


@pytest.mark.parametrize(
    "name",
    [
        "ffn.inference.storage\nOriginInfo",
        "numpy\ndtype",
        "numpy.core.multiarray\n_reconstruct",
        "numpy.core.multiarray\nscalar",
    ],
)
def test_a_file_cannot_change_our_classes(name) -> None:
    header = pickles.origins_member({})[:128]
    # BUILD with a state (None, {...}) sets attributes, of a class too.
    state = pickle.dumps((None, {"poison": 1}), 2)[2:-1]
    opcodes = f"c{name}\n".encode() + state + b"b."
    with pytest.raises(ValueError, match="missing 1 required positional"):
        pickles.read_origins(header + opcodes, "x")
    for known in pickles._KNOWN.values():
        assert not hasattr(known, "poison")


def test_every_truncation_is_an_error() -> None:
    data = pickles.origins_member(make().origins)
    for size in range(len(data)):
        with pytest.raises(ValueError, match=r"^origins cannot be read"):
            pickles.read_origins(data[:size], "origins")


def test_damaged_archives(tmp_path) -> None:
    path = subvolume_lib.save(tmp_path, make())
    data = path.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"seg-7_6_5.npz: cannot be read"):
            subvolume_lib.load(path)
    middle = len(data) // 3
    path.write_bytes(
        data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
    )
    with pytest.raises(ValueError, match=r"seg-7_6_5.npz: cannot be read"):
        subvolume_lib.load(path)


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path) -> None:
    path = subvolume_lib.save(tmp_path, make())
    whole, expected = path.read_bytes(), subvolume_lib.load(path)
    bits = np.random.default_rng(0).integers(8, size=len(whole))
    for at, bit in enumerate(bits):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            made_by = subvolume_lib.checked_provenance(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:  # Without it, no run takes the file for its own.
            if made_by:
                check_same(subvolume_lib.load(path), expected)


def test_missing_file_and_missing_key(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        subvolume_lib.load(tmp_path / "none.npz")
    path = tmp_path / "other.npz"
    np.savez(path, labels=np.zeros(3))
    with pytest.raises(ValueError, match=r"no 'segmentation'.*holds labels"):
        subvolume_lib.load(path)


def test_an_unexpected_pickle_or_array(tmp_path) -> None:
    for content in ([1, 2], {"a": 1}, {1: "start"}, {1: (1, 2)}):
        path = pickled_npz(tmp_path / "a.npz", pickle.dumps(content))
        with pytest.raises(ValueError, match=r"a\.npz: .*origins cannot be"):
            subvolume_lib.load(path)
    path = tmp_path / "b.npz"
    ones = np.ones((1, 1, 1), np.uint8)
    np.savez(path, segmentation=ones, origins=ones)
    with pytest.raises(ValueError, match="expected one pickled dictionary"):
        subvolume_lib.load(path)


def test_a_segmentation_may_not_be_pickled(tmp_path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, segmentation=np.array([None]), origins=np.array({}))
    with pytest.raises(ValueError, match=r"a.npz: .*Object arrays cannot"):
        subvolume_lib.load(path)


# -- as a volume --------------------------------------------------------------


def test_one_subvolume_is_a_volume(tmp_path) -> None:
    path = subvolume_lib.save(tmp_path, make())
    for name in (tmp_path, path):
        opened = subvolume_lib.open_result(str(name))
        assert opened.domain == make().box
        assert opened.voxel_size_nm == (30, 20, 10)
        assert opened.info.kind == "segmentation"
        box = volume.Box((6, 6, 7), (7, 8, 11))
        np.testing.assert_array_equal(
            opened.read(box), make().segmentation[1:2, 0:2, 0:4]
        )


def test_several_subvolumes_are_not(tmp_path) -> None:
    subvolume_lib.save(tmp_path, make())
    box = volume.Box.from_size((0, 0, 1), (2, 3, 4))
    subvolume_lib.save(tmp_path, make(box=box))
    with pytest.raises(ValueError, match=r"found 2\. .*reconciled"):
        subvolume_lib.open_result(str(tmp_path))


def test_no_subvolume(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no seg-"):
        subvolume_lib.open_result(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        subvolume_lib.open_result(f"{tmp_path}/none.npz")
