"""One Volume for every format: what is written is what is read."""

import copy
import json
import pathlib
import tempfile

import h5py
import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume

Box = volume.Box

ADDRESSES = {
    "hdf5": "{}/em.h5:volumes/raw",
    "npy": "{}/em.npy",
    "precomputed": "precomputed://{}/em",
    "zarr": "zarr://{}/em",
    "zarr3": "zarr3://{}/em",
    "n5": "n5://{}/em",
}
every_format = pytest.mark.parametrize("name", ADDRESSES)

# Odd sizes, chunks that do not divide them, a domain that begins below zero
# on one axis, and every voxel different.
DOMAIN = Box((-5, 10, 3), (2, 21, 16))
INFO = volume.VolumeInfo(
    DOMAIN, np.dtype(np.uint16), (33.5, 8.0, 4.0), (4, 5, 6), "image"
)
VOXELS = np.arange(DOMAIN.num_voxels, dtype=np.uint16).reshape(DOMAIN.size)


def part(box):
    return VOXELS[box.relative_to(DOMAIN.start).slices]


def written(name, folder, info=INFO, voxels=VOXELS):
    address = ADDRESSES[name].format(folder)
    with volume.create(address, info, attributes={"by": ["test", 1]}) as new:
        new.write(info.domain, voxels)
    return address


def test_in_memory():
    array = VOXELS.copy()
    held = volume.from_array(array, voxel_size_nm=(3, 2, 1), start=(-5, 10, 3))
    assert (held.domain, held.dtype) == (DOMAIN, np.uint16)
    assert held.voxel_size_nm == (3.0, 2.0, 1.0)
    box = Box((-1, 11, 4), (2, 14, 9))
    held.write(box, part(box) + np.uint16(1))
    np.testing.assert_array_equal(held.read(box), part(box) + 1)
    np.testing.assert_array_equal(array[4:7, 1:4, 1:6], part(box) + 1)
    held.read()[:] = 0  # a copy
    assert array.any()


@every_format
def test_reopened_it_is_what_was_created(name, tmp_path):
    address = written(name, tmp_path)
    with volume.open(address) as found:
        assert found.info == INFO
        assert found.attributes == {"by": ["test", 1]}
        assert found.address == address
        np.testing.assert_array_equal(found.read(), VOXELS)


@every_format
def test_parts_are_read_in_the_volume_s_coordinates(name, tmp_path):
    boxes = [
        Box((-5, 10, 3), (-4, 11, 4)),
        Box((-3, 12, 5), (1, 20, 13)),
        Box((1, 20, 15), (2, 21, 16)),
        Box((0, 12, 5), (0, 20, 13)),
    ]
    with volume.open(written(name, tmp_path)) as found:
        for box, voxels in zip(boxes, found.read_many(boxes)):
            np.testing.assert_array_equal(voxels, part(box))
            assert voxels.flags.c_contiguous and voxels.flags.writeable
            np.testing.assert_array_equal(found.read(box), part(box))


NO_BOOL = ("precomputed", "n5")


@pytest.mark.parametrize(
    "name, dtype",
    [
        (name, dtype)
        for name in ADDRESSES
        for dtype in ("u1", "i2", "u4", "u8", "f4", "bool")
        if not (name in NO_BOOL and dtype == "bool")
    ],
)
def test_dtypes(name, dtype, tmp_path):
    dtype = np.dtype(dtype)
    domain = Box((0, 0, 0), (3, 5, 7))
    voxels = np.arange(105).reshape(domain.size).astype(dtype)
    if dtype == np.uint64:
        voxels[0, 0, 0] = 2**64 - 1
    address = written(name, tmp_path, volume.VolumeInfo(domain, dtype), voxels)
    with volume.open(address) as found:
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.read(), voxels)


@pytest.mark.parametrize("name", NO_BOOL)
def test_a_dtype_that_the_format_lacks(name, tmp_path):
    info = volume.VolumeInfo(DOMAIN, np.dtype(bool))
    with pytest.raises(ValueError, match=r"cannot be created.*bool"):
        volume.create(ADDRESSES[name].format(tmp_path), info)


def test_ids_and_images_are_told_apart(tmp_path):
    for dtype, kind in [
        (np.uint8, "image"),
        (np.uint16, "image"),
        (np.float32, "image"),
        (np.uint32, "segmentation"),
        (np.int64, "segmentation"),
    ]:
        assert volume.VolumeInfo(DOMAIN, np.dtype(dtype)).kind == kind


@every_format
@hypothesis.settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(data=st.data())
def test_boxes_written_in_any_order(name, data):
    """Overlapping odd boxes: the same as in a numpy array."""
    triple = st.tuples(*[st.integers(1, 9)] * 3)
    start = data.draw(st.tuples(*[st.integers(-9, 9)] * 3))
    domain = Box.from_size(start, data.draw(triple))
    info = volume.VolumeInfo(domain, np.uint32, chunk_zyx=data.draw(triple))
    expected = np.zeros(domain.size, np.uint32)
    with tempfile.TemporaryDirectory() as folder:
        address = ADDRESSES[name].format(folder)
        with volume.create(address, info) as new:
            new.write(domain, expected)
            for value in range(1, 4):
                corner = [
                    data.draw(st.integers(s, e - 1))
                    for s, e in zip(domain.start, domain.end)
                ]
                box = Box.from_size(corner, data.draw(triple)).clipped(domain)
                voxels = np.arange(box.num_voxels, dtype=np.uint32) * 4 + value
                new.write(box, voxels.reshape(box.size))
                expected[box.relative_to(start).slices] = voxels.reshape(
                    box.size
                )
            np.testing.assert_array_equal(new.read(), expected)
        with volume.open(address) as found:
            assert found.domain == domain
            np.testing.assert_array_equal(found.read(), expected)


@every_format
def test_a_part_can_be_replaced_later(name, tmp_path):
    address = written(name, tmp_path)
    box = Box((-2, 12, 4), (1, 19, 11))
    before = volume.open(address)
    before.read()
    if name == "hdf5":  # HDF5 has one way of opening a file at a time.
        with pytest.raises(OSError, match="open elsewhere"):
            volume.open(address, mode="r+")
        before.close()
    with volume.open(address, mode="r+") as again:
        again.write(box, np.zeros(box.size, np.uint16))
    before.close()
    expected = VOXELS.copy()
    expected[box.relative_to(DOMAIN.start).slices] = 0
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), expected)


@every_format
def test_what_does_not_fit_is_refused(name, tmp_path):
    address = written(name, tmp_path)
    outside = Box((-5, 10, 3), (3, 21, 16))
    with volume.open(address) as found:
        with pytest.raises(ValueError, match=r"not inside.*\(2, 21, 16\)"):
            found.read(outside)
        with pytest.raises(ValueError, match="not inside"):
            found.read_many([DOMAIN, outside])
        with pytest.raises(ValueError, match=r'mode "r\+"'):
            found.write(DOMAIN, VOXELS)
    with volume.open(address, mode="r+") as found:
        with pytest.raises(ValueError, match="not inside"):
            found.write(outside, np.zeros(outside.size, np.uint16))
        with pytest.raises(ValueError, match=r"holds uint16.*of float32"):
            found.write(DOMAIN, VOXELS.astype(np.float32))
        with pytest.raises(ValueError, match=r"shape \(7, 11, 13\), found"):
            found.write(DOMAIN, VOXELS[:-1])
        np.testing.assert_array_equal(found.read(), VOXELS)


@every_format
def test_nothing_is_overwritten(name, tmp_path):
    address = written(name, tmp_path)
    with pytest.raises(FileExistsError, match="exists already"):
        volume.create(address, INFO)
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


@every_format
def test_missing(name, tmp_path):
    address = ADDRESSES[name].format(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        volume.open(address)
    assert address in str(caught.value)


def test_missing_with_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="which does not exist"):
        volume.open(f"{tmp_path}/nowhere.zarr")
    (tmp_path / "some.zarr").mkdir()
    with pytest.raises(FileNotFoundError, match=r"some\.zarr\.$"):
        volume.open(f"{tmp_path}/some.zarr")


def test_of_two_failures_the_first_is_told():
    """A disk that is full fails again when the file is closed."""
    held = volume.from_array(VOXELS.copy())

    def fail():
        raise OSError("again")

    held._source.close = fail
    with pytest.raises(KeyError, match="first"):
        with held:
            raise KeyError("first")
    with pytest.raises(OSError, match="again"):
        with held:
            held.read()


def test_from_array_of_the_wrong_rank():
    for shape in ((3, 4), (2, 3, 4, 5)):
        with pytest.raises(ValueError, match=f"found {len(shape)} axes"):
            volume.from_array(np.zeros(shape))
    with pytest.raises(ValueError, match="Voxels are numbers"):
        volume.from_array(np.zeros((3, 4, 5), object))


def test_voxels_that_are_no_numbers_are_named_with_their_place(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.full((1, 1, 1), b"text")
    with pytest.raises(ValueError, match=r"a\.h5:x: Voxels are numbers"):
        volume.open(f"{tmp_path}/a.h5:x")


_METADATA = {
    "precomputed": "info",
    "zarr": ".zattrs",
    "zarr3": "zarr.json",
    "n5": "attributes.json",
}
_NONSENSE = ["NaN", "Infinity", "1e999", "null", "true", "[]", '{"a": 1}']
_NONSENSE += ["[" * 10**5, '"x"', '["a", "b", "c"]', "-5"]


@pytest.mark.parametrize("name", _METADATA)
def test_metadata_that_make_no_sense(name, tmp_path):
    """Each value of them in turn: an error that we mean to raise, or none."""
    address = written(name, tmp_path)
    path = tmp_path / "em" / _METADATA[name]
    whole = json.loads(path.read_text())
    for place in _places(whole):
        for nonsense in _NONSENSE:
            text = json.dumps(_replaced(whole, place, "@")).replace(
                '"@"', nonsense
            )
            path.write_text(text)
            for query in ("", "?resolution_nm=33.5,8,4", "?mip=7"):
                try:
                    with volume.open(address + query) as found:
                        assert isinstance(found.attributes, dict)
                except (ValueError, OSError) as error:
                    assert str(tmp_path) in str(error), error


def _places(value):
    """The keys on the way to each value in a JSON value."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (key,)
            for rest in _places(value[key]):
                yield (key, *rest)


def _replaced(value, place, new):
    found = copy.deepcopy(value)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return found


@pytest.mark.parametrize("mode", ["w", "a", ""])
def test_modes(mode):
    with pytest.raises(ValueError, match="expected r or r"):
        volume.open("em.h5:raw", mode=mode)


def test_read_only_formats_cannot_be_created_or_changed(tmp_path):
    np.savez(tmp_path / "a.npz", x=VOXELS)
    address = f"{tmp_path}/a.npz:x"
    with pytest.raises(ValueError, match="only read"):
        volume.open(address, mode="r+")
    with pytest.raises(ValueError, match="only read"):
        volume.create(address, INFO)
    with pytest.raises(ValueError, match="remove what follows"):
        volume.create(f"precomputed://{tmp_path}/em?mip=1", INFO)
    with pytest.raises(ValueError, match="without voxels"):
        volume.create(
            f"{tmp_path}/em.h5:raw",
            volume.VolumeInfo(Box.from_shape((3, 0, 3)), np.uint8),
        )
    assert not (tmp_path / "em").exists()
    assert not (tmp_path / "em.h5").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"voxel_size_nm": (1, 0, 1)}, "3 positive lengths"),
        ({"voxel_size_nm": (1, 1)}, "3 positive lengths"),
        ({"chunk_zyx": (0, 1, 1)}, "at least 1"),
        ({"kind": "labels"}, "image or segmentation"),
        ({"dtype": np.dtype(complex)}, "Voxels are numbers"),
    ],
)
def test_info_that_makes_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        volume.VolumeInfo(
            **{"domain": DOMAIN, "dtype": np.dtype(np.uint8)} | changes
        )


def test_real_volume():
    path = volume.dataset.data_dir() / "fib25" / "grayscale_maps.h5"
    if not path.exists():
        pytest.skip(f"{path} is not here; see third_party/README.md")
    with volume.open(f"{path}:raw") as em:
        assert em.domain == Box.from_shape((250, 250, 250))
        assert (em.dtype, em.info.kind) == (np.uint8, "image")
        box = Box((60, 60, 60), (140, 140, 140))
        assert em.read(box).mean() == pytest.approx(em.read().mean(), rel=0.2)
    assert pathlib.Path(path).exists()
