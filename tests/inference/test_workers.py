"""Several workers: the same files as one, also when they are killed."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import job_workers
import numpy as np
import pytest

from ffn_tf import run_inference, volume
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run as run_lib
from ffn_tf.inference import run_options, segmenter, subvolume
from ffn_tf.jobs import run as jobs
from ffn_tf.program import progress
from ffn_tf.volume.files import locked

SHAPE = (16, 16, 80)
REQUEST = {"image_mean": 128.0, "image_stddev": 32.0}
THRESHOLDS = {"min_segment_size": 50, "min_boundary_dist_zyx": (0, 0, 0)}
CUT = {
    "subvolume_zyx": (512, 512, 26),
    "overlap_zyx": (8, 8, 8),
    "engine": "openvino",
    "compute_dtype": "float32",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, brightness):
    """The inputs of a request: bars, and a network that segments them."""
    folder = tmp_path_factory.mktemp("workers")
    em = np.full(SHAPE, 60, np.uint8)
    em[4:12, 4:12, 3:-3] = 200
    em[:, :, 30:33] = 60
    info = volume.VolumeInfo(
        volume.Box.from_shape(SHAPE), em.dtype, (10.0, 10.0, 10.0)
    )
    with volume.create(f"{folder}/em.zarr", info) as created:
        created.write(info.domain, em)
    return {"image": f"{folder}/em.zarr", "model_checkpoint": brightness()}


def asked(files, out):
    return request_lib.InferenceRequest(
        **files,
        **REQUEST,
        segmentation_output_dir=str(out),
        options=options_lib.InferenceOptions(**THRESHOLDS),
    )


def run(files, out, **who):
    """In this process, if nothing else is asked for."""
    return run_inference.run(
        asked(files, out), run_options.RunOptions(**CUT), jobs.Options(**who)
    )


def command(files, out, *flags):
    """The same on the command line."""
    values = files | REQUEST | THRESHOLDS | CUT
    values["segmentation_output_dir"] = out
    flags = [f"--{k}={_text(v)}" for k, v in values.items()] + list(flags)
    return [sys.executable, "-m", "ffn_tf.run_inference", *flags]


def _text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def contents(folder):
    """Relative path -> bytes, of all that decides or is a result."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file() and path.suffix in (".npz", ".cpoint")
    } | {"run.json": (folder / "run.json").read_bytes()}


@pytest.fixture(scope="module")
def alone(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    run(files, out)
    return out


def test_several_processes_give_the_same_bytes(
    files, tmp_path, alone, monkeypatch, capfd
):
    out = tmp_path / "several"
    monkeypatch.setattr(progress.Line, "due", lambda line: 60.0)
    summary = run(files, out, executor="processes", workers=2)
    said = capfd.readouterr().err
    for number in range(1, 5):
        assert f" {number}/4  " in said
    assert contents(out) == contents(alone)
    assert (len(summary.boxes), summary.skipped) == (4, 0)
    found = [subvolume.load(path) for path in subvolume.find(out).values()]
    assert summary.segments == sum(len(f.origins) for f in found)
    assert summary.timing.steps == sum(f.counters["steps"] for f in found)
    names = {path.name for path in out.glob("timing*.json")}
    assert names == {"timing-worker-0.json", "timing-worker-1.json"}


def test_shards_together_give_the_same_bytes(files, tmp_path, alone):
    """As an array of Slurm does: at once, into one folder."""
    out = tmp_path / "shards"
    started = [
        subprocess.Popen(
            command(files, out, f"--shard={i}/2"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for i in range(2)
    ]
    said = [process.communicate()[0] for process in started]
    assert all("Wrote 2 subvolume(s)" in text for text in said)
    assert contents(out) == contents(alone)
    assert run(files, out).skipped == 4


def test_a_shard_is_worked_on_once(files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    mark = out / "shard-1-of-2.lock"
    mark.touch()
    with locked(mark, "here"):
        with pytest.raises(BlockingIOError, match="working on shard-1-of-2"):
            run(files, out, shard="1/2")
        assert len(run(files, out, shard="0/2").boxes) == 2
        assert list(out.glob("*.lock")) == [mark]  # Of 0/2 none is left.
    with locked(out, "here", shared=True):
        with pytest.raises(BlockingIOError, match="segmenting into it"):
            run(files, out)


def test_what_a_dead_worker_has_finished_is_not_done_again(files, alone):
    """It has died before it could say so."""
    before = {p: p.stat().st_mtime_ns for p in alone.rglob("*.npz")}
    with run_lib.Run(
        asked(files, alone), run_options.RunOptions(**CUT)
    ) as checked:
        work = segmenter.Segmenter(checked)
        first, *_ = found = list(work(checked.boxes))
    assert [one.task for one in found] == list(checked.boxes)
    saved = subvolume.load(subvolume.path_for(alone, first.task.start))
    assert first.result == segmenter.Segmented(
        len(saved.origins),
        np.count_nonzero(saved.segmentation),
        saved.counters["steps"],
    )
    assert before == {p: p.stat().st_mtime_ns for p in alone.rglob("*.npz")}


def test_a_worker_that_does_not_see_the_folder(files, tmp_path):
    """Of another machine: what it would write there, nobody would find."""
    request = asked(files, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"out: no run\.json in it"):
        segmenter.in_its_process(request, run_options.RunOptions(**CUT), "", 0)
    assert not (tmp_path / "out").exists()


def children(process):
    """The workers of a run, as the system lists them."""
    listed = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    found = [int(pid) for pid in listed.read_text().split()]
    return [
        pid
        for pid in found
        if b"spawn_main" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def wait_for(what):
    for _ in range(600):
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("waited for a minute")


@pytest.fixture
def process(files, tmp_path):
    """A run with two workers, in a session of its own."""
    flags = ["--executor=processes", "--workers=2"]
    with subprocess.Popen(
        command(files, tmp_path / "out", *flags),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:
        yield started
        started.kill()


def test_a_killed_worker_loses_nothing(tmp_path, alone, process):
    # Both have been started; neither has segmented anything yet.
    first, _ = wait_for(lambda: len(c := children(process)) == 2 and c)
    os.kill(first, signal.SIGKILL)
    assert process.wait() == 0
    assert contents(tmp_path / "out") == contents(alone)


@pytest.mark.slow
def test_a_killed_machine_loses_nothing(files, tmp_path, alone, process):
    out = tmp_path / "out"
    wait_for(lambda: subvolume.find(out) if out.exists() else None)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run(files, out, executor="processes", workers=2)
    assert contents(out) == contents(alone)


def test_workers_end_with_their_parent(process):
    found = wait_for(lambda: len(c := children(process)) == 2 and c)
    process.kill()
    wait_for(lambda: not any(job_workers.runs(pid) for pid in found))


def test_what_cannot_be_done_is_listed(files, tmp_path, alone):
    """A state that is damaged fails its subvolume, not the others."""
    out = tmp_path / "out"
    shutil.copytree(alone, out)
    (first, second, *_) = subvolume.find(out).values()
    first.unlink()
    second.unlink()
    damaged = first.with_suffix(".cpoint")
    damaged.write_bytes(b"PK")
    with pytest.raises(jobs.TasksFailed) as caught:
        run(files, out)
    message = str(caught.value).splitlines()
    assert message[0] == "1 of 2 could not be done:"
    assert message[1].startswith("  zyx (0, 0, 0)..(16, 16, 26)")
    assert str(damaged) in message[1]
    assert second.exists()
    damaged.unlink()
    run(files, out)
    assert contents(out) == contents(alone)
