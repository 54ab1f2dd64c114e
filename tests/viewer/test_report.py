"""Report: the page of a run, written while it goes on and at the end."""

import dataclasses
import json
import types

import h5py
import numpy as np
import pytest

from ffn_tf import run_inference
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run_options
from ffn_tf.jobs import run as jobs
from ffn_tf.viewer import page, report

SHAPE = (16, 16, 44)
BOXES = np.s_[3:13, 3:13, 3:12], np.s_[4:13, 3:13, 34:41]


@pytest.fixture
def asked(tmp_path, brightness):
    """Two subvolumes with a bright box each."""
    raw = np.full(SHAPE, 95, np.uint8)
    texture = np.random.default_rng(0).integers(0, 8, SHAPE)
    for box in BOXES:
        raw[box] = 161 + texture[box]
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["raw"] = raw
    request = request_lib.InferenceRequest(
        image=f"{tmp_path}/em.h5:raw",
        model_checkpoint=brightness(),
        segmentation_output_dir=f"{tmp_path}/out",
        options=options_lib.InferenceOptions(
            min_segment_size=50, min_boundary_dist_zyx=(0, 0, 0)
        ),
    )
    options = run_options.RunOptions(
        engine="openvino",
        compute_dtype="float32",
        subvolume_zyx=(16, 16, 26),
        overlap_zyx=(0, 0, 8),
    )
    return request, options


@pytest.fixture
def pages(monkeypatch):
    """What is written, as it is written."""
    written = []

    def write(path, text, real=report.files.write_text):
        if path.name == report.NAME:
            written.append(text)
        real(path, text)

    monkeypatch.setattr(report.files, "write_text", write)
    return written


def test_while_it_goes_on(asked, pages, monkeypatch, tmp_path):
    monkeypatch.setattr(page, "REFRESH_S", 0.01)
    run_inference.run(*asked, report=True)
    first, *_, last = pages
    assert "Under way" in first and "0 of 2" in first
    assert any("1 of 2" in text for text in pages)
    assert "A subvolume that is under way" in first
    assert "Finished" in last and "2 of 2" in last
    assert "<b>2</b>objects" in last
    assert last == (tmp_path / "out" / "report.html").read_text()
    for stage in ("set-up", "reading", "seeding", "network", "host", "saving"):
        assert f"</span>{stage}</td>" in last


def test_only_at_the_end_by_default(asked, pages):
    run_inference.run(*asked, report=True)
    assert len(pages) == 1  # It took less than a minute.


def test_afterwards(asked, pages, tmp_path):
    run_inference.run(*asked)
    assert not pages
    before = {
        path: path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    summary = run_inference.run(*asked, report=True)
    assert summary.made == 0
    (text,) = pages
    assert "2 of 2" in text
    assert all(path.read_bytes() == data for path, data in before.items())


def test_several_workers(asked, pages, monkeypatch):
    monkeypatch.setattr(page, "REFRESH_S", 0)
    who = jobs.Options(executor="processes", workers=2)
    run_inference.run(*asked, who, report=True)
    assert "2 of 2" in pages[-1]


def test_the_rate_is_that_of_all_workers(asked, pages, monkeypatch, tmp_path):
    """Two do 100 calls in 10 s each, at the same time."""
    run_inference.run(*asked)
    now = 1000.0
    clock = types.SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(report, "time", clock)
    address, out = asked[0].image, tmp_path / "out"
    one = report.Report(out, address, 2, 100.0)
    for worker in range(2):
        took = {"steps": 100, "seconds": 10.0}
        path = out / f"timing-worker-{worker}.json"
        path.write_text(json.dumps(took))
    now += 10
    one.write()
    assert "<b>20.0/s</b>fields of view, all workers" in pages[-1]


def test_the_second_pass(asked, pages, tmp_path):
    """It finds a third box, between the seeds of the first."""
    with h5py.File(tmp_path / "em.h5", "r+") as file:
        file["raw"][3:13, 4:13, 15:31] = 165
    request = dataclasses.replace(
        asked[0],
        seed_policy="PolicyGrid3d",
        seed_policy_args={"step": 29, "offsets": [8]},
    )
    filling = run_options.RunOptions(
        engine="openvino", compute_dtype="float32", fill=True
    )
    summary = run_inference.run(request, filling, report=True)
    segments, _, steps = summary.filled
    assert segments == 1 and steps > 0
    said = 'network calls of the second pass</td><td class="n">'
    assert f"{said}{steps:,}<" in pages[-1]


def test_what_cannot_be_drawn_is_a_warning(asked, monkeypatch, capsys):
    def fail(facts):
        raise ValueError("too dark")

    monkeypatch.setattr(page, "written", fail)
    assert run_inference.run(*asked, report=True).made == 2
    said = capsys.readouterr().err
    assert "report.html could not be written: too dark" in said
