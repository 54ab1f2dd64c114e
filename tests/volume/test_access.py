"""The chain of methods: who serves a volume, and that all give the same."""

import json
import subprocess
import sys

import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import access, failures
from ffn_tf.volume import address as address_lib
from ffn_tf.volume.box import Box

SIZE_XYZ = (11, 10, 9)
START_XYZ = (10, 20, -3)
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "hash": "murmurhash3_x86_128",
    "minishard_bits": 1,
    "shard_bits": 2,
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}


def make(kvstore, encoding="raw", dtype="uint8", channels=1, sharding=None):
    """Two scales of a volume, as TensorStore writes them."""
    for factor in (1, 2):
        size = (SIZE_XYZ[0] // factor, *SIZE_XYZ[1:])
        scale = {
            "size": size,
            "voxel_offset": START_XYZ,
            "chunk_size": [4, 3, 2],
            "resolution": [4 * factor, 8, 40],
            "encoding": encoding,
            "sharding": sharding,
        }
        if encoding == "compressed_segmentation":
            scale["compressed_segmentation_block_size"] = [8, 4, 2]
        spec = volumes.precomputed(kvstore, dtype, channels=channels, **scale)
        store = ts.open(spec, create=True).result()
        numbers = np.arange(np.prod(size) * channels) * 37 % 251
        store.write(numbers.astype(dtype).reshape(*size, channels)).result()


def opened(text, writable=False):
    return access.open_source(address_lib.parse(text), writable)


def check_the_same(address, methods):
    """All methods tell and read the same as the first."""
    first, *others = (opened(f"{address}&access={m}")[0] for m in methods)
    domain = first.info.domain
    boxes = [
        domain,
        Box((-2, 21, 12), (3, 27, 13)),
        Box((0, 22, 12), (1, 23, 13)),
        Box(domain.start, domain.start),
    ]
    expected = first.read_many(boxes)
    assert len(np.unique(expected[0])) > 100
    for other in others:
        assert other.info == first.info
        assert other.scales_nm == first.scales_nm
        for found, voxels in zip(other.read_many(boxes), expected):
            assert found.dtype == voxels.dtype
            np.testing.assert_array_equal(found, voxels)
        other.close()


CASES = [
    ("raw", "uint8", 1),
    ("raw", "float32", 2),
    ("jpeg", "uint8", 1),
    ("png", "uint8", 1),
    ("compressed_segmentation", "uint64", 1),
    ("compressed_segmentation", "uint32", 2),
]


@pytest.mark.parametrize("sharding", [None, SHARDING], ids=["files", "shards"])
@pytest.mark.parametrize(("encoding", "dtype", "channels"), CASES)
def test_tensorstore_and_cloudvolume_on_disk(
    encoding, dtype, channels, sharding, tmp_path
):
    pytest.importorskip("pyspng" if encoding == "png" else "cloudvolume")
    make(f"file://{tmp_path}/", encoding, dtype, channels, sharding)
    for mip in (0, 1):
        check_the_same(
            f"precomputed://{tmp_path}?mip={mip}&channel={channels - 1}",
            ["tensorstore", "cloudvolume"],
        )


@pytest.mark.parametrize("sharding", [None, SHARDING], ids=["files", "shards"])
@pytest.mark.parametrize(("encoding", "dtype", "channels"), CASES)
def test_all_three_in_a_bucket(encoding, dtype, channels, sharding, gcs_bucket):
    pytest.importorskip("gcsfs")
    make(f"gs://{gcs_bucket}/em/", encoding, dtype, channels, sharding)
    methods = list(access.METHODS)
    if encoding == "png":  # For which CloudVolume has another package.
        methods.remove("cloudvolume")
    check_the_same(
        f"precomputed://gs://{gcs_bucket}/em?mip=1&channel={channels - 1}",
        methods,
    )


def test_colours_of_jpeg(gcs_bucket):
    """CloudVolume would mix them up, so it is left out."""
    pytest.importorskip("gcsfs")
    make(f"gs://{gcs_bucket}/em/", "jpeg", channels=3)
    address = f"precomputed://gs://{gcs_bucket}/em?channel=1"
    check_the_same(address, ["tensorstore", "gcsfs"])
    with pytest.raises(OSError, match="CloudVolume mixes"):
        opened(f"{address}&access=cloudvolume")


@pytest.mark.parametrize("method", access.METHODS)
def test_what_became_of_each_box(method, gcs_server, gcs_bucket):
    """Of a batch, those that can be read are; the others say which chunk."""
    pytest.importorskip(method)
    make(f"gs://{gcs_bucket}/em/")
    address = f"precomputed://gs://{gcs_bucket}/em?access={method}"
    whole, _ = opened(address)
    domain = whole.info.domain
    expected = whole.read(domain)
    lost, short = "4_8_40/14-18_20-23_-3--1", "4_8_40/18-21_20-23_-3--1"
    gcs_server.clear(gcs_bucket, f"em/{lost}")
    gcs_server.put(gcs_bucket, f"em/{short}", b"short")
    boxes = [
        Box((-3, 20, 10), (1, 30, 14)),
        Box((-3, 20, 11), (1, 30, 15)),
        Box((-1, 20, 10), (6, 30, 21)),
        Box((-2, 22, 18), (1, 25, 20)),
        Box((-2, 22, 18), (-2, 25, 20)),
    ]
    source, _ = opened(address)
    with pytest.raises(failures.ReadsFailed, match="2 of 5 boxes") as caught:
        source.read_many(boxes)
    outcomes = caught.value.outcomes
    for which in (0, 2, 4):
        box = boxes[which].relative_to(domain.start)
        np.testing.assert_array_equal(outcomes[which], expected[box.slices])
    for which, kind, chunk in (
        (1, failures.MissingError, lost),
        (3, failures.CorruptError, short),
    ):
        assert type(outcomes[which]) is kind
        assert outcomes[which].box == boxes[which]
        assert f"{chunk}" in outcomes[which].reason
        with pytest.raises(kind, match=chunk):
            source.read(boxes[which])
    source.close()


# -----------------------------------------------------------------------------
# The chain
# -----------------------------------------------------------------------------


def test_tensorstore_serves_what_it_can(tmp_path):
    make(f"file://{tmp_path}/")
    for query in ("", "?access=auto", "?access=tensorstore"):
        _, served = opened(f"precomputed://{tmp_path}{query}")
        assert served == access.Served("tensorstore")
        assert str(served) == "read by tensorstore"
    with volume.open(f"{tmp_path}?access=tensorstore") as found:
        assert found.domain.start == START_XYZ[::-1]


def change(folder, **changes):
    path = folder / "info"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_cloudvolume_serves_what_tensorstore_cannot(tmp_path):
    """A scale of another encoding makes the others unreadable, too."""
    pytest.importorskip("cloudvolume")
    make(f"file://{tmp_path}/")
    scales = json.loads((tmp_path / "info").read_text())["scales"]
    expected = opened(str(tmp_path))[0].read(Box((0, 22, 12), (3, 24, 15)))
    change(tmp_path, scales=[*scales, scales[0] | {"encoding": "jxl"}])
    source, served = opened(str(tmp_path))
    assert served.method == "cloudvolume"
    ((name, reason),) = served.refused
    assert name == "tensorstore"
    assert "jxl" in reason
    assert str(served) == f"read by cloudvolume; not by tensorstore: {reason}"
    np.testing.assert_array_equal(
        source.read(Box((0, 22, 12), (3, 24, 15))), expected
    )
    with pytest.raises(OSError, match=r"cannot be opened.*jxl"):
        opened(f"precomputed://{tmp_path}?access=tensorstore")


def test_gcsfs_serves_what_neither_can(gcs_server, gcs_bucket, monkeypatch):
    pytest.importorskip("gcsfs")
    make(f"gs://{gcs_bucket}/em/")
    info = json.loads(gcs_server.get(gcs_bucket, "em/info"))
    info["@type"] = "another"
    gcs_server.put(gcs_bucket, "em/info", json.dumps(info).encode())
    monkeypatch.setitem(access.METHODS, "cloudvolume", refuse(OSError("no.")))
    source, served = opened(f"precomputed://gs://{gcs_bucket}/em")
    assert served.method == "gcsfs"
    assert [name for name, _ in served.refused] == [
        "tensorstore",
        "cloudvolume",
    ]
    assert served.refused[1][1] == "no"
    assert source.read(Box((0, 22, 12), (3, 24, 15))).any()


def refuse(error):
    def open_nothing(address):
        raise error

    return open_nothing


def test_nobody_can(tmp_path):
    """One error tells the reason of each."""
    make(f"file://{tmp_path}/")
    change(tmp_path, data_type="text")
    address = f"precomputed://{tmp_path}"
    with pytest.raises(OSError, match="nobody can read it") as caught:
        opened(address)
    first, *reasons = str(caught.value).splitlines()
    assert first.startswith(address)
    assert [line.split(":")[0] for line in reasons] == [
        "  tensorstore",
        "  cloudvolume",
        "  gcsfs",
    ]
    assert "text" in reasons[0]
    assert "describes no volume" in reasons[1]
    assert reasons[2].endswith("gcsfs reads precomputed volumes of gs:// only.")
    assert not any(address in reason for reason in reasons)


def test_a_missing_package_is_a_reason(tmp_path, monkeypatch):
    make(f"file://{tmp_path}/")
    change(tmp_path, data_type="text")
    monkeypatch.setitem(sys.modules, "cloudvolume", None)
    access.cloudvolume_source._cloudvolume.cache_clear()
    with pytest.raises(OSError, match="pip install cloud-volume"):
        opened(f"precomputed://{tmp_path}")


@pytest.fixture
def only_tensorstore(monkeypatch):
    """Nobody else may be asked."""
    for name in ("cloudvolume", "gcsfs"):
        wrong = refuse(AssertionError(f"{name} was asked"))
        monkeypatch.setitem(access.METHODS, name, wrong)


@pytest.mark.usefixtures("only_tensorstore")
def test_what_is_not_there_is_an_error_at_once(tmp_path):
    make(f"file://{tmp_path}/em/")
    for place, kind, told in (
        ("nothing", FileNotFoundError, "no precomputed volume"),
        ("em?mip=2", ValueError, "no scale mip=2"),
        ("em?resolution_nm=1,1,1", ValueError, "no scale that resolution_nm"),
        ("em?channel=1", ValueError, "channel 1 does not exist"),
    ):
        with pytest.raises(kind, match=told):
            opened(f"precomputed://{tmp_path}/{place}")


@pytest.mark.usefixtures("only_tensorstore")
def test_other_formats_are_tensorstore_s_alone(tmp_path):
    (tmp_path / "zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "array"}'
    )
    with pytest.raises(OSError, match="cannot be opened") as caught:
        opened(f"zarr3://{tmp_path}")
    assert "nobody" not in str(caught.value)


def test_other_formats_by_others(tmp_path):
    for method in ("cloudvolume", "gcsfs"):
        with pytest.raises(ValueError, match="precomputed volumes"):
            opened(f"zarr3://{tmp_path}?access={method}")


def test_no_such_method(tmp_path):
    with pytest.raises(
        ValueError,
        match="no access=fax; expected auto, tensorstore, cloudvolume, gcsfs",
    ):
        opened(f"precomputed://{tmp_path}?access=fax")


def test_only_tensorstore_writes(tmp_path):
    make(f"file://{tmp_path}/")
    for query in ("", "?access=tensorstore"):
        _, served = opened(f"precomputed://{tmp_path}{query}", writable=True)
        assert served == access.Served("tensorstore")
    with pytest.raises(
        ValueError, match="access=cloudvolume is for reading only"
    ):
        opened(f"precomputed://{tmp_path}?access=cloudvolume", writable=True)


def test_the_others_are_imported_only_when_needed(tmp_path):
    """They take a second each."""
    make(f"file://{tmp_path}/")
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n"
            f"from ffn_tf import volume\n"
            f"volume.open({str(tmp_path)!r}).read()\n"
            f"loaded = {{'cloudvolume', 'gcsfs'}} & set(sys.modules)\n"
            f"assert not loaded, loaded",
        ],
        check=True,
    )
