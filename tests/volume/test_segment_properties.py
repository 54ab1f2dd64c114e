"""What Neuroglancer shows of segments; and that other readers do not mind."""

import json

import cloudvolume
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import segment_properties

LABELS = np.arange(24, dtype=np.uint64).reshape(2, 3, 4) + 2**40
IDS = np.array([2**40, 2**63 + 1], np.uint64)
NUMBERS = {
    "voxels": np.array([7, 2**33], np.int64),
    "width": np.array([0.5, 2], np.float32),
}


def make(address):
    info = volume.VolumeInfo(volume.Box.from_shape(LABELS.shape), np.uint64)
    with volume.staged(address, info, attributes={"options": {}}) as filling:
        filling.write(info.domain, LABELS)
    return address


def test_by_hand(tmp_path):
    address = make(f"precomputed://{tmp_path}/labels")
    before = json.loads((tmp_path / "labels" / "info").read_text())
    segment_properties.write(address, IDS, NUMBERS, ["axon", "glia"])
    after = json.loads((tmp_path / "labels" / "info").read_text())
    assert after == before | {"segment_properties": "segment_properties"}
    text = (tmp_path / "labels" / "segment_properties" / "info").read_text()
    assert json.loads(text) == {
        "@type": "neuroglancer_segment_properties",
        "inline": {
            "ids": ["1099511627776", "9223372036854775809"],
            "properties": [
                {
                    "id": "voxels",
                    "type": "number",
                    "data_type": "float32",
                    "values": [7, 2**33],
                },
                {
                    "id": "width",
                    "type": "number",
                    "data_type": "float32",
                    "values": [0.5, 2],
                },
                {"id": "label", "type": "label", "values": ["axon", "glia"]},
            ],
        },
    }


def test_all_readers_still_read(tmp_path):
    address = make(f"precomputed://{tmp_path}/labels")
    segment_properties.write(address, IDS, NUMBERS)
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), LABELS)
        assert found.attributes == {"options": {}}
    theirs = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/labels", progress=False
    )
    np.testing.assert_array_equal(theirs[:][..., 0].T, LABELS)
    assert theirs.info["segment_properties"] == "segment_properties"


def test_written_again(tmp_path):
    """Others take their place; the volume's metadata stay as they are."""
    address = make(f"precomputed://{tmp_path}/labels")
    segment_properties.write(address, IDS, NUMBERS)
    path = tmp_path / "labels" / "info"
    data, time = path.read_bytes(), path.stat().st_mtime_ns
    segment_properties.write(address, IDS[:1], {"voxels": np.array([3])})
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (data, time)
    text = (tmp_path / "labels" / "segment_properties" / "info").read_text()
    assert json.loads(text)["inline"]["ids"] == ["1099511627776"]


def test_of_no_segments(tmp_path):
    address = make(f"precomputed://{tmp_path}/labels")
    segment_properties.write(address, IDS[:0], {"voxels": IDS[:0]})
    text = (tmp_path / "labels" / "segment_properties" / "info").read_text()
    assert json.loads(text)["inline"]["ids"] == []


def test_in_a_bucket(gcs_bucket):
    address = make(f"precomputed://gs://{gcs_bucket}/labels")
    segment_properties.write(address, IDS, NUMBERS)
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), LABELS)


@pytest.mark.parametrize("name", ["a.zarr", "a.h5:ids", "zarr3://a", "a.npy"])
def test_only_precomputed_has_them(tmp_path, name):
    address = name.replace("a", f"{tmp_path}/a", 1)
    if name.startswith("zarr3"):
        address = f"zarr3://{tmp_path}/a"
    assert not segment_properties.can_have(address)
    with pytest.raises(ValueError, match="only precomputed volumes have"):
        segment_properties.write(address, IDS, NUMBERS)
    assert not list(tmp_path.iterdir())
