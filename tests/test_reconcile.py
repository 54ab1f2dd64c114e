"""reconcile: subvolumes become one volume; killed; bad input."""

import csv
import dataclasses
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cloudvolume
import numpy as np
import pytest
from servers.faults import Fault
import subvolumes

from ffn_tf import reconcile, volume
from ffn_tf.assembly import matching, overlaps, pieces
from ffn_tf.inference import archive, subvolume
from ffn_tf.volume import conversion, files

RULE = matching.Rule(min_overlap_voxels=1, min_overlap_fraction=0)
START = (3, 5, 7)


def bars(shape=(20, 26, 34)):
    """Bars along x, y and z, of ids that are not in order; some background."""
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, np.uint64)
    labels[(z // 4 % 3 == 0) & (y % 8 > 1)] = 1
    labels[(z // 4 % 3 == 1) & (x % 9 > 2)] = 2
    labels[(z // 4 % 3 == 2) & (x % 9 > 2) & (y % 8 > 1)] = 3
    return volume.labels.components(labels)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """2 x 3 x 4 blocks of `bars`, whose ids mean nothing."""
    folder = tmp_path_factory.mktemp("cut") / "segments"
    subvolumes.cut(folder, bars(), (13, 12, 13), (6, 5, 6), seed=0, start=START)
    assert len(subvolume.find(folder)) == 2 * 3 * 4
    return folder


@pytest.fixture
def segments(cut, tmp_path):
    """A copy of its own."""
    return shutil.copytree(cut, tmp_path / "segments")


def options(segments, output, **changes):
    return reconcile.Options(
        **{"segmentation_dir": str(segments), "output": str(output)}
        | {"chunk_zyx": (8, 16, 8)}
        | changes
    )


def read(output):
    with volume.open(str(output)) as found:
        return found.read()


def test_run(segments, tmp_path):
    output = f"precomputed://{tmp_path}/segmentation"
    made = reconcile.run(options(segments, output), RULE)
    assert not made.was_there
    count = int(bars().max())
    with volume.open(output) as found:
        assert found.domain == volume.Box.from_size(START, bars().shape)
        assert found.dtype == np.uint64
        assert found.info.kind == "segmentation"
        assert found.voxel_size_nm == (40, 8, 4)
        assert found.info.chunk_zyx == (8, 16, 8)
        assert len(found.scales_nm) > 1
        voxels = found.read()
        attributes = found.attributes
    assert subvolumes.same(voxels, bars())
    assert voxels.max() == count
    assert attributes["program"] == "ffn_tf.reconcile"
    assert attributes["options"]["min_overlap_voxels"] == 1
    assert attributes["options"]["segmentation_dir"] == str(segments)
    assert attributes["subvolumes"]["model_checkpoint"] == "sha256:1"

    theirs = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/segmentation", progress=False
    )
    assert theirs.layer_type == "segmentation"
    np.testing.assert_array_equal(theirs[:][..., 0].T, voxels)

    assert made.work_dir == segments / "reconcile"
    told = json.loads((made.work_dir / "report.json").read_text())
    assert told == json.loads(json.dumps(made.report))
    assert (told["pieces"], told["segments"]) == (24, count)
    assert told["suspicious"] == []
    with open(made.work_dir / "segments.csv") as file:
        rows = list(csv.DictReader(file))
    ids, counts = np.unique(voxels[voxels > 0], return_counts=True)
    assert [int(row["id"]) for row in rows] == ids.tolist()
    assert [int(row["voxels"]) for row in rows] == counts.tolist()
    for row in rows[:5]:
        where = np.argwhere(voxels == int(row["id"])) + START
        for name, corner in (
            ("start", where.min(0)),
            ("end", where.max(0) + 1),
        ):
            found = [int(row[f"{name}_{axis}"]) for axis in "zyx"]
            assert found == corner.tolist()

    folder = tmp_path / "segmentation"
    described = json.loads(
        (folder / "segment_properties" / "info").read_text()
    )["inline"]
    assert described["ids"] == [str(one) for one in ids.tolist()]
    shown = {one["id"]: one["values"] for one in described["properties"]}
    assert shown["voxels"] == counts.tolist()
    assert shown["subvolumes"] == [int(row["pieces"]) for row in rows]
    row = rows[3]
    for axis in "zyx":
        middle = (int(row[f"start_{axis}"]) + int(row[f"end_{axis}"])) // 2
        assert shown[f"middle_{axis}"][3] == middle


def test_command_line(segments, tmp_path, command):
    output = f"precomputed://{tmp_path}/segmentation"
    line = [
        "reconcile",
        f"--segmentation_dir={segments}",
        f"--output={output}",
        "--min_overlap_voxels=1",
        "--min_overlap_fraction=0",
        "--chunk_zyx=8,16,8",
        f"--work_dir={tmp_path}/work",
    ]
    ran = command(*line)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    first, second, last = ran.stdout.splitlines()
    assert first.startswith("24 subvolumes, ")
    assert second.startswith("Pairs in overlaps: ")
    assert last == (
        f"Wrote {output}: (20, 26, 34) voxels (z, y, x); "
        f"{tmp_path}/work/segments.csv and report.json. Next: python -m "
        f"ffn_tf.evaluate --segmentation={output} --truth=ADDRESS "
        f"--output_dir=out/scores"
    )
    assert subvolumes.same(read(output), bars())
    assert not (segments / "reconcile").exists()

    again = command(*line)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1].startswith(
        f"Wrote nothing: {output} is complete, made the same before. Next: "
    )


def test_other_options(segments, tmp_path):
    asked = options(segments, tmp_path / "a.zarr")
    reconcile.run(asked, RULE)
    with pytest.raises(FileExistsError) as error:
        reconcile.run(asked, matching.Rule(7, 0))
    assert str(error.value) == (
        f"{asked.output}: exists already, made with other options "
        f"(min_overlap_voxels: 1, now 7), and nothing is overwritten; delete "
        f"it or name another output."
    )
    path = next(iter(subvolume.find(segments).values()))
    found = subvolume.load(path)
    subvolumes.save(segments, found.box.start, found.segmentation * 0)
    with pytest.raises(FileExistsError, match=r"other options \(subvolumes: "):
        reconcile.run(asked, RULE)


@pytest.mark.parametrize("name", ["{}/a.zarr", "zarr3://{}/a", "{}/a.h5:ids"])
def test_other_formats(cut, tmp_path, name):
    output = name.format(tmp_path)
    made = options(cut, output, work_dir=str(tmp_path / "work"))
    assert not reconcile.run(made, RULE).was_there
    with volume.open(output) as found:
        assert subvolumes.same(found.read(), bars())
        assert found.attributes["options"]["min_overlap_voxels"] == 1
    assert reconcile.run(made, RULE).was_there


def test_a_bucket(cut, tmp_path, gcs_bucket):
    output = f"precomputed://gs://{gcs_bucket}/segmentation"
    made = options(cut, output, work_dir=str(tmp_path / "work"))
    reconcile.run(made, RULE)
    assert subvolumes.same(read(output), bars())
    assert reconcile.run(made, RULE).was_there


def test_the_same_from_files_of_what_is_known(cut, tmp_path, monkeypatch):
    """Another rule goes on from them; so does --split_cc, from its own."""
    work = str(tmp_path / "work")
    known, calls = overlaps.known, []
    monkeypatch.setattr(
        overlaps, "known", lambda *args: calls.append(args[2]) or known(*args)
    )
    strict = matching.Rule(min_overlap_voxels=10**6)
    for name, rule in (("a", strict), ("b", RULE), ("c", strict)):
        made = options(cut, f"{tmp_path}/{name}.zarr", work_dir=work)
        reconcile.run(made, rule)
    assert calls == list(range(24))
    assert subvolumes.same(read(tmp_path / "b.zarr"), bars())
    apart = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(apart, read(tmp_path / "c.zarr"))
    assert apart.max() > bars().max()

    calls.clear()
    for name in ("d", "e"):
        made = options(
            cut, f"{tmp_path}/{name}.zarr", work_dir=work, split_cc=True
        )
        reconcile.run(made, RULE)
    assert calls == list(range(24))
    for name in ("d", "e"):
        assert subvolumes.same(read(tmp_path / f"{name}.zarr"), bars())
    made = options(cut, f"{tmp_path}/f.zarr", work_dir=work)
    reconcile.run(made, RULE)
    assert calls == list(range(24))
    assert subvolumes.same(read(tmp_path / "f.zarr"), bars())


def test_split_cc(tmp_path):
    """Two parts that touch nowhere, in two pieces; and in one."""
    labels = np.zeros((5, 6, 14), np.uint8)
    labels[1, 1:5, 2:12] = 1
    labels[1, 2:4] = 0  # Two bars, of one id.
    labels[3, 3, 12:] = 7
    labels[3, 5, 12:] = 7
    subvolumes.cut(tmp_path / "run", labels, (5, 6, 9), (0, 0, 4))
    found = {}
    for split_cc in (False, True):
        output = f"{tmp_path}/{split_cc}.zarr"
        made = options(tmp_path / "run", output, split_cc=split_cc)
        reconcile.run(made, RULE)
        found[split_cc] = read(output)
    assert subvolumes.same(found[False], labels)
    assert subvolumes.same(found[True], volume.labels.components(labels))
    assert found[True].max() == 4


def test_nothing_in_any_piece(tmp_path):
    labels = np.zeros((5, 6, 14), np.uint8)
    subvolumes.cut(tmp_path / "run", labels, (5, 6, 9), (0, 0, 4))
    output = f"precomputed://{tmp_path}/segmentation"
    made = reconcile.run(options(tmp_path / "run", output))
    assert made.report["segments"] == 0
    assert not read(output).any()


def test_crumbs_at_seams_are_left_out(tmp_path):
    """The first subvolume has an object that the second has not."""
    made = subvolumes.MADE | {"options": {"min_segment_size": 50}}
    first = np.zeros((8, 8, 10), np.int32)
    first[2:6, 2:6, 1:4] = 1  # 48 voxels: too small.
    first[:, :, 4] = 2  # 64 voxels.
    first[:, 6:, 5:] = 3  # 80 voxels; in its core, 32.
    second = np.zeros((8, 8, 10), np.int32)
    second[:, :6, 5:] = 1
    for x, labels in ((0, first), (4, second)):
        subvolumes.save(tmp_path / "run", (0, 0, x), labels, made=made)
    output = tmp_path / "segmentation.npy"
    told = reconcile.run(options(tmp_path / "run", output), RULE).report
    assert told["too_small"] == {
        "segments": 2,
        "voxels": 48 + 8 * 2 * 2,
        "min_voxels": 50,
    }
    expected = np.zeros((8, 8, 14))
    expected[:, :, 4], expected[:, :6, 9:] = 1, 2
    np.testing.assert_array_equal(read(output), expected)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"options": {"min_segment_size": 50}}, 50),
        ({"options": {"min_segment_size": 50}, "init_segmentation": "a"}, 0),
        (
            {
                "options": {"min_segment_size": 50},
                "consensus": {"split_min_size": 7},
            },
            7,
        ),
        ({}, 0),
    ],
)
def test_what_objects_have_at_least(tmp_path, made, expected):
    made = subvolumes.MADE | made
    subvolumes.save(tmp_path, (0, 0, 0), np.ones((8, 8, 9), int), made=made)
    assert pieces.found(str(tmp_path)).min_voxels == expected


def test_a_real_one_of_google(fib25, tmp_path, capsys):
    """Its origins and its request, and a corner of its voxels."""
    with archive.read(fib25 / "sample-training2.npz") as file:
        labels = file.array("segmentation")[:64, :50, :40]
        members = {name: file.raw(name) for name in ("origins", "request")}
    archive.write(
        tmp_path / "run" / "seg-60_50_40.npz",
        {**members, "segmentation": labels},
    )
    output = tmp_path / "segmentation.npy"
    made = options(tmp_path / "run", output, voxel_size_nm=(8.0, 8.0, 8.0))
    told = reconcile.run(made).report
    assert told["domain"]["start_zyx"] == (40, 50, 60)
    sizes = np.bincount(labels.ravel())
    labels[sizes[labels] < 1000] = 0  # Its min_segment_size.
    assert subvolumes.same(read(output), labels)
    assert capsys.readouterr().err == ""


def test_segments_in_viewers_are_the_largest(segments, tmp_path, monkeypatch):
    monkeypatch.setattr(reconcile, "_LISTED", 5)
    output = f"precomputed://{tmp_path}/segmentation"
    reconcile.run(options(segments, output), RULE)
    path = tmp_path / "segmentation" / "segment_properties" / "info"
    ids = [int(i) for i in json.loads(path.read_text())["inline"]["ids"]]
    voxels = np.bincount(read(output).ravel().astype(int))[1:]
    assert ids == sorted(np.argsort(-voxels, kind="stable")[:5] + 1)


# -----------------------------------------------------------------------------
# Killed, and at once
# -----------------------------------------------------------------------------

_BLOCK = 2**16
# The program, with blocks so small that there are many.
_SMALL_BLOCKS = f"""
import runpy
from ffn_tf.volume import conversion
conversion._BLOCK_BYTES = {_BLOCK}
runpy.run_module("ffn_tf.reconcile", run_name="__main__", alter_sys=True)
"""


def _content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("after", ["overlaps", "blocks"])
def test_killed_and_run_again(tmp_path, monkeypatch, after):
    labels = bars((48, 80, 112))
    segments, output = tmp_path / "segments", tmp_path / "segmentation"
    subvolumes.cut(segments, labels, (28, 44, 61), (8, 9, 10), seed=0)
    asked = reconcile.Options(
        segmentation_dir=str(segments),
        output=f"precomputed://{output}",
        chunk_zyx=(16, 16, 16),
    )
    running = subprocess.Popen(
        [
            *(sys.executable, "-c", _SMALL_BLOCKS),
            f"--segmentation_dir={segments}",
            f"--output={asked.output}",
            "--chunk_zyx=16,16,16",
            "--min_overlap_voxels=1",
            "--min_overlap_fraction=0",
        ]
    )
    pattern = {
        "overlaps": "segments/reconcile/overlaps/*/*.npz",
        "blocks": "segmentation/.partial/done/[0-9]*",
    }[after]
    deadline = time.monotonic() + 100
    while len(list(tmp_path.glob(pattern))) < 3:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    with pytest.raises(FileNotFoundError):
        volume.open(asked.output)
    if after == "blocks":
        num_done = len(list(tmp_path.glob(pattern)))
        with pytest.raises(FileExistsError, match="an unfinished copy with"):
            reconcile.run(asked, matching.Rule(2))

    monkeypatch.setattr(conversion, "_BLOCK_BYTES", _BLOCK)
    write, written = conversion._Job.write, []
    monkeypatch.setattr(
        conversion._Job,
        "write",
        lambda *args: written.append(args[1]) or write(*args),
    )
    assert not reconcile.run(asked, RULE).was_there
    if after == "blocks":
        assert len(written) == len({*written}) == 3 * 5 * 4 - num_done
    undisturbed = dataclasses.replace(
        asked,
        output=f"precomputed://{tmp_path}/undisturbed",
        work_dir=str(tmp_path / "work"),
    )
    reconcile.run(undisturbed, RULE)
    assert subvolumes.same(read(asked.output), labels)
    found, expected = _content(output), _content(tmp_path / "undisturbed")
    assert found.keys() == expected.keys()
    for name, data in expected.items():
        if name.split("/")[-1] not in ("info", "provenance"):
            assert found[name] == data, name
    for name in ("segments.csv", "report.json"):
        assert (segments / "reconcile" / name).read_bytes() == (
            tmp_path / "work" / name
        ).read_bytes()


def test_killed_before_the_segments_were_described(
    segments, tmp_path, monkeypatch
):
    asked = options(segments, f"precomputed://{tmp_path}/segmentation")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reconcile.segment_properties, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            reconcile.run(asked, RULE)
    path = tmp_path / "segmentation" / "segment_properties" / "info"
    assert not path.exists()
    assert reconcile.run(asked, RULE).was_there
    assert path.exists()


def test_two_at_once(segments, tmp_path):
    """The second one is refused before it writes anything."""
    work = tmp_path / "work"
    work.mkdir()
    asked = options(segments, f"{tmp_path}/a.zarr", work_dir=str(work))
    with files.locked(work, "here"):
        with pytest.raises(BlockingIOError) as error:
            reconcile.run(asked, RULE)
    assert str(error.value) == (
        f"{work}: another process is reconciling with it. Wait for it, or use "
        f"another folder."
    )
    assert not (tmp_path / "a.zarr").exists()
    reconcile.run(asked, RULE)


@pytest.mark.parametrize("kind", ["zarr", "precomputed", "npy"])
def test_two_at_once_at_one_output(segments, tmp_path, monkeypatch, kind):
    """With folders of their own, so that only the output is shared."""
    end = f"a.{kind}" if kind != "precomputed" else "a"
    scheme = "precomputed://" * (kind == "precomputed")
    asked = options(
        segments,
        f"{scheme}{tmp_path}/{end}",
        work_dir=str(tmp_path / "second"),
    )
    finish, refused = conversion._Job.finish, []

    def busy(job):
        """Meanwhile the second comes."""
        monkeypatch.setattr(conversion._Job, "finish", finish)
        with pytest.raises(BlockingIOError, match="process is making the same"):
            reconcile.run(asked, RULE)
        refused.append(job)
        finish(job)

    monkeypatch.setattr(conversion._Job, "finish", busy)
    first = dataclasses.replace(asked, work_dir=str(tmp_path / "first"))
    assert not reconcile.run(first, RULE).was_there
    assert refused
    assert reconcile.run(asked, RULE).was_there
    assert subvolumes.same(read(asked.output), bars())


# -----------------------------------------------------------------------------
# Bad input: one error, nothing written
# -----------------------------------------------------------------------------


def refused(asked, error, match):
    """The program says no, and leaves nothing."""
    with pytest.raises(error, match=match):
        reconcile.run(asked, RULE)
    assert not (pathlib.Path(asked.segmentation_dir) / "reconcile").exists()
    assert not pathlib.Path(asked.output).exists()


def test_too_little_overlap(tmp_path):
    subvolumes.cut(tmp_path / "run", bars(), (20, 14, 34), (0, 1, 0))
    asked = options(tmp_path / "run", tmp_path / "a.zarr")
    refused(asked, ValueError, "meet at y 13 overlap by 1 voxels; expected at")


def test_little_overlap_is_told(tmp_path, capsys):
    made = {**subvolumes.MADE, "voxel_size_nm": (1, 1, 1)}
    subvolumes.cut(tmp_path / "run", bars(), (20, 14, 34), (0, 2, 0), made=made)
    output = tmp_path / "a.zarr"
    reconcile.run(options(tmp_path / "run", output), RULE)
    gap, size = capsys.readouterr().err.splitlines()
    assert gap.startswith(
        "warning: between neighbouring subvolumes no field of view was "
        "centred on (0, 2, 0) voxels (z, y, x): "
    )
    assert size == (
        "warning: the subvolumes do not say how large a voxel is, so the "
        "output says 1 nm; give --voxel_size_nm=z,y,x."
    )
    assert subvolumes.same(read(output), bars())


def test_another_model(segments, tmp_path):
    path = next(iter(subvolume.find(segments).values()))
    found = subvolume.load(path)
    made = {**subvolumes.MADE, "model_checkpoint": "sha256:2"}
    subvolumes.save(segments, found.box.start, found.segmentation, made=made)
    asked = options(segments, tmp_path / "a.zarr")
    refused(asked, ValueError, "model_checkpoint: 'sha256:2' and 'sha256:1'")


def test_a_missing_one(segments, tmp_path):
    path = list(subvolume.find(segments).values())[13]
    path.unlink()
    asked = options(segments, tmp_path / "a.zarr")
    refused(asked, FileNotFoundError, "1 of 24 subvolumes are missing, at zyx")
    asked = dataclasses.replace(asked, allow_missing=True)
    told = reconcile.run(asked, RULE).report
    assert (told["pieces"], told["missing"]) == (23, [[10, 5, 14]])
    voxels = read(asked.output)
    hole = volume.Box((10, 0, 10), (20, 9, 17))
    assert not voxels[hole.slices].any()
    voxels, labels = (v.copy() for v in (voxels, bars()))
    labels[hole.slices] = 0
    table = volume.contingency.count(labels, voxels)
    assert len(np.unique(table.segment_ids)) == len(table)


def test_a_flipped_bit(segments, tmp_path):
    path = list(subvolume.find(segments).values())[13]
    data = bytearray(path.read_bytes())
    data[150] ^= 4
    path.write_bytes(data)
    asked = options(segments, tmp_path / "a.zarr")
    with pytest.raises(ValueError, match=f"{path.name}: cannot be read as a"):
        reconcile.run(asked, RULE)
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("size", [0, 200])
def test_a_truncated_one(segments, tmp_path, size):
    path = list(subvolume.find(segments).values())[13]
    path.write_bytes(path.read_bytes()[:size])
    asked = options(segments, tmp_path / "a.zarr")
    refused(asked, ValueError, f"{path.name}: cannot be read as a")


def test_damaged_after_it_was_compared(segments, tmp_path):
    """Noticed when its voxels are needed again; made anew, the same goes on."""
    asked = options(segments, tmp_path / "a.zarr")
    reconcile.run(asked, RULE)
    path = list(subvolume.find(segments).values())[13]
    good = path.read_bytes()
    data = bytearray(good)
    data[150] ^= 4
    path.write_bytes(data)
    again = dataclasses.replace(asked, output=str(tmp_path / "b.zarr"))
    with pytest.raises(ValueError, match=f"{path.name}: cannot be read as a"):
        reconcile.run(again, RULE)
    path.write_bytes(good)
    reconcile.run(again, RULE)
    np.testing.assert_array_equal(read(asked.output), read(again.output))


def test_not_a_grid(segments, tmp_path):
    subvolumes.save(segments, (3, 5, 8), np.ones((13, 12, 12), int))
    asked = options(segments, tmp_path / "a.zarr")
    refused(asked, ValueError, "expected the regular grid of one run_inference")


def test_no_pieces(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run", "absent"):
        asked = options(tmp_path / name, tmp_path / "a.zarr")
        refused(asked, FileNotFoundError, "no seg-<x>_<y>_<z>.npz in it")
    assert not (tmp_path / "absent").exists()


def test_something_else_is_there(segments, tmp_path):
    np.save(tmp_path / "a.npy", bars())
    asked = options(segments, tmp_path / "a.npy")
    with pytest.raises(FileExistsError, match=r"a\.npy"):
        reconcile.run(asked, RULE)
    assert not (segments / "reconcile").exists()


def test_an_output_that_cannot_be(segments, tmp_path):
    asked = options(segments, tmp_path / "a.zarr", chunk_zyx=(0, 8, 8))
    refused(asked, ValueError, "chunk_zyx: expected at least 1")
    asked = options(segments, tmp_path / "a.zarr", voxel_size_nm=(0, 1, 1))
    refused(asked, ValueError, "voxel_size_nm: expected 3 positive lengths")


def test_a_bucket_that_refuses(segments, tmp_path, gcs_server, gcs_bucket):
    """The same goes on when it is allowed to."""
    refuses = Fault(gcs_bucket, "status", status=403, methods=("POST", "PUT"))
    gcs_server.add(refuses)
    output = f"precomputed://gs://{gcs_bucket}/segmentation"
    with pytest.raises(OSError, match=f"{gcs_bucket}/.*PERMISSION_DENIED"):
        reconcile.run(options(segments, output), RULE)
    gcs_server.reset()
    reconcile.run(options(segments, output), RULE)
    assert subvolumes.same(read(output), bars())


def test_subvolumes_that_cannot_be_written_to(segments, tmp_path):
    (segments / "reconcile").write_text("in the way")
    asked = options(segments, tmp_path / "a.zarr")
    with pytest.raises(OSError, match=r"name a folder .* with --work_dir"):
        reconcile.run(asked, RULE)
    assert not (tmp_path / "a.zarr").exists()
    asked = dataclasses.replace(asked, work_dir=str(tmp_path / "work"))
    reconcile.run(asked, RULE)
    assert subvolumes.same(read(asked.output), bars())
