"""Dataset files."""

import pathlib

import numpy as np
import pytest

from ffn_tf import volume

Box = volume.Box
CONFIGS = pathlib.Path(__file__).parents[2] / "configs" / "datasets"
TEXT = """
name: tiny
description: three voxels
volumes:
  image:
    address: ${HERE}/em.npy
    voxel_size_nm: [40, 8.5, 4]
  truth:
    address: ${HERE}/seg.h5:labels
    kind: segmentation
regions:
  corner:
    start_zyx: [0, 1, -2]
    size_zyx: [1, 2, 3]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HERE", str(tmp_path))
    np.save(tmp_path / "em.npy", np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    info = volume.VolumeInfo(Box.from_shape((1, 2, 3)), np.uint8, (40, 8, 4))
    volume.create(f"{tmp_path}/seg.h5:labels", info).close()
    return tmp_path


def load(folder, text):
    path = folder / "tiny.yaml"
    path.write_text(text)
    return volume.dataset.load(path)


def test_volumes_and_regions(folder):
    tiny = load(folder, TEXT)
    assert (tiny.name, tiny.description) == ("tiny", "three voxels")
    assert tiny.regions["corner"].box == Box((0, 1, -2), (1, 3, 1))
    with tiny.open("image") as image:
        assert image.voxel_size_nm == (40.0, 8.5, 4.0)
        assert image.info.kind == "image"
        assert image.read()[0, 1, 2] == 5
    with tiny.open("truth") as truth:
        assert truth.voxel_size_nm == (40.0, 8.0, 4.0)
        assert truth.info.kind == "segmentation"


def test_a_region_in_voxels_of_another_size():
    region = volume.dataset.Region(Box((5, 7, 9), (6, 9, 12)), (33, 8, 8))
    assert region.in_voxels((33, 8, 8)) == region.box
    assert region.in_voxels((33, 4, 4)) == Box((5, 14, 18), (6, 18, 24))
    # Grown to whole voxels.
    assert region.in_voxels((66, 16, 32)) == Box((2, 3, 2), (3, 5, 3))
    assert volume.dataset.Region(region.box).in_voxels((1, 1, 1)) == region.box


def test_a_dataset_file_is_an_address(folder):
    load(folder, TEXT)
    address = f"{folder}/tiny.yaml#image"
    with volume.open(address) as image:
        assert image.address == address
        assert image.voxel_size_nm == (40.0, 8.5, 4.0)
        assert image.read()[0, 1, 2] == 5
    with pytest.raises(
        ValueError, match=r"unknown volume 'imago'; did you mean"
    ):
        volume.open(f"{folder}/tiny.yaml#imago")
    for query in ("", "?mip=0"):
        with pytest.raises(ValueError, match=r"of it: .*/tiny\.yaml#image \(k"):
            volume.open(f"{folder}/tiny.yaml{query}")
    with pytest.raises(ValueError, match="names volumes to read"):
        volume.open(address, mode="r+")
    with pytest.raises(FileNotFoundError):
        volume.open(f"{folder}/absent.yaml#image")


def test_a_view_of_a_volume(folder):
    text = TEXT.replace(
        "  truth:",
        "  grey:\n    of: image\n    view:\n"
        "      - downsample: {factors_zyx: [1, 2, 3]}\n"
        "      - cast: {dtype: uint16}\n  truth:",
    )
    tiny = load(folder, text)
    with tiny.open("grey") as grey:
        assert (grey.dtype, grey.domain.size) == (np.uint16, (1, 1, 1))
        assert grey.voxel_size_nm == (40, 17, 12)
        assert grey.read().item() == 2  # The mean of 0 .. 5, to even.
    with pytest.raises(ValueError, match="choose the scale of image in the"):
        tiny.open("grey", "mip=1")
    with pytest.raises(ValueError, match=r"grey\.view\[0\]: unknown step"):
        load(folder, text.replace("downsample", "down"))
    with pytest.raises(ValueError, match=r"image: expected `address`, or `of`"):
        load(folder, TEXT.replace("address: ${HERE}/em", "note: ${HERE}/em"))


def test_volumes_that_are_made_of_each_other_are_refused(folder):
    text = (
        "name: circle\nvolumes:\n"
        "  a: {of: b}\n"
        "  b: {address: em.npy, view: [{mask: {by: a}}]}\n"
    )
    with pytest.raises(
        ValueError, match=r"made of each other: (a of b|b of a)"
    ):
        load(folder, text)


def test_a_region_is_part_of_an_address(folder):
    text = TEXT.replace("[0, 1, -2]", "[0, 1, 0]").replace(
        "[1, 2, 3]", "[1, 1, 2]"
    )
    load(folder, text)
    with volume.open(f"{folder}/tiny.yaml#image?region=corner") as corner:
        assert corner.domain == Box((0, 1, 0), (1, 2, 2))
        assert corner.read().tolist() == [[[3, 4]]]
    with pytest.raises(ValueError, match="unknown region 'cornet'; did you"):
        volume.open(f"{folder}/tiny.yaml#image?region=cornet")


def test_h01_is_described():
    h01 = volume.dataset.load(CONFIGS / "h01.yaml")
    assert h01.licence == "CC BY 4.0"
    assert {"em", "c3", "c2", "tissue", "subcompartments"} <= set(h01.volumes)
    assert {"skeletons", "segclr_models", "segclr_embeddings"} <= set(
        h01.resources
    )
    assert {issue.volume for issue in h01.known_issues} <= set(h01.volumes)
    for entry in h01.volumes.values():
        parsed = volume.address.parse(entry.address)
        assert parsed.format == "precomputed"
        assert parsed.path.startswith("gs://h01-release/data/")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("address:", "adress:", "unknown key 'adress'; did you mean 'address'"),
        ("regions:", "region:", "unknown key 'region'; did you mean 'regions'"),
        ("start_zyx", "start_xyz", "did you mean 'start_zyx'"),
        ("name: tiny", "", "key 'name' is missing"),
        ("size_zyx: [1, 2, 3]", "", "key 'size_zyx' is missing"),
        ("[40, 8.5, 4]", "[40, 8.5]", "image.voxel_size_nm: expected three"),
        ("[40, 8.5, 4]", "10", "image.voxel_size_nm: expected three"),
        ("[1, 2, 3]", "[1, 2, x]", "corner.size_zyx: expected three"),
        ("[1, 2, 3]", "[1, 2, 0.5]", "corner.size_zyx: expected three int"),
        ("kind: segmentation", "kind: labels", "unknown value 'labels'"),
        ("${HERE}", "${NOWHERE_SET}", "NOWHERE_SET is not set"),
        ("[40, 8.5, 4]", "[40, .nan, 4]", "voxel_size_nm: expected three"),
        ("[40, 8.5, 4]", "[40, 8.5, .inf]", "voxel_size_nm: expected three"),
        ("name: tiny", "name: " + "[" * 10**4, "not YAML"),
        ("name: tiny", "name: t\nknown_issues: 5", "expected a list, found 5"),
        ("name: tiny", "name: [", "not YAML"),
        ("name: tiny", "name: !!python/object:os.system x", "not YAML"),
        (TEXT, "- a list", "expected `name: value` lines"),
        (TEXT, "", "expected `name: value` lines"),
    ],
)
def test_mistakes_are_named(folder, old, new, message):
    with pytest.raises(ValueError) as caught:
        load(folder, TEXT.replace(old, new))
    assert message in str(caught.value)
    assert "tiny.yaml" in str(caught.value)


def test_a_role_that_does_not_exist(folder):
    with pytest.raises(ValueError, match="Known: image, truth"):
        load(folder, TEXT).open("labels")


def test_a_voxel_size_that_the_volume_contradicts(folder):
    text = TEXT.replace(
        "    kind: seg", "    voxel_size_nm: [40, 4, 4]\n    kind: seg"
    )
    with pytest.raises(ValueError, match=r"says \(40\.0, 8\.0, 4\.0\)"):
        load(folder, text).open("truth")


def test_a_file_that_is_not_there(folder):
    with pytest.raises(FileNotFoundError):
        volume.dataset.load(folder / "nothing.yaml")


CONFIGS = pathlib.Path(__file__).parents[2] / "configs" / "datasets"


@pytest.mark.parametrize(
    "path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_datasets_that_we_ship_can_be_read(path):
    assert volume.dataset.load(path).name == path.stem


def test_fib25():
    fib25 = volume.dataset.load(CONFIGS / "fib25.yaml")
    if not (volume.dataset.data_dir() / "fib25").exists():
        pytest.skip("the fib25 data is not here; see third_party/README.md")
    for role in fib25.volumes:
        with fib25.open(role) as found:
            assert found.voxel_size_nm == (10.0, 10.0, 10.0)
            assert found.domain.contains(fib25.regions["crop80"].box)
            assert found.info.kind == "image" or role != "image"


def test_the_data_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("FFN_DATA_DIR", "/somewhere")
    assert volume.dataset.data_dir() == pathlib.Path("/somewhere")
    fib25 = volume.dataset.load(CONFIGS / "fib25.yaml")
    assert fib25.volumes["image"].address.startswith("/somewhere/fib25/")
    monkeypatch.delenv("FFN_DATA_DIR")
    checkout = tmp_path / "checkout"
    monkeypatch.setattr(volume.dataset, "_ROOT", checkout)
    assert volume.dataset.data_dir() == checkout / "data"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert volume.dataset.data_dir() == checkout / "data"  # An empty one.
    (tmp_path / "shared" / "data" / "fib25").mkdir()
    assert volume.dataset.data_dir() == tmp_path / "shared" / "data"


def test_what_is_said_of_a_view_is_of_what_it_is_made_of(folder):
    labels = np.array([[[7, 7, 9, 9], [7, 5, 9, 9]]], np.uint8)
    np.save(folder / "lab.npy", labels)
    text = """
name: tiny
volumes:
  lab: {address: "${HERE}/lab.npy"}
  half:
    of: lab
    kind: segmentation
    voxel_size_nm: [40, 4, 8]
    view: [{downsample: {factors_zyx: [1, 2, 2]}}]
  wrong: {of: half, voxel_size_nm: [40, 4, 8]}
"""
    tiny = load(folder, text)
    with tiny.open("half") as half:
        assert half.read().tolist() == [[[7, 9]]]  # Not the mean.
        assert half.voxel_size_nm == (40, 8, 16)
        assert half.info.kind == "segmentation"
    with pytest.raises(ValueError, match=r"of wrong is .* but half says"):
        tiny.open("wrong")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  truth:", "  image:", "'image' stands there twice, .* line 8"),
        ("address: ${HERE}/em.npy", "address:", "address: expected a name"),
        (
            "[40, 8.5, 4]",
            "[40, 0, 4]",
            "voxel_size_nm: expected three positive",
        ),
        ("[1, 2, 3]", "[1, -2, 3]", "corner.size_zyx: expected three positive"),
        (
            "[1, 2, 3]",
            "[1, 2, 3]\n    voxel_size_nm: [-40, 4, 4]",
            "corner.voxel_size_nm: expected three positive",
        ),
    ],
)
def test_values_that_cannot_be(folder, old, new, says):
    assert old in TEXT
    with pytest.raises(ValueError, match=says):
        load(folder, TEXT.replace(old, new))
