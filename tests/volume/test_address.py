"""The grammar of addresses."""

import pytest

from ffn_tf.volume import address, place


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
        ("zarr2://em", ("zarr", "em", "")),
        ("precomputed://gs://b/em", ("precomputed", "gs://b/em", "")),
        ("n5://https://host/em", ("n5", "https://host/em", "")),
        ("gs://bucket/em.zarr", ("zarr", "gs://bucket/em.zarr", "")),
        ("a/h01.yaml#em", ("dataset", "a/h01.yaml", "em")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts(text, expected):
    assert parsed(text) == expected


def test_query():
    found = address.parse("precomputed://em?mip=2&missing=zero", creating=True)
    assert (found.mip, found.missing_is_zero) == (2, True)
    assert address.parse("em.h5:raw?channel=3").channel == 3


def test_the_scale_by_its_voxels():
    text = "precomputed://gs://b/em?resolution_nm=33,8,4.5&access=gcsfs"
    found = address.parse(text, creating=True)
    assert found.resolution_nm == (33, 8, 4.5)
    assert found.access == "gcsfs"
    assert found.place == place.Place("gs://b/em")


def test_another_server_of_s3():
    text = "n5://s3://b/em?endpoint=http://127.0.0.1:9000"
    found = address.parse(text, creating=True)
    spec = found.place.kvstore("s0")
    spec.pop("aws_credentials", None)  # Of who runs this; see test_place.py.
    assert spec == {
        "driver": "s3",
        "bucket": "b",
        "path": "em/s0/",
        "endpoint": "http://127.0.0.1:9000",
        "aws_region": "us-east-1",
    }


def test_urls_of_tensorstore_are_left_to_it():
    text = "file:///a/em/|zarr3:"
    found = address.parse(text)
    assert (found.format, found.spec) == ("spec", text)


def test_spec():
    found = address.parse(' {"driver": "n5"}')
    assert (found.format, found.spec) == ("spec", {"driver": "n5"})


@pytest.mark.parametrize(
    "text, message",
    [
        ("ftp://host/em", r"unknown scheme ftp://.*precomputed, zarr"),
        ("zarr://ftp://host/em", r"unknown place ftp://.*gs://"),
        ("zarr://em?endpoint=http://h", "endpoint= means nothing"),
        ("zarr://em?resolution_nm=4,4", "three lengths z,y,x, found '4,4'"),
        ("zarr://em?resolution_nm=4,4,0", "three lengths"),
        ("zarr://em?mip=1&resolution_nm=4,4,4", "both choose a scale"),
        ("zarr://em?region=soma", "region= means nothing"),
        ("a.yaml#em?endpoint=http://h", "endpoint= means nothing"),
        ("", "no path"),
        ("zarr://", "no path"),
        ("em.h5:raw?mip=1", "mip= means nothing"),
        ("em.npy?missing=zero", "missing= means nothing"),
        ("em.tif?channel=1", "channel= means nothing"),
        ("zarr://em?mip=x", "mip takes a number, 0 or more, found 'x'"),
        ("em.npy?channel=-1", "channel takes a number, 0 or more, found '-1'"),
        ("zarr://em?scale=1", r"\?scale=1; expected .*cache=disk, cache=trust"),
        ('{"driver"', "not JSON"),
        ('{"kvstore": 1}', 'needs a "driver"'),
        ('{"driver": ' + "[" * 10**5, "not JSON"),
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


def test_a_name_for_a_new_volume_that_tells_no_format():
    for text in ("w/foo", ""):
        with pytest.raises(ValueError, match=r"FILE\.npy, .*SCHEME") as caught:
            address.parse(text, creating=True)
        for read_only in ("npz", "tif", "a folder"):
            assert read_only not in str(caught.value)


def test_reversed_axes_is_its_own_inverse():
    assert address.reversed_axes((1, 2, 3)) == (3, 2, 1)
    assert address.reversed_axes(address.reversed_axes([1, 2, 3])) == (1, 2, 3)
