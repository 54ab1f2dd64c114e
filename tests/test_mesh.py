"""mesh: the program, with one process and with several."""

import dataclasses
import pathlib

import cloudvolume
import numpy as np
import pytest

from ffn_tf import mesh, volume
from ffn_tf.assembly import meshing
from ffn_tf.jobs import run as jobs
from ffn_tf.jobs import tasks
from ffn_tf.volume import conversion, mesh_files

HOW = meshing.Options(dust_threshold=1, block_zyx=(16, 16, 16))


@pytest.fixture
def segments(tmp_path):
    return made(tmp_path / "segments")


def made(folder):
    labels = np.zeros((20, 24, 28), np.uint32)
    labels[4:18, 5:20, 6:24] = 1
    labels[8:12, 8:12, :] = 2
    info = volume.VolumeInfo(
        volume.Box.from_shape(labels.shape),
        labels.dtype,
        (40.0, 8.0, 4.0),
        chunk_zyx=(16, 16, 16),
        kind="segmentation",
    )
    with volume.create(f"precomputed://{folder}", info) as target:
        target.write(info.domain, labels)
    return f"precomputed://{folder}"


def test_dust_is_told(segments, command):
    ran = command("mesh", f"--segmentation={segments}", "--dust_threshold=500")
    assert ran.returncode == 0, ran.stderr
    assert "; 1 are too small (--dust_threshold)." in ran.stdout


def files(address):
    folder = pathlib.Path(address.removeprefix("precomputed://")) / "mesh"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_command_line(segments, tmp_path, command):
    line = [
        "mesh",
        f"--segmentation={segments}",
        "--dust_threshold=1",
        "--block_zyx=16,16,16",
    ]
    ran = command(*line)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert ran.stdout.startswith("Wrote meshes of 2 segments, in 10 pieces, in")
    assert "too small" not in ran.stdout
    found = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/segments", progress=False
    ).mesh.get(2)
    np.testing.assert_allclose(found.vertices.max(0), [112, 96, 480], atol=4)
    np.testing.assert_allclose(found.vertices.min(0), [0, 64, 320], atol=4)
    again = command(*line)
    assert again.stdout.startswith("Wrote nothing: ")
    other = command(*line[:-1])
    assert other.returncode == 1
    assert "block_zyx" in other.stderr


def test_processes_and_shards(segments, tmp_path):
    mesh.run(mesh.Options(segments), HOW)
    shared = made(tmp_path / "shared")
    first, second = (
        mesh.run(
            mesh.Options(shared),
            HOW,
            jobs.Options(executor="processes", workers=2, shard=f"{i}/2"),
        )
        for i in range(2)
    )
    assert first.missing == 4 and first.segments is None
    assert (second.missing, second.segments) == (0, 2)
    assert files(shared) == files(segments)


@pytest.mark.parametrize("moment", ["ids", "_noted"])
def test_two_shards_that_end_at_the_same_moment(
    segments, tmp_path, monkeypatch, moment
):
    """The other finishes while this one looks whether all is done."""
    mesh.run(mesh.Options(segments), HOW)
    shared = made(tmp_path / "shared")
    halves = [jobs.Options(shard=f"{i}/2") for i in range(2)]
    mesh.run(mesh.Options(shared), HOW, halves[0])
    real, calls = getattr(mesh_files.MeshFolder, moment), []

    def slow(self, *arguments):
        calls.append(moment)
        if len(calls) == (2 if moment == "ids" else 1):
            monkeypatch.setattr(mesh_files.MeshFolder, moment, real)
            meshing.Meshing(shared, HOW).finish()
        return real(self, *arguments)

    # Its own worker asks for ids, too, before the look that is meant.
    monkeypatch.setattr(mesh, "_worker", _at_once(shared))
    monkeypatch.setattr(mesh_files.MeshFolder, moment, slow)
    found = mesh.run(mesh.Options(shared), HOW, halves[1])
    assert (found.segments, found.missing) == (None, 0)
    assert files(shared) == files(segments)


def _at_once(address):
    """A worker that has begun before anybody watches."""
    job = meshing.Meshing(address, HOW)
    job.begin()

    def make(*_):
        def work(boxes):
            for box in boxes:
                job.make(box)
                yield tasks.Done(box, None)

        return work

    return make


def test_scale(tmp_path):
    fine = f"{made(tmp_path / 'fine')}?mip=0"
    output = f"precomputed://{tmp_path}/segments"
    with volume.open(fine) as source:
        plan = conversion.planned(
            source,
            output,
            dataclasses.replace(source.info, chunk_zyx=(8, 8, 8)),
        )
        conversion.execute(plan, source)
    made_of = mesh.run(mesh.Options(f"{output}?mip=1"), HOW)
    assert made_of.segments == 2
    found = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/segments", progress=False
    ).mesh.get(2)
    # Along x it goes through the volume.
    assert np.ptp(found.vertices[:, 0]) == pytest.approx(112, abs=4)
