"""HDF5 files and numpy archives that others made, and damaged ones."""

import zipfile

import h5py
import numpy as np
import pytest

from ffn_tf import volume

Box = volume.Box
VOXELS = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "em.h5"
    with h5py.File(path, "w") as file:
        file["raw"] = VOXELS
        file["volumes/labels"] = VOXELS.astype(np.uint64)
        file["volumes/big"] = VOXELS.astype(">u2")
        file.create_dataset(
            "channels",
            data=np.stack([VOXELS, VOXELS + np.uint16(100)]),
            chunks=(1, 2, 3, 4),
        )
        file["flat"] = VOXELS[0]
        file["words"] = "not voxels"
        file["volumes/labels"].attrs["resolution"] = (40.0, 8.0, 4.0)
        file["volumes/labels"].attrs["offset"] = (80.0, 8.0, 40.0)
    return path


def test_datasets(path):
    with volume.open(f"{path}:raw") as found:
        assert found.domain == Box.from_shape(VOXELS.shape)
        assert found.voxel_size_nm == (1.0, 1.0, 1.0)
        np.testing.assert_array_equal(found.read(), VOXELS)
    with volume.open(f"{path}:volumes/labels") as found:
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)
        assert found.domain.start == (2, 1, 10)
        assert found.info.kind == "segmentation"
        np.testing.assert_array_equal(found.read(), VOXELS)
    with volume.open(f"{path}:/volumes/big") as found:
        assert found.read().dtype == found.dtype == np.dtype("=u2")
        np.testing.assert_array_equal(found.read(), VOXELS)


@pytest.mark.parametrize("text", ["{not", "[1]", "3", "[" * 10**5])
def test_nonsense_in_our_attribute(text, path):
    with h5py.File(path, "r+") as file:
        file["raw"].attrs["ffn_tf"] = text[:60_000]
    with pytest.raises(OSError) as caught:
        volume.open(f"{path}:raw")
    said = str(caught.value)
    assert said.startswith(f"{path}:raw: its attribute ffn_tf is no JSON obj")
    assert 'del file["/raw"].attrs["ffn_tf"]' in said
    assert len(said) < 500


def test_an_offset_that_cannot_be_told_in_voxels(path, capsys):
    with h5py.File(path, "r+") as file:
        file["raw"].attrs["offset"] = (80.0, 8.0, 40.0)
        file["volumes/big"].attrs["offset"] = (0.0, 0.0, 0.0)
    for name in ("raw", "raw", "volumes/big", "volumes/labels"):
        volume.open(f"{path}:{name}").close()
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert f"{path}:raw: has an `offset`, in nanometres, but no" in said


def test_channels(path):
    with volume.open(f"{path}:channels") as found:
        assert found.info.chunk_zyx == (2, 3, 4)
        np.testing.assert_array_equal(found.read(), VOXELS)
    with volume.open(f"{path}:channels?channel=1") as found:
        np.testing.assert_array_equal(found.read(), VOXELS + 100)
    for address in (f"{path}:channels?channel=2", f"{path}:raw?channel=1"):
        with pytest.raises(ValueError, match="does not exist; there are"):
            volume.open(address)


def test_a_missing_dataset_names_those_that_exist(path):
    for address in (f"{path}:rwa", f"{path}", f"{path}:volumes"):
        with pytest.raises(ValueError) as caught:
            volume.open(address)
        assert (
            "one of: channels, flat, raw, volumes/big, volumes/labels, words"
        ) in str(caught.value)


def test_what_is_no_volume(path):
    with pytest.raises(ValueError, match="found 2 axes"):
        volume.open(f"{path}:flat")
    with pytest.raises(ValueError, match="found 0 axes"):
        volume.open(f"{path}:words")


@pytest.mark.parametrize("size", [0, 100, 2500])
def test_a_truncated_file(path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(OSError, match="cannot be opened as an HDF5 file"):
        volume.open(f"{path}:raw")
    with pytest.raises(OSError, match="cannot be opened as an HDF5 file"):
        volume.create(f"{path}:new", volume.from_array(VOXELS).info)


def test_a_damaged_chunk(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (20, 20, 20), np.uint8)
    address = f"{tmp_path}/em.h5:raw"
    with volume.create(address, volume.from_array(noise).info) as new:
        new.write(new.domain, noise)
    with h5py.File(tmp_path / "em.h5") as file:
        where = file["raw"].id.get_chunk_info(0)
    data = bytearray((tmp_path / "em.h5").read_bytes())
    data[where.byte_offset + where.size // 2] ^= 255
    (tmp_path / "em.h5").write_bytes(data)
    with volume.open(address) as found:
        with pytest.raises(OSError, match="cannot read zyx"):
            found.read()


def test_a_virtual_dataset_and_its_files(tmp_path, monkeypatch):
    """HDF5 would read voxels whose file is missing as zeros."""
    (tmp_path / "parts").mkdir()
    layout = h5py.VirtualLayout((6, 4, 5), VOXELS.dtype)
    for part in range(2):
        name = f"parts/{part}.h5"
        with h5py.File(tmp_path / name, "w") as file:
            file["raw"] = VOXELS + np.uint16(part)
        layout[3 * part : 3 * part + 3] = h5py.VirtualSource(
            name, "raw", VOXELS.shape
        )
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
        file["own"] = VOXELS
        same = h5py.VirtualLayout(VOXELS.shape, VOXELS.dtype)
        same[:] = h5py.VirtualSource(file["own"])
        file.create_virtual_dataset("same", same)
    wanted = np.concatenate([VOXELS, VOXELS + np.uint16(1)])
    for folder, path in ((tmp_path, "all.h5"), ("/", tmp_path / "all.h5")):
        monkeypatch.chdir(folder)
        with volume.open(f"{path}:raw") as found:
            np.testing.assert_array_equal(found.read(), wanted)
        with volume.open(f"{path}:same") as found:
            np.testing.assert_array_equal(found.read(), VOXELS)
    (tmp_path / "parts" / "1.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of .* such as parts/1\.h5"):
        volume.open(f"{tmp_path}/all.h5:raw")


@pytest.mark.parametrize("name", ["raw/inner", "raw/a/b", "loop/x", "gone/x"])
def test_a_dataset_is_in_groups_only(path, name):
    with h5py.File(path, "r+") as file:
        file["loop"] = h5py.SoftLink("/loop")
        file["gone"] = h5py.ExternalLink("gone.h5", "/x")
    with pytest.raises(ValueError, match=f"no dataset '{name}' in the file"):
        volume.open(f"{path}:{name}")
    with pytest.raises(ValueError, match="in the file is no group"):
        volume.refuse_existing(f"{path}:{name}")
    volume.refuse_existing(f"{path}:volumes/new/raw")


def test_links_that_lead_nowhere(path):
    with h5py.File(path, "r+") as file:
        file["loop"] = h5py.SoftLink("/back")
        file["back"] = h5py.SoftLink("/loop")
        file["gone"] = h5py.SoftLink("/nowhere")
        file["self"] = h5py.ExternalLink(path.name, "/self")
    for name in ("loop", "gone", "self"):
        with pytest.raises(ValueError, match=f"no dataset '{name}'.*one of"):
            volume.open(f"{path}:{name}")
        with pytest.raises(FileExistsError, match="exists already"):
            volume.refuse_existing(f"{path}:{name}")


def test_what_other_tools_read(tmp_path):
    info = volume.VolumeInfo(
        Box.from_size((2, 1, 10), VOXELS.shape), np.uint16, (40, 8, 4)
    )
    with volume.create(f"{tmp_path}/em.h5:a/raw", info) as new:
        new.write(new.domain, VOXELS)
    with h5py.File(tmp_path / "em.h5") as file:
        raw = file["a/raw"]
        np.testing.assert_array_equal(raw[:], VOXELS)
        assert raw.compression == "gzip"
        assert raw.attrs["resolution"].tolist() == [40, 8, 4]
        assert raw.attrs["offset"].tolist() == [80, 8, 40]
        np.testing.assert_allclose(
            raw.attrs["element_size_um"], [0.04, 0.008, 0.004]
        )


def test_npy_of_other_tools(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(VOXELS))
    with volume.open(f"{tmp_path}/a.npy") as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
        assert found.read().flags.c_contiguous
    (tmp_path / "a.npy.json").write_text("{")
    with pytest.raises(OSError, match="not JSON"):
        volume.open(f"{tmp_path}/a.npy")


def test_damaged_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, VOXELS)
    whole = path.read_bytes()
    for size in (0, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(OSError, match="may be truncated"):
            volume.open(str(path))
    np.save(path, np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(OSError, match="cannot be read"):
        volume.open(str(path))


def header(shape, descr="'|u1'", padding=0):
    """A .npy file of 60 bytes that says it is something else."""
    text = f"{{'descr':{descr},'fortran_order':False,'shape':{shape}}}"
    text = text.encode() + b" " * padding + b"\n"
    size = len(text).to_bytes(4, "little")
    return b"\x93NUMPY\x02\x00" + size + text + bytes(60)


HOSTILE = {
    "huge": header("(10000000000, 10000000000, 10000000000)"),
    "more than 64 bits": header(f"({10**24}, 3, 4)"),
    "negative": header("(-3, 4, 5)"),
    "no integers": header("(True, True, True)"),
    "nested": header("(3, 4, 5)", "(" * 150 + ")" * 150),
    "open": header("(3, 4, 5", "'|u1"),
    "long": header("(3, 4, 5)", padding=10**6),
    "objects": header("(3, 4, 5)", "'|O'"),
    "an archive": b"PK\3\4 and no more",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers(name, tmp_path):
    (tmp_path / "a.npy").write_bytes(HOSTILE[name])
    with pytest.raises(OSError, match=r"a\.npy: cannot be read") as caught:
        volume.open(f"{tmp_path}/a.npy")
    assert "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", HOSTILE[name])
    with pytest.raises((OSError, ValueError), match=r"a\.npz:x: ") as caught:
        volume.open(f"{tmp_path}/a.npz:x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        '{"start_zyx": [1e999, 0, 0]}',
        '{"start_zyx": [NaN, 0, 0]}',
        '{"start_zyx": null}',
        '{"voxel_size_nm": ["a", 1, 1]}',
        '{"attributes": [1]}',
        "[" * 10**5,
    ],
)
def test_nonsense_beside_npy(text, tmp_path):
    np.save(tmp_path / "a.npy", VOXELS)
    (tmp_path / "a.npy.json").write_text(text)
    with pytest.raises((OSError, ValueError), match=r"a\.npy"):
        volume.open(f"{tmp_path}/a.npy")


def test_what_others_keep_beside_npy_is_not_overwritten(tmp_path):
    info = volume.from_array(VOXELS).info
    path = tmp_path / "a.npy.json"
    for text in ('{"mine": 1}', "[1]", "no JSON"):
        path.write_text(text)
        for make in (volume.create, volume.staged):
            with pytest.raises(FileExistsError, match="is not of a volume"):
                with make(f"{tmp_path}/a.npy", info):
                    pytest.fail("must not begin")
        assert path.read_text() == text
    path.unlink()
    volume.create(f"{tmp_path}/a.npy", info).close()
    (tmp_path / "a.npy").unlink()
    volume.create(f"{tmp_path}/a.npy", info).close()  # Ours, left behind.


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(
        path,
        x=VOXELS,
        both=np.stack([VOXELS] * 2),
        pickled=np.array({}),
        objects=np.full((1, 1, 1), None),
        origin=np.zeros(3),
    )
    with volume.open(f"{path}:x") as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
        with pytest.raises(ValueError, match="opened for reading"):
            found.write(found.domain, VOXELS)
    assert volume.open(f"{path}:both?channel=1").read().shape == VOXELS.shape
    for address in (f"{path}:y", f"{path}"):
        with pytest.raises(
            ValueError, match=r"FILE\.npz:KEY .* of: both, x\.$"
        ):
            volume.open(address)
    with pytest.raises(ValueError, match="pickles are not opened"):
        volume.open(f"{path}:pickled")
    whole = path.read_bytes()
    for damaged in (whole[:300], b"", b"no archive at all"):
        path.write_bytes(damaged)
        with pytest.raises(OSError, match="may be truncated"):
            volume.open(f"{path}:x")
    path.write_bytes(whole[:60] + b"?" * 9 + whole[69:])
    with pytest.raises(OSError, match=r"a\.npz:x: cannot be read"):
        volume.open(f"{path}:x")
    with pytest.raises(FileNotFoundError):
        volume.open(f"{tmp_path}/b.npz:x")


def test_the_published_segmentation_without_its_pickles():
    path = volume.dataset.data_dir() / "fib25" / "sample-training2.npz"
    if not path.exists():
        pytest.skip(f"{path} is not here; see third_party/README.md")
    with volume.open(f"{path}:segmentation") as found:
        assert found.domain == Box.from_shape((250, 250, 250))
    with pytest.raises(ValueError, match="pickle"):
        volume.open(f"{path}:origins")
