"""skeletonize: the program, with one process and with several."""

import json
import pathlib

import cloudvolume
import numpy as np
import pytest

from ffn_tf import skeleton, skeletonize, volume
from ffn_tf.jobs import run as jobs
from ffn_tf.skeleton import blocks, tracing

SHAPE = (20, 24, 64)
NM = (40.0, 8.0, 4.0)
WHICH = blocks.Options(dust_threshold=100, block_zyx=(16, 16, 32))
HOW = tracing.Options(const_nm=20.0, min_branch_nm=20.0)
FLAGS = [
    "--dust_threshold=100",
    "--block_zyx=16,16,32",
    "--const_nm=20",
    "--min_branch_nm=20",
]


def voxels():
    """A rod along x, one along z, and dust."""
    labels = np.zeros(SHAPE, np.uint64)
    labels[4:8, 4:14, 3:61] = 5
    labels[1:19, 16:22, 30:40] = 2**40
    labels[0, 0, :50] = 9
    return labels


def made(folder):
    info = volume.VolumeInfo(
        volume.Box.from_shape(SHAPE),
        np.dtype(np.uint64),
        NM,
        chunk_zyx=(16, 16, 16),
        kind="segmentation",
    )
    with volume.create(f"precomputed://{folder}", info) as target:
        target.write(info.domain, voxels())
    return f"precomputed://{folder}"


@pytest.fixture
def segments(tmp_path):
    return made(tmp_path / "segments")


def files(folder):
    found = pathlib.Path(folder).rglob("*")
    return {path.name: path.read_bytes() for path in found if path.is_file()}


def run(address, output_dir="", **who):
    return skeletonize.run(
        skeletonize.Options(address, output_dir),
        WHICH,
        HOW,
        jobs.Options(**who),
    )


def test_command_line(segments, tmp_path, command):
    line = ["skeletonize", f"--segmentation={segments}", *FLAGS]
    ran = command(*line, f"--swc_dir={tmp_path}/swc")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Wrote skeletons of 2 segments in ")
    assert "; 1 are too small (--dust_threshold)." in ran.stdout
    opened = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/segments", progress=False
    )
    rod = opened.skeleton.get(5)
    low, high = rod.vertices.min(0), rod.vertices.max(0)
    np.testing.assert_allclose([low[0], high[0]], [12, 244], atol=20)
    assert (low[1:] > (32, 160)).all() and (high[1:] < (112, 320)).all()
    assert rod.radius.max() < 60
    read = skeleton.read(tmp_path / "segments" / "skeletons")
    assert [one.id for one in read] == [5, 2**40]
    inside = [voxels()[tuple(one.voxels_zyx(NM).T)] == one.id for one in read]
    assert np.concatenate(inside).all()
    for one, text in zip(read, skeleton.read(tmp_path / "swc")):
        assert text.id == one.id
        assert text.length_nm == pytest.approx(one.length_nm)
        np.testing.assert_allclose(text.radii_nm, one.radii_nm, atol=1e-3)
    again = command(*line)
    assert again.stdout.startswith("Wrote nothing: ")
    other = command(*line[:-1])
    assert other.returncode == 1
    assert "min_branch_nm" in other.stderr


def test_any_segmentation(tmp_path):
    address = f"{tmp_path}/labels.zarr"
    info = volume.VolumeInfo(
        volume.Box.from_shape(SHAPE), np.dtype(np.uint64), NM
    )
    with volume.create(address, info) as target:
        target.write(info.domain, voxels())
    with pytest.raises(ValueError, match="--output_dir puts them elsewhere"):
        run(address)
    summary = run(address, f"{tmp_path}/out/lines")
    assert (summary.folder, summary.segments) == (f"{tmp_path}/out/lines", 2)
    run(made(tmp_path / "segments"))
    told = files(tmp_path / "segments" / "skeletons")
    found = files(tmp_path / "out" / "lines")
    infos = [json.loads(one.pop("info")) for one in (told, found)]
    assert infos[0]["vertex_attributes"] == infos[1]["vertex_attributes"]
    assert found == told
    assert run(address, f"{tmp_path}/out/lines").segments is None


def test_negative_ids_are_told(tmp_path, capsys):
    """They are left out; positive ones of more than 53 bits are not mixed."""
    labels = voxels().astype(np.int64)
    labels[labels == 5] = 2**62 + 1
    labels[labels == 2**40] = -1
    address = f"{tmp_path}/labels.npy"
    np.save(address, labels)
    summary = run(address, f"{tmp_path}/lines")
    assert (summary.segments, summary.dust) == (1, 1)
    (one,) = skeleton.read(tmp_path / "lines")
    assert one.id == 2**62 + 1
    said = capsys.readouterr().err
    assert f"{address}: 1 ids are below 0, 1080 voxels: they get no" in said


def test_processes_and_shards(segments, tmp_path):
    run(segments)
    shared = made(tmp_path / "shared")
    who = {"executor": "processes", "workers": 2}
    first, second = (run(shared, **who, shard=f"{i}/2") for i in range(2))
    assert first.missing == 4 and first.segments is None
    assert (second.missing, second.segments) == (0, 2)
    alone, together = (
        files(tmp_path / name / "skeletons") for name in ("segments", "shared")
    )
    for one in (alone, together):
        one.pop("info")  # Has the address.
    assert alone == together


@pytest.mark.parametrize("after", [2, 7, 8])
def test_it_goes_on(segments, tmp_path, monkeypatch, after):
    """Interrupted in the third block, in joining, and before the last step."""
    run(segments)
    expected = files(tmp_path / "segments" / "skeletons")
    half = made(tmp_path / "half")
    steps = []

    def counted(do):
        def step(*arguments):
            if len(steps) == after:
                raise KeyboardInterrupt
            steps.append(do.__name__)
            return do(*arguments)

        return step

    kind = blocks.Skeletonizing
    with monkeypatch.context() as patch:
        for name in ("trace", "join", "finish"):
            patch.setattr(kind, name, counted(getattr(kind, name)))
        patch.setattr(blocks, "_GROUP", 1)
        if after == 2:
            patch.setattr(blocks, "_GROUP", 64)
        with pytest.raises(KeyboardInterrupt):
            run(half)
    assert len(steps) == after
    assert run(half).segments == 2
    found = files(tmp_path / "half" / "skeletons")
    assert expected.pop("info") != found.pop("info")  # The address.
    assert found == expected
    assert not (tmp_path / "half" / "skeletons" / ".partial").exists()


def test_others_are_there(segments, tmp_path):
    folder = tmp_path / "segments" / "skeletons"
    folder.mkdir()
    (folder / "info").write_text('{"@type": "neuroglancer_skeletons"}')
    with pytest.raises(FileExistsError, match="skeletons that another program"):
        run(segments)


def test_no_segmentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("em.npy", np.zeros((4, 4, 4), np.float32))
    message = "segments are integers, found float32"
    with pytest.raises(ValueError, match=message):
        run("em.npy", str(tmp_path / "out"))
    with pytest.raises(FileNotFoundError, match="nothing"):
        run("precomputed://nothing")
