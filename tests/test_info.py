"""What is at an address, said without reading voxels."""

import json

import numpy as np
import pytest

from ffn_tf import info, volume


@pytest.fixture
def address(tmp_path):
    found = f"zarr://{tmp_path}/em.zarr"
    box = volume.Box((1, 2, 3), (5, 8, 11))
    told = volume.VolumeInfo(box, np.dtype(np.uint16), (40, 8, 4), (4, 3, 2))
    volume.create(found, told, attributes={"made": "here"}).close()
    return found


def test_a_volume(address):
    found = info.run(address)
    assert found["dtype"] == "uint16"
    assert found["start_zyx"] == [1, 2, 3]
    assert found["size_zyx"] == [4, 6, 8]
    assert found["voxel_size_nm"] == [40, 8, 4]
    assert found["extent_um"] == [0.16, 0.048, 0.032]
    assert found["chunk_zyx"] == [4, 3, 2]
    assert found["scales_nm"] == [[40, 8, 4]]
    assert found["attributes"] == {"made": "here"}


def test_an_unknown_voxel_size_is_not_one_nanometre(tmp_path):
    np.save(tmp_path / "em.npy", np.zeros((3, 4, 5), np.uint8))
    found = info.run(f"{tmp_path}/em.npy")
    assert found["voxel_size_nm"] is None
    assert found["extent_um"] == found["scales_nm"] == []
    text = info.as_text(found)
    assert "voxel_size_nm        unknown" in text
    assert "extent_um" not in text and "scales_nm" not in text


def test_gigabytes_do_not_depend_on_what_fits():
    box = volume.Box.from_shape((5293, 712800, 1031784))
    assert info.gigabytes(box, 1) == 3.89e6


def test_a_dataset_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "name: tiny\nvolumes: {em: {address: em.npy, note: grey}}\n"
        "regions: {all: {start_zyx: [0, 0, 0], size_zyx: [1000, 10, 200]}}\n"
        "resources: {swc: {address: a.zip, kind: SWC, note: few}}\n"
        "known_issues: [{volume: em, note: dark}]\n"
    )
    found = info.run(str(path))
    assert found["volumes"]["em"]["address"] == "em.npy"
    assert found["volumes"]["em"]["note"] == "grey"
    assert found["regions"]["all"]["gigabytes_uint8"] == 0.002
    told = {"address": "a.zip", "kind": "SWC", "note": "few"}
    assert info.run(f"{path}#swc") == told
    with pytest.raises(ValueError, match="unknown volume 'swx'"):
        info.run(f"{path}#swx")
    text = info.as_text(found)
    assert "known_issues         em: dark" in text
    assert "  all\n" in text and "licence" not in text
    assert "unknown" not in text


VIEWS = """
name: tiny
volumes:
  em: {{address: "{0}", kind: image}}
  half:
    of: em
    note: coarse
    view:
      - crop: {{start_zyx: [1, 2, 3], size_zyx: [4, 6, 6]}}
      - downsample: {{factors_zyx: [1, 2, 2]}}
      - cast: {{dtype: uint8}}
  again: {{of: em}}
"""


def test_views_of_a_dataset_file(address, tmp_path):
    folder = tmp_path / "v#1"
    folder.mkdir()
    path = folder / "tiny.YAML"
    path.write_text(VIEWS.format(address))
    found = info.run(str(path))
    json.dumps(found)
    text = info.as_text(found)
    assert text.endswith(f"""
volumes
  em
    address          {address}
    kind             image
  half
    of               em
    view             crop start_zyx=1,2,3 size_zyx=4,6,6; downsample \
factors_zyx=1,2,2; cast dtype=uint8
    note             coarse
  again
    of               em""")
    # Of the volume that it is made of, not of the view.
    half = info.run(f"{path}#half")
    assert half["size_zyx"] == [4, 3, 4]
    assert half["of"] == "em" and half["view"][-1] == "cast dtype=uint8"
    assert "attributes" not in half
    for name in ("em", "em?region=all"):
        if "?" in name:
            path.write_text(
                path.read_text() + "regions:\n  all: "
                "{start_zyx: [1, 2, 3], size_zyx: [1, 1, 1]}\n"
            )
        assert info.run(f"{path}#{name}")["attributes"] == {"made": "here"}
    with pytest.raises(FileNotFoundError, match="v#1/none"):
        info.run(f"{folder}/none")


def test_what_was_not_given_is_left_out():
    found = {"voxel_size_nm": None, "attributes": {"quality": None, "a": 1}}
    assert info.as_text(found) == (
        "voxel_size_nm        unknown\nattributes\n  a                  1"
    )


def test_the_command_line(address, command):
    done = command("info", "--json", address)
    assert json.loads(done.stdout)["kind"] == "image"
    done = command("info")
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected one address")
