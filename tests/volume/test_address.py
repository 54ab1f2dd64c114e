"""The grammar of addresses."""

import pytest

from ffn_tf.volume import address


def parsed(text, **options):
    found = address.parse(text, creating=True, **options)
    return found.format, found.path, found.dataset


@pytest.mark.parametrize(
    "text, expected",
    [
        ("em.h5:raw", ("hdf5", "em.h5", "raw")),
        ("a/em.hdf5:/volumes/raw", ("hdf5", "a/em.hdf5", "volumes/raw")),
        ("em.h5", ("hdf5", "em.h5", "")),
        ("em.npy", ("npy", "em.npy", "")),
        ("seg.npz:segmentation", ("npz", "seg.npz", "segmentation")),
        ("em.zarr", ("zarr", "em.zarr", "")),
        ("em.n5", ("n5", "em.n5", "")),
        ("em.TIF", ("stack", "em.TIF", "")),
        ("zarr://a/em", ("zarr", "a/em", "")),
        ("zarr3:///a/em", ("zarr3", "/a/em", "")),
        ("n5://em", ("n5", "em", "")),
        ("precomputed://em", ("precomputed", "em", "")),
        ("precomputed://file:///a/em", ("precomputed", "/a/em", "")),
        ("file:///a/em.h5:raw", ("hdf5", "/a/em.h5", "raw")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts(text, expected):
    assert parsed(text) == expected


def test_query():
    found = address.parse("precomputed://em?mip=2&missing=zero", creating=True)
    assert (found.mip, found.missing_is_zero) == (2, True)
    assert address.parse("em.h5:raw?channel=3").channel == 3


def test_spec():
    found = address.parse(' {"driver": "n5"}')
    assert (found.format, found.spec) == ("spec", {"driver": "n5"})


@pytest.mark.parametrize(
    "text, message",
    [
        ("gs://bucket/em", r"unknown scheme gs://.*precomputed, zarr"),
        ("", "no path"),
        ("zarr://", "no path"),
        ("em.h5:raw?mip=1", "mip= means nothing"),
        ("em.npy?missing=zero", "missing= means nothing"),
        ("em.tif?channel=1", "channel= means nothing"),
        ("zarr://em?mip=x", r"cannot understand \?mip=x"),
        ("zarr://em?scale=1", r"cannot understand \?scale=1"),
        ('{"driver"', "not JSON"),
        ('{"kvstore": 1}', 'needs a "driver"'),
    ],
)
def test_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        address.parse(text)


def test_folders_are_recognised_by_what_is_in_them(tmp_path):
    for file, expected in {
        "info": "precomputed",
        ".zarray": "zarr",
        ".zgroup": "zarr",
        "zarr.json": "zarr3",
        "attributes.json": "n5",
        "slice.png": "stack",
    }.items():
        folder = tmp_path / file.strip(".")
        folder.mkdir()
        (folder / file).touch()
        assert address.parse(str(folder)).format == expected
    # zarr:// is either version, as it is for Neuroglancer.
    assert address.parse(f"zarr://{tmp_path}/zarr.json").format == "zarr3"


def test_unrecognised(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds none of info, zarr\.json"):
        address.parse(str(tmp_path))
    with pytest.raises(ValueError, match="no known format"):
        address.parse(str(tmp_path / "notes.txt"))
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        address.parse(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="name tells no format"):
        address.parse(str(tmp_path / "nothing"), creating=True)


def test_reversed_axes_is_its_own_inverse():
    assert address.reversed_axes((1, 2, 3)) == (3, 2, 1)
    assert address.reversed_axes(address.reversed_axes([1, 2, 3])) == (1, 2, 3)
