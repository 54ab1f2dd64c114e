"""The program: flags and requests; bad input; killed and run again.

The network is made by hand (tests/conftest.py): it segments bright boxes.
"""

import dataclasses
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

from absl import flags
import h5py
import numpy as np
import pytest

from ffn_tf import model, program, run_inference, volume
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import results, run_options, runner, subvolume, timing
from ffn_tf.jobs import run as jobs

FLAGS_OF = (
    run_inference.Options,
    run_options.RunOptions,
    jobs.Options,
    request_lib.InferenceRequest,
    options_lib.InferenceOptions,
)
REQUEST = """
image { hdf5: "em.h5:raw" }
image_mean: 100
image_stddev: 30
seed_policy: "PolicyPeaks"
model_checkpoint_path: "net"
model_name: "convstack_3d.ConvStack3DFFNModel"
segmentation_output_dir: "results"
inference_options {
  init_activation: 0.95
  pad_value: 0.05
  move_threshold: 0.8
  segment_threshold: 0.6
  min_boundary_dist { x: 1 y: 2 z: 3 }
  min_segment_size: 50
}
"""


@pytest.fixture
def files(tmp_path, brightness):
    """Two bright boxes in the dark, as flags."""
    raw = np.full((14, 14, 24), 95, np.uint8)
    texture = np.random.default_rng(0).integers(0, 8, raw.shape)
    for box in (np.s_[3:11, 3:11, 3:11], np.s_[3:11, 3:11, 14:21]):
        raw[box] = 161 + texture[box]
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["raw"] = raw
    return {
        "image": f"{tmp_path}/em.h5:raw",
        "model_checkpoint": brightness(),
        "segmentation_output_dir": f"{tmp_path}/out",
        "min_segment_size": "50",
        "engine": "openvino",
        "compute_dtype": "float32",
    }


def as_flags(values):
    return [f"--{name}={value}" for name, value in values.items()]


def start(*arguments, **named):
    """The real command line.

    Without git, so that the code's version is one although the working copy
    may change meanwhile.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "ffn_tf.run_inference", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"GIT_DIR": "/nowhere"},
        **named,
    )


# -----------------------------------------------------------------------------
# Flags and requests
# -----------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """asked(*arguments): the (request, options) that would be run."""
    before = set(flags.FLAGS)
    for options in FLAGS_OF:
        program.define_flags(options)
    found = []

    def run(request, options, job_options, report):
        assert (job_options, report) == (jobs.INLINE, False)
        found.append((request, options))
        raise KeyboardInterrupt

    monkeypatch.setattr(run_inference, "run", run)

    def call(*arguments):
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["run_inference", *arguments])
        with pytest.raises(KeyboardInterrupt):
            run_inference.main(["run_inference"])
        return found.pop()

    yield call
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


@pytest.fixture
def text_request(tmp_path):
    path = tmp_path / "request.pbtxt"
    path.write_text(REQUEST)
    return str(path)


def test_flags_alone(asked):
    request, options = asked(
        "--image=em.h5:raw",
        "--model_checkpoint=net",
        "--min_boundary_dist_zyx=1,2,3",
        "--move_threshold=0.8",
        "--batch_size=4",
        "--subvolume_zyx=100,200,300",
        "--bounding_box=start { } size { x: 9 y: 8 z: 7 }",
    )
    assert request == request_lib.InferenceRequest(
        image="em.h5:raw",
        model_checkpoint="net",
        batch_size=4,
        options=options_lib.InferenceOptions(
            min_boundary_dist_zyx=(1, 2, 3), move_threshold=0.8
        ),
    )
    assert options == run_options.RunOptions(
        subvolume_zyx=(100, 200, 300),
        bounding_box="start { } size { x: 9 y: 8 z: 7 }",
    )


def test_a_request_alone(asked, text_request):
    request, options = asked(f"--inference_request={text_request}")
    assert request == request_lib.parse(text_request)
    assert request.options.min_boundary_dist_zyx == (3, 2, 1)
    assert request.image_mean == 100
    assert options == run_options.RunOptions()


def test_a_request_of_an_odd_name_and_a_byte_order_mark(asked, tmp_path):
    """As Windows' editor writes it."""
    path = tmp_path / "request {final}.pbtxt"
    path.write_bytes(b"\xef\xbb\xbf" + REQUEST.encode())
    request, _ = asked(f"--inference_request={path}")
    assert request == request_lib.parse(REQUEST)


def test_the_flagfile_says_what_google_s_request_says(asked, fib25):
    path = fib25 / "inference_training_sample2.pbtxt"
    theirs, _ = asked(f"--inference_request={path}")
    ours, _ = asked(
        "--flagfile=configs/fib25.flags",
        f"--image={theirs.image}",
        f"--model_checkpoint={theirs.model_checkpoint}",
        f"--segmentation_output_dir={theirs.segmentation_output_dir}",
    )
    # What it says of the network is what the checkpoint says, and the default.
    assert theirs.model_args["depth"] == 12
    assert ours == dataclasses.replace(
        theirs, model_args={}, checkpoint_interval=ours.checkpoint_interval
    )


def test_flags_take_precedence_over_the_request(asked, text_request):
    request, _ = asked(
        f"--inference_request={text_request}",
        "--image=other.h5:raw",
        # A default, but given, so it counts.
        "--image_mean=128",
        "--move_threshold=0.9",
        "--segmentation_output_dir=elsewhere",
    )
    theirs = request_lib.parse(text_request)
    assert request.image == "other.h5:raw"
    assert request.image_mean == 128
    assert request.segmentation_output_dir == "elsewhere"
    assert request.options.move_threshold == np.float32(0.9)
    # What was not given is the request's, not the flag's default.
    assert request.image_stddev == 30
    assert request.model_checkpoint == "net"
    assert request.options.min_segment_size == 50
    assert request.options.segment_threshold == theirs.options.segment_threshold


@pytest.fixture
def trained(tmp_path, brightness):
    """trained(normalisation): the folder of a network of ffn_tf.train."""

    def make(**normalisation):
        folder = tmp_path / "trained"
        shutil.copytree(brightness(), folder)
        described = json.loads((folder / "model.json").read_text())
        described["origin"] = {
            "program": "ffn_tf.train",
            "normalisation": {
                name: {"mean": mean, "stddev": stddev}
                for name, (mean, stddev) in normalisation.items()
            },
        }
        (folder / "model.json").write_text(json.dumps(described))
        return f"--model_checkpoint={folder}"

    return make


def test_grey_values_as_in_training(asked, trained, capsys):
    network = trained(a=(100.5, 20.25), b=(100.5, 20.25))
    request, _ = asked("--image=em.h5:raw", network)
    assert (request.image_mean, request.image_stddev) == (100.5, 20.25)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "Grey values as in training: --image_mean=100.5 --image_stddev=20.25"
    ]


def test_flags_take_precedence_over_the_training(asked, trained, capsys):
    network = trained(a=(100.5, 20.25))
    request, _ = asked("--image=em.h5:raw", network, "--image_stddev=33")
    assert (request.image_mean, request.image_stddev) == (100.5, 33)
    both = ("--image_mean=1", "--image_stddev=2")
    request, _ = asked("--image=em.h5:raw", network, *both)
    assert (request.image_mean, request.image_stddev) == (1, 2)
    said = capsys.readouterr().err.splitlines()
    (grey,) = [line for line in said if line.startswith("Grey values")]
    assert grey.endswith("--image_mean=100.5 --image_stddev=33")


def test_a_request_takes_precedence_over_the_training(
    asked, trained, text_request
):
    network = trained(a=(100.5, 20.25))
    request, _ = asked(f"--inference_request={text_request}", network)
    assert (request.image_mean, request.image_stddev) == (100, 30)


def test_grey_values_of_several_kinds_are_measured(
    asked, trained, tmp_path, capsys
):
    rng = np.random.default_rng(0)
    image = f"--image={tmp_path}/em.npy"
    np.save(tmp_path / "em.npy", rng.normal(90, 7, (70, 70, 70)))
    network = trained(a=(100, 20), b=(90, 20))
    request, _ = asked(image, network)
    assert (round(request.image_mean), round(request.image_stddev)) == (90, 7)
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("Grey values as measured: ")
    )
    request, _ = asked(image, network, "--image_mean=95", "--image_stddev=20")
    assert request.image_mean == 95


def test_without_a_network_it_is_the_shipped_one(asked, tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "em.npy", rng.normal(90, 7, (70, 70, 70)))
    request, _ = asked(f"--image={tmp_path}/em.npy")
    assert request.model_checkpoint == model.SHIPPED
    assert (round(request.image_mean), round(request.image_stddev)) == (90, 7)
    assert request.options == options_lib.SHIPPED
    said = capsys.readouterr().err
    assert "--min_segment_size=2000 --disco_seed_threshold=-1" in said
    asked(f"--image={tmp_path}/em.npy", "--fast", "--overlap_zyx=9,8,7")
    assert "--overlap_zyx=9,8,7 --fast" in capsys.readouterr().err
    request, _ = asked(f"--image={tmp_path}/em.npy", "--min_segment_size=7")
    assert request.options.min_segment_size == 7
    assert request.options.disco_seed_threshold == -1


def test_networks_of_our_training_have_thresholds_that_suit_them(
    asked, trained, capsys
):
    network = trained(a=(100, 20))
    request, _ = asked("--image=em.h5:raw", network)
    assert request.options == options_lib.OF_TRAINING
    assert "--disco_seed_threshold=-1" in capsys.readouterr().err
    request, _ = asked("--image=em.h5:raw", network, "--disco_seed_threshold=0")
    assert request.options.disco_seed_threshold == 0


def test_networks_of_others_have_the_defaults(asked, brightness, capsys):
    request, _ = asked(
        "--image=em.h5:raw", f"--model_checkpoint={brightness()}"
    )
    assert (request.image_mean, request.image_stddev) == (128, 33)
    assert capsys.readouterr().err == ""


def test_neither_flags_nor_request(asked):
    with pytest.raises(ValueError, match="image: expected a volume's address"):
        asked()


def test_a_request_that_is_not_there(asked):
    with pytest.raises(FileNotFoundError, match=r"absent\.pbtxt"):
        asked("--inference_request=absent.pbtxt")


def test_run_is_what_the_program_does(files):
    values = dict(files)
    values.pop("min_segment_size")
    summary = run_inference.run(
        request_lib.InferenceRequest(
            image=values.pop("image"),
            model_checkpoint=values.pop("model_checkpoint"),
            segmentation_output_dir=values.pop("segmentation_output_dir"),
            options=options_lib.InferenceOptions(min_segment_size=50),
        ),
        run_options.RunOptions(**values),
    )
    assert summary.segments == 2
    line = run_inference.describe(summary)
    assert line.startswith("2 segments, 960 voxels, ")
    assert f"{summary.timing.steps} network calls in " in line
    assert line.endswith("openvino float32.")
    for part in (" FOVs/s, ", " % outside the network) ", " s of set-up, "):
        assert part in line


def test_a_second_pass_that_finds_nothing():
    took = timing.Timing(steps=3, seconds=2.0, network_seconds=1.0)
    summary = runner.Summary(
        "out", (volume.Box.from_shape((9, 9, 9)),), 0, "", "", took, 2.0, 0, 0
    )
    summary = dataclasses.replace(summary, filled=(0, 0, 2))
    assert run_inference.describe(summary).endswith(
        "The second pass: 2 of the calls, 0 segments, 0 voxels (0.0% of all)."
    )


def test_forward_and_reverse(files, tmp_path):
    """The boxes are the same in any order, so both agree on all of them."""
    both = {"forward_reverse": True, "split_min_size": 50}
    flags = as_flags(files | both)
    out, err = start(*flags).communicate(timeout=250)
    lines = out.splitlines()
    assert lines[0].startswith("forward: 2 segments, 960 voxels"), err
    assert lines[1].startswith("reverse: 2 segments, 960 voxels")
    assert lines[2] == (
        "Both agree on 2 objects, 960 voxels; forward, there were 2."
    )
    assert lines[3].startswith(f"Wrote 1 subvolume(s) in {tmp_path}/out")
    with results.locked(tmp_path / "out", ""):
        said = refused(*flags)
    assert f"{tmp_path}/out: another process is segmenting into it" in said


def test_a_plan_says_what_all_of_it_costs(files, tmp_path):
    flags = as_flags(files | {"plan_only": True, "forward_reverse": True})
    out, err = start(*flags).communicate(timeout=250)
    assert "nothing: this is only a plan" in out, err
    found = re.search(r"network +about ([\d.]+) k fields", out)
    request = request_lib.InferenceRequest(
        image=files["image"],
        model_checkpoint=files["model_checkpoint"],
        segmentation_output_dir=files["segmentation_output_dir"],
        image_mean=128.0,
        image_stddev=33.0,
    )
    once = run_inference.plan(request, run_options.RunOptions(), 10.0, 1)
    assert float(found[1]) == pytest.approx(2 * once.fovs / 1000, rel=0.05)
    assert not (tmp_path / "out").exists()


def test_a_plan_ends_with_the_command_that_does_it(files, tmp_path):
    """What is pasted segments what was planned, with what was given."""
    del files["segmentation_output_dir"]
    flags = as_flags(files | {"subvolume_zyx": "22,22,14"})
    more = ["--overlap_zyx=4,4,4", "--plan_only", "--fovs_per_s=7"]
    out, err = start(*flags, *more).communicate(timeout=250)
    found = shlex.split(out.split(" Next: ")[1])
    assert found[:3] == ["python", "-m", "ffn_tf.run_inference"], err
    assert sorted(found[3:]) == sorted(
        [*flags, more[0], "--segmentation_output_dir=out/segments"]
    )
    done, err = start(*found[3:], cwd=tmp_path).communicate(timeout=250)
    assert "Wrote 2 subvolume(s) in out/segments" in done, err


@pytest.mark.parametrize("plan", [["--plan_only"], []])
def test_labels_are_no_image(files, tmp_path, plan):
    labels = tmp_path / "labels.npy"
    np.save(labels, np.ones((30, 30, 30), np.uint64))
    said = refused(*as_flags(files | {"image": labels}), *plan)
    assert f"image {labels}: found a segmentation (uint64), expected EM" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (((9, 9, 9), (0, 0, 0)), "overlap"),
        (((3, 3, 3), (2, 2, 2)), "smaller than the network's field of view"),
    ],
)
def test_a_plan_refuses_what_the_run_refuses(files, cut, message):
    request = request_lib.InferenceRequest(
        image=files["image"],
        model_checkpoint=files["model_checkpoint"],
        segmentation_output_dir=files["segmentation_output_dir"],
    )
    options = run_options.RunOptions(subvolume_zyx=cut[0], overlap_zyx=cut[1])
    with pytest.raises(ValueError, match=message):
        run_inference.plan(request, options, 10.0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "masks",
            'masks { coordinate_expression { expression: "abs(x) < 3" } }',
            r"'abs\(x\)' is not arithmetic",
        ),
        (
            "seed_masks",
            'masks { volume { mask { address: "MASK" } '
            "channels { min_value: 1 max_value: 255 } } }",
            r"mask.npy: its voxels are \(20.0, 20.0, 20.0\) nm .* Resample it",
        ),
        ("seed_policy", "PolicyOfNobody", "Unknown seed policy"),
    ],
)
@pytest.mark.parametrize("do", ["plan", "run"])
def test_what_a_plan_and_a_run_refuse(files, tmp_path, do, name, text, message):
    for stem, size in (("em", 10.0), ("mask", 20.0)):
        made = np.zeros((30, 30, 30), np.uint8)
        info = volume.VolumeInfo(
            volume.Box.from_shape(made.shape), made.dtype, (size,) * 3
        )
        with volume.create(f"{tmp_path}/{stem}.npy", info) as filling:
            filling.write(info.domain, made)
    request = request_lib.InferenceRequest(
        image=f"{tmp_path}/em.npy",
        model_checkpoint=files["model_checkpoint"],
        segmentation_output_dir=files["segmentation_output_dir"],
        **{name: text.replace("MASK", f"{tmp_path}/mask.npy")},
    )
    options = run_options.RunOptions(engine="openvino", compute_dtype="float32")
    with pytest.raises(ValueError, match=message):
        if do == "plan":
            run_inference.plan(request, options, 10.0)
        else:
            run_inference.run(request, options)
    assert not (tmp_path / "out").exists()


def test_subvolumes_no_larger_than_their_overlap():
    with pytest.raises(ValueError, match=r"--subvolume_zyx=64,64,64: .*64,64"):
        run_options.RunOptions(subvolume_zyx=(64, 64, 64))


def test_no_objects_are_told(files, tmp_path):
    np.save(tmp_path / "black.npy", np.zeros((14, 14, 24), np.uint8))
    black = files | {"image": f"{tmp_path}/black.npy"}
    out, err = start(*as_flags(black)).communicate(timeout=250)
    assert out.startswith("0 segments, 0 voxels, 0 network calls")
    assert "warning: no objects were found" in err


def test_several_subvolumes_and_what_to_do_next(files, tmp_path):
    """The last line's command makes one segmentation of them."""
    halves = {"subvolume_zyx": "14,14,16", "overlap_zyx": "0,0,8"}
    out, err = start(*as_flags(files | halves)).communicate(timeout=250)
    assert out.splitlines()[-1] == (
        f"Wrote 2 subvolume(s) in {tmp_path}/out (0 were there). Next: python "
        f"-m ffn_tf.reconcile --segmentation_dir={tmp_path}/out "
        f"--output=precomputed://{tmp_path}/out/segmentation"
    ), err
    following = out.split("Next: python ")[1].split()
    subprocess.run([sys.executable, *following], check=True, timeout=250)
    with volume.open(f"{tmp_path}/out/segmentation") as found:
        labels = found.read()
    expected = np.zeros((14, 14, 24), int)
    for label, box in enumerate((np.s_[3:11], np.s_[14:21]), start=1):
        expected[3:11, 3:11, box] = label
    np.testing.assert_array_equal(labels, expected)


# -----------------------------------------------------------------------------
# Bad input: one line, exit status 1, nothing written
# -----------------------------------------------------------------------------


def refused(*arguments):
    """The line that the real command line ends with."""
    process = start(*arguments)
    out, err = process.communicate(timeout=250)
    assert process.returncode == 1, err
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("error: ")
    return err


def test_an_unknown_field(files, tmp_path):
    path = tmp_path / "request.pbtxt"
    path.write_text(REQUEST.replace("min_segment_size", "min_segment_sise"))
    line = refused(f"--inference_request={path}", *as_flags(files))
    assert str(path) in line
    assert "min_segment_sise" in line and "min_segment_size" in line
    assert not (tmp_path / "out").exists()


def test_a_truncated_checkpoint(files, tmp_path):
    network = tmp_path / "net"
    network.mkdir()
    source = pathlib.Path(files["model_checkpoint"])
    for path in source.iterdir():
        (network / path.name).write_bytes(path.read_bytes())
    weights = network / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-100])
    line = refused(*as_flags(files | {"model_checkpoint": network}))
    assert str(weights) in line and "Copy both files again" in line
    assert not (tmp_path / "out").exists()


def test_a_truncated_checkpoint_of_google(files, fib25, tmp_path):
    for path in (fib25 / "model").iterdir():
        data = path.read_bytes()
        if path.name.endswith("-00000-of-00001"):
            data = data[: len(data) // 2]
        (tmp_path / path.name).write_bytes(data)
    prefix = f"{tmp_path}/model.ckpt-27465036"
    line = refused(*as_flags(files | {"model_checkpoint": prefix}))
    assert prefix in line and "truncated" in line
    assert not (tmp_path / "out").exists()


# -----------------------------------------------------------------------------
# Killed, and run again
# -----------------------------------------------------------------------------


@pytest.fixture
def long_run(tmp_path, brightness):
    """Flags of a run of some seconds, in the folder it is run in."""
    raw = np.full((20, 20, 264), 95, np.uint8)
    texture = np.random.default_rng(0).integers(0, 8, raw.shape)
    box = np.s_[3:17, 3:17, 3:261]
    raw[box] = 161 + texture[box]
    np.save(tmp_path / "em.npy", raw)
    return {
        "image": f"{tmp_path}/em.npy",
        "model_checkpoint": brightness(),
        "segmentation_output_dir": "out",
        "engine": "openvino",
        "checkpoint_interval": "1",
    }


def wait_for_a_state(process, folder):
    deadline = time.monotonic() + 240
    while not list(folder.rglob("*.cpoint")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "compute_dtype",
    ["float32", pytest.param("int8", marks=pytest.mark.slow)],
)
@pytest.mark.timeout(900)
def test_killed_and_run_again(long_run, tmp_path, compute_dtype):
    arguments = as_flags(long_run | {"compute_dtype": compute_dtype})
    once, again = tmp_path / "once", tmp_path / "again"
    once.mkdir()
    again.mkdir()
    seed = random.randrange(2**32)
    print(f"moments of seed {seed}")  # To repeat a failure.
    moments = random.Random(seed)

    process = start(*arguments, cwd=again)
    wait_for_a_state(process, again)
    time.sleep(moments.uniform(0, 0.3))
    kill(process)
    assert not subvolume.find(again / "out")
    assert len(list(again.rglob("*.cpoint"))) == 1

    undisturbed = start(*arguments, cwd=once)
    if compute_dtype == "float32":
        # Any moment: while it starts, goes on, or after it has finished.
        process = start(*arguments, cwd=again)
        time.sleep(moments.uniform(0, 8))
        if process.poll() is None:
            kill(process)
    process = start(*arguments, cwd=again)
    for finished in (undisturbed, process):
        out, err = finished.communicate(timeout=400)
        assert finished.returncode == 0, err
        assert out.splitlines()[-1].startswith("Wrote ")

    names = ["run.json", "subvolumes.npz", "0/0/seg-0_0_0.npz"]
    if compute_dtype == "int8":
        names += ["int8.npz", "int8.lock"]
    assert {
        str(path.relative_to(again / "out"))
        for path in (again / "out").rglob("*")
        if path.is_file()
    } == {*names, "timing.json"}
    for name in names:
        expected = (once / "out" / name).read_bytes()
        assert (again / "out" / name).read_bytes() == expected, name
    found = subvolume.load(again / "out" / "0" / "0" / "seg-0_0_0.npz")
    assert np.count_nonzero(found.segmentation) == 14 * 14 * 258


# -----------------------------------------------------------------------------
# Interrupted, and run again
# -----------------------------------------------------------------------------

_SIGNALLED = """
import os, runpy, signal, sys
handler, number, times = sys.argv.pop().split()
signal.signal(signal.SIGINT, getattr(signal, handler))
from ffn_tf.inference import engine

predict = engine.HostEngine.predict

def signalled(self, images, seeds):
    logits = predict(self, images, seeds)
    if self.steps == 20:
        for _ in range(int(times)):
            os.kill(os.getpid(), getattr(signal, number))
    return logits

engine.HostEngine.predict = signalled
runpy.run_module("ffn_tf.run_inference", run_name="__main__", alter_sys=True)
"""


def signalled(files, handler, number, times):
    """The program with a signal in its 20th step: its status and errors."""
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED, *as_flags(files)]
        + [f"{handler} {number} {times}"],
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_DIR": "/nowhere", "PYTHONPATH": os.getcwd()},
        check=False,
        timeout=250,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
        ("SIGTERM", 143),
    ],
)
def test_interrupted_and_run_again(files, tmp_path, number, status):
    out = tmp_path / "out"
    found, errors = signalled(files, "default_int_handler", number, 1)
    assert found == status, errors
    assert "Stopping after this step" in errors
    assert "Traceback" not in errors
    assert ("interrupted" in errors) == (number == "SIGINT")
    (state,) = out.rglob("*.cpoint")
    with np.load(state) as arrays:
        saved = json.loads(str(arrays["state"]))
    assert saved["counters"]["steps"] == 20
    assert not list(out.rglob(".tmp-*"))

    once = files | {"segmentation_output_dir": f"{tmp_path}/once"}
    for values in (files, once):
        _, errors = start(*as_flags(values)).communicate(timeout=250)
        first = errors.splitlines()[0]
        assert first == (
            "Going on: 0 of 1 subvolume(s) done and 1 half done."
            if values is files
            else "Starting anew: 1 subvolume(s)."
        )
    name = "0/0/seg-0_0_0.npz"
    expected = (tmp_path / "once" / name).read_bytes()
    assert (out / name).read_bytes() == expected


def test_interrupted_twice_ends_at_once(files, tmp_path):
    status, errors = signalled(files, "default_int_handler", "SIGINT", 2)
    assert status == 130, errors
    assert not list(tmp_path.rglob("*.cpoint"))


def test_in_nohup_the_keyboard_is_not_heard(files, tmp_path):
    status, errors = signalled(files, "SIG_IGN", "SIGINT", 1)
    assert status == 0, errors
    assert len(subvolume.find(tmp_path / "out")) == 1
