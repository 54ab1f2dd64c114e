"""Whole runs, on images whose bright boxes are the segments.

The network is made by hand (tests/conftest.py), with fields of view of 5^3.
"""

import dataclasses
import errno
import json
import pathlib
import resource
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from ffn_tf import model, volume
from ffn_tf.assembly import pieces
from ffn_tf.inference import (
    archive,
    batch_size,
    run_options,
    runner,
    segmenter,
    states,
    subvolume,
)
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import results as results_lib
from ffn_tf.inference import run as run_lib

SHAPE = (16, 16, 44)
# Three boxes along x; the middle one is in both halves of the volume.
BOXES = (
    volume.Box((3, 3, 3), (13, 13, 12)),
    volume.Box((3, 4, 15), (13, 13, 31)),
    volume.Box((4, 3, 34), (13, 13, 41)),
)
HALVES = {"subvolume_zyx": (16, 16, 26), "overlap_zyx": (0, 0, 8)}


def truth():
    labels = np.zeros(SHAPE, np.uint8)
    for label, box in enumerate(BOXES, start=1):
        labels[box.slices] = label
    return labels


def em():
    """Bright boxes, with the texture that leads the movement everywhere."""
    texture = np.random.default_rng(0).integers(0, 8, SHAPE)
    return np.where(truth() > 0, 161 + texture, 95).astype(np.uint8)


@pytest.fixture(scope="module")
def done(tmp_path_factory, brightness):
    """A folder with an image, and finished runs: `whole` and `halves`."""
    folder = tmp_path_factory.mktemp("done")
    with h5py.File(folder / "em.h5", "w") as file:
        file["raw"] = em()
    for name, changes in (("whole", {}), ("halves", HALVES)):
        run(
            {
                "image": f"{folder}/em.h5:raw",
                "model_checkpoint": brightness(),
                "segmentation_output_dir": f"{folder}/{name}",
            },
            **changes,
        )
    return folder


@pytest.fixture
def files(tmp_path, done, brightness):
    """Where everything is: the arguments of a request."""
    return {
        "image": f"{done}/em.h5:raw",
        "model_checkpoint": brightness(),
        "segmentation_output_dir": f"{tmp_path}/out",
    }


@pytest.fixture
def whole(files, done):
    """`files` with the results of a finished run."""
    shutil.copytree(done / "whole", files["segmentation_output_dir"])
    return files


@pytest.fixture
def halves(files, done):
    """`files` with the results of a finished run in HALVES."""
    shutil.copytree(done / "halves", files["segmentation_output_dir"])
    return files


def options(**changes):
    return options_lib.InferenceOptions(
        **{"min_segment_size": 50, "min_boundary_dist_zyx": (0, 0, 0)} | changes
    )


def prepared(files, **changes):
    """The run; `changes` go to where they belong."""
    names = {field.name for field in dataclasses.fields(run_options.RunOptions)}
    asked = {"engine": "openvino", "compute_dtype": "float32"} | {
        name: value for name, value in changes.items() if name in names
    }
    request = {"options": options()} | files
    request |= {k: v for k, v in changes.items() if k not in names}
    return run_lib.Run(
        request_lib.InferenceRequest(**request),
        run_options.RunOptions(**asked),
    )


def run(files, **changes):
    return runner.execute(prepared(files, **changes))


def results(files):
    """Box -> what its file holds."""
    paths = subvolume.find(files["segmentation_output_dir"])
    loaded = [subvolume.load(path) for path in paths.values()]
    return {found.box: found for found in loaded}


def contents(folder):
    """Relative path -> bytes, of all that decides or is a result."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file() and path.name != "timing.json"
    }


def assert_same_objects(found, expected):
    """The same partition; background is background."""
    np.testing.assert_array_equal(found > 0, expected > 0)
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist()))
    assert (
        len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    )


@pytest.mark.parametrize(
    ("engine", "compute_dtype"),
    [("tensorflow", "float32"), ("openvino", "float32"), ("openvino", "int8")],
)
def test_the_boxes_are_the_segments(files, engine, compute_dtype):
    summary = run(files, engine=engine, compute_dtype=compute_dtype)
    box = volume.Box((0, 0, 0), SHAPE)
    found = results(files)
    assert list(found) == [box]
    assert_same_objects(found[box].segmentation, truth())
    assert found[box].segmentation.dtype == np.uint8

    origins, labels = found[box].origins, truth()
    for label, origin in origins.items():
        np.testing.assert_array_equal(
            found[box].segmentation == label,
            labels == labels[origin.start_zyx],
        )
    kept = sum(origin.iters for origin in origins.values())
    assert (summary.segments, summary.skipped) == (3, 0)
    assert summary.voxels == np.count_nonzero(labels)
    assert summary.timing.steps == found[box].counters["steps"] >= kept
    assert summary.boxes == (box,)
    assert (summary.engine, summary.compute_dtype) == (engine, compute_dtype)


def test_several_subvolumes_with_overlap(halves):
    found = results(halves)
    assert list(found) == [
        volume.Box((0, 0, 0), (16, 16, 26)),
        volume.Box((0, 0, 18), (16, 16, 44)),
    ]
    assert prepared(halves, **HALVES).boxes == tuple(found)
    for box, result in found.items():
        assert_same_objects(result.segmentation, truth()[box.slices])
        assert len(result.origins) == 2


def test_company_does_not_change_the_segments(files, done):
    summary = run(files, **HALVES, batch_size=2, concurrent_requests=3)
    assert summary.timing.steps > 0
    alone = files | {"segmentation_output_dir": str(done / "halves")}
    expected = results(alone)
    for box, found in results(files).items():
        np.testing.assert_array_equal(
            found.segmentation, expected[box].segmentation
        )
        assert found.origins == expected[box].origins


def test_one_folder_has_one_batch_size(files):
    """The last digits of the logits depend on it; also when little is left."""
    run(files, **HALVES, batch_size=2)
    out = pathlib.Path(files["segmentation_output_dir"])
    subvolume.find(out)[0, 0, 0].unlink()
    with pytest.raises(ValueError, match="batch_size: there 2, now 1"):
        run(files, **HALVES, batch_size=1)
    assert run(files, **HALVES, batch_size=9).skipped == 1


def test_a_batch_size_that_is_found_stays(files, monkeypatch):
    """As on a GPU, where other work may make another one faster."""
    with monkeypatch.context() as patch:
        patch.setattr(batch_size, "found", lambda *_: 2)
        run(files, **HALVES)
    out = pathlib.Path(files["segmentation_output_dir"])
    assert json.loads((out / "run.json").read_text())["batch_size"] == 2
    subvolume.find(out)[0, 0, 0].unlink()
    assert run(files, **HALVES).skipped == 1
    with pytest.raises(ValueError, match="batch_size: there 2, now 1"):
        run(files, **HALVES, batch_size=1)


def test_the_box_is_clipped_to_the_volume(files):
    asked = "start { x:18 y:-5 z:-1 } size { x:900 y:900 z:900 }"
    (box,) = run(files, bounding_box=asked).boxes
    assert box == volume.Box((0, 0, 18), SHAPE)
    (found,) = results(files).values()
    assert_same_objects(found.segmentation, truth()[box.slices])


def test_a_volume_that_starts_elsewhere(files, tmp_path):
    """Corners are of the volume, seeds are counted from the corner."""
    start = (100, 200, 300)
    box = volume.Box.from_size(start, SHAPE)
    address = f"precomputed://{tmp_path}/em"
    info = volume.VolumeInfo(
        box, np.dtype(np.uint8), voxel_size_nm=(40.0, 8.0, 4.0)
    )
    with volume.create(address, info) as created:
        created.write(box, em())
    run(files, image=address)
    found = results(files)
    assert list(found) == [box]
    assert_same_objects(found[box].segmentation, truth())
    assert all(
        truth()[origin.start_zyx] for origin in found[box].origins.values()
    )
    assert found[box].provenance["voxel_size_nm"] == [40, 8, 4]
    path = tmp_path / "out" / "300" / "200" / "seg-300_200_100.npz"
    assert path.exists()


def test_what_made_a_file_is_in_it(whole):
    (found,) = results(whole).values()
    made = found.provenance
    assert made["image"] == whole["image"]
    assert made["model"]["path"] == whole["model_checkpoint"]
    assert made["model"]["digest"].startswith("sha256:")
    assert made["code"].startswith("0.1.0")
    assert (made["engine"], made["compute_dtype"]) == ("openvino", "float32")
    asked = request_lib.from_serialized(found.request)
    assert asked.image == whole["image"]
    assert asked.options == options()


def test_a_second_pass_fills_what_is_left(files):
    """There are seeds in the first box and in the last."""
    two = {
        "seed_policy": "PolicyGrid3d",
        "seed_policy_args": {"step": 29, "offsets": [8]},
    }
    first = run(files, **two)
    assert (first.segments, first.filled) == (2, (0, 0, 0))
    again = files | {"segmentation_output_dir": files["image"] + "-again"}
    both = run(again, **two, fill=True)
    (found,) = results(again).values()
    assert_same_objects(found.segmentation, truth())
    segments, voxels, steps = both.filled
    assert segments == 1
    assert voxels == np.count_nonzero(truth() == 2)
    assert steps == both.timing.steps - first.timing.steps > 0


# -----------------------------------------------------------------------------
# Again in the same folder
# -----------------------------------------------------------------------------


def stamps(files):
    folder = pathlib.Path(files["segmentation_output_dir"])
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_rerun_does_nothing(halves):
    before = stamps(halves)
    summary = run(halves, **HALVES)
    assert (summary.skipped, summary.segments) == (2, 0)
    assert summary.timing.steps == 0
    assert stamps(halves) == before


def test_what_is_without_tissue_is_not_missing(files, tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :, :18] = 1
    np.save(tmp_path / "mask.npy", mask)
    assert run(files, **HALVES, tissue=f"{tmp_path}/mask.npy").made == 1
    out = files["segmentation_output_dir"]
    found = pieces.found(out)
    assert (len(found.all), found.missing, found.empty) == (1, (), 1)


def test_a_rerun_makes_what_is_missing(halves, done, capfd):
    out = halves["segmentation_output_dir"]
    first, second = subvolume.find(out).values()
    kept = first.stat().st_mtime_ns
    second.unlink()
    summary = run(halves, **HALVES)
    first_line = capfd.readouterr().err.splitlines()[0]
    assert first_line == "Going on: 1 of 2 subvolume(s) done."
    assert (summary.skipped, summary.segments) == (1, 2)
    assert first.stat().st_mtime_ns == kept
    assert contents(out) == contents(done / "halves")


def _flip(path):
    data = bytearray(path.read_bytes())
    data[120] ^= 4  # Of the segmentation.
    path.write_bytes(data)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


def _garble(path):
    """Whole, but not ours."""
    archive.write(path, {"provenance": np.array("[" * 100_000)})


@pytest.mark.parametrize("damage", [_flip, _truncate, _garble])
def test_a_damaged_result_is_made_anew(halves, done, capfd, damage):
    out = halves["segmentation_output_dir"]
    first, second = subvolume.find(out).values()
    kept = first.stat().st_mtime_ns
    damage(second)
    assert run(halves, **HALVES).skipped == 1
    assert first.stat().st_mtime_ns == kept
    assert contents(out) == contents(done / "halves")
    warning = f"warning: {second} is damaged, and is made anew."
    assert capfd.readouterr().err.splitlines().count(warning) == 1
    assert run(halves, **HALVES).skipped == 2


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("options.move_threshold", {"options": options(move_threshold=0.8)}),
        ("image_mean", {"image_mean": 127.0}),
        ("subvolume_zyx", {"subvolume_zyx": (512, 512, 99)}),
        ("compute_dtype", {"compute_dtype": "bfloat16"}),
        ("engine", {"engine": "tensorflow"}),
        (
            "seed_policy_args.voxel_size_zyx",
            {"seed_policy_args": {"voxel_size_zyx": [2, 1, 1]}},
        ),
    ],
)
def test_a_folder_holds_results_of_one_kind(whole, name, change):
    files = whole
    before = stamps(files)
    with pytest.raises(ValueError, match="results of other options") as caught:
        run(files, **change)
    assert f"{name}: there " in str(caught.value)
    assert str(caught.value).count(": there ") == 1
    assert stamps(files) == before


def test_a_subvolume_of_another_size_is_not_taken_for_this_one(whole):
    files = whole
    before = stamps(files)
    asked = "start { } size { x: 30 y: 16 z: 16 }"
    with pytest.raises(ValueError, match=r"seg-0_0_0.npz is a subvolume"):
        run(files, bounding_box=asked)
    assert stamps(files) == before


def test_a_folder_holds_results_of_one_network(whole, tmp_path):
    network = model.load(whole["model_checkpoint"])
    network.convolutions["conv_lom"].bias.assign([0.5])
    model.save(network, tmp_path / "other", {})
    with pytest.raises(ValueError, match="model_checkpoint: there 'sha256:"):
        run(whole, model_checkpoint=f"{tmp_path}/other")
    # The same network from elsewhere is the same.
    shutil.copytree(whole["model_checkpoint"], tmp_path / "copy")
    assert run(whole, model_checkpoint=f"{tmp_path}/copy").skipped == 1


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 3},
        {"concurrent_requests": 2},
        {"checkpoint_interval": 60},
        {"bounding_box": "start { } size { x: 99 y: 99 z: 99 }"},
    ],
)
def test_what_does_not_decide_the_voxels_may_differ(whole, change):
    assert run(whole, **change).skipped == 1


def test_subvolumes_of_two_grids_do_not_mix(whole):
    shifted = "start { x: 18 } size { x: 99 y: 99 z: 99 }"
    message = r"subvolumes_from_zyx: there \[0, 0, 0\], now \[0, 0, 18\]"
    with pytest.raises(ValueError, match=message):
        run(whole, bounding_box=shifted)


def test_results_of_unknown_make_are_left_alone(whole):
    out = pathlib.Path(whole["segmentation_output_dir"])
    (out / "run.json").unlink()
    before = stamps(whole)
    with pytest.raises(ValueError, match=r"no run\.json"):
        run(whole)
    assert stamps(whole) == before


# -----------------------------------------------------------------------------
# Interruption
# -----------------------------------------------------------------------------


class Killed(BaseException):
    """As SIGKILL, but the test goes on."""


@pytest.mark.parametrize(
    ("compute_dtype", "kills"), [("float32", (1, 20)), ("int8", (10,))]
)
def test_an_interrupted_run_ends_in_the_same_bytes(
    files, tmp_path, done, monkeypatch, compute_dtype, kills
):
    expected = done / "halves"
    if compute_dtype != "float32":
        expected = tmp_path / "undisturbed"
        undisturbed = {"segmentation_output_dir": str(expected)}
        run(files | undisturbed, **HALVES, compute_dtype=compute_dtype)
    # A state after each round; the run dies when it has saved `left` of them.
    left = [0]
    real = states.save

    def save_state(*arguments):
        real(*arguments)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(states, "save", save_state)
    monkeypatch.setattr(segmenter.time, "monotonic", _ticks())
    changes = {**HALVES, "compute_dtype": compute_dtype}
    changes |= {"concurrent_requests": 2, "checkpoint_interval": 30}
    out = tmp_path / "out"
    for left[0] in kills:
        with pytest.raises(Killed):
            run(files, **changes)
        assert list(out.rglob("*.cpoint"))
        assert not subvolume.find(out)
    assert run(files, **changes).skipped == 0
    assert not list(out.rglob("*.cpoint"))
    assert contents(out) == contents(expected)


def _ticks():
    """A clock that goes a second forward whenever it is looked at."""
    seconds = iter(range(10**9))
    return lambda: next(seconds)


# -----------------------------------------------------------------------------
# Bad input: one clear error, before anything is written
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"bounding_box": "start { x:4 y:4 z:4 } size { x:4 y:9 z:9 }"},
            r"size \(9, 9, 4\)\) is smaller than the network's field of",
        ),
        (
            {"subvolume_zyx": (16, 16, 4), "overlap_zyx": (0, 0, 0)},
            "smaller than the network's field of view",
        ),
        (
            # The last tile is what is left over.
            {"subvolume_zyx": (16, 16, 20), "overlap_zyx": (0, 0, 0)},
            "smaller than the network's field of view",
        ),
        (
            {"bounding_box": "start { x:44 } size { x:9 y:9 z:9 }"},
            "does not meet the volume",
        ),
        ({"bounding_box": "44, 16, 16"}, "bounding box"),
        ({"subvolume_zyx": (8, 8, 8)}, "expected more voxels than neighbours"),
        ({"segmentation_output_dir": ""}, "segmentation_output_dir: expected"),
        (
            {"options": options(init_activation=0.8, move_threshold=0.81)},
            r"init_activation: expected at least move_threshold \(0.81",
        ),
        (
            {"segmentation_output_dir": "gs://bucket/out"},
            "gs://bucket/out: results are files of this machine",
        ),
        ({"segmentation_output_dir": f"{__file__}/out"}, "is not a folder"),
        ({"seed_policy": "PolicyNone"}, "Unknown seed policy 'PolicyNone'"),
        (
            {"seed_policy_args": {"voxel_size": [1, 1, 1]}},
            r"PolicyPeaks takes \['voxel_size_zyx'\], found \['voxel_size'\]",
        ),
        ({"movement_policy_name": "Random"}, "Unknown movement policy"),
        (
            {"movement_policy_args": {"score_threshold": 1}},
            "movement_policy_args: expected deltas only",
        ),
        (
            {"movement_policy_args": {"deltas": [1, 1, 3]}},
            "half the field of view",
        ),
        ({"model_name": "resnet"}, "Unknown network 'resnet'"),
        ({"model_args": {"depth": 9}}, "asks for depth 9, but the checkpoint"),
        ({"model_args": {"depht": 9}}, r"found \['depht'\]"),
        (
            {"model_args": {"fov_size": 33, "deltas": [8, 8, 8]}},
            "model_args: fov_size: expected 3 integers, found 33",
        ),
        (
            {"movement_policy_args": {"deltas": [8, 8]}},
            "movement_policy_args: deltas: expected 3 integers",
        ),
        (
            {"seed_policy_args": {"voxel_size_zyx": 5}},
            "voxel_size_zyx: expected 3 positive numbers, found 5",
        ),
        ({"model_args": {"features": 3}}, "has features 4"),
        ({"model_args": {"deltas": [1, 1, 1]}}, "both fov_size and deltas"),
        (
            {"model_args": {"fov_size": [4, 5, 5], "deltas": [1, 1, 1]}},
            "odd sizes",
        ),
        ({"model_checkpoint": "absent"}, "No network at 'absent'"),
        ({"image": "absent.h5:raw"}, "absent.h5"),
        (
            {"engine": "tensorflow", "compute_dtype": "int8"},
            "int8 is not to be had",
        ),
    ],
)
def test_what_cannot_work_is_refused(files, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        prepared(files, **changes)
    out = pathlib.Path(files["segmentation_output_dir"])
    assert not out.exists()


def test_the_request_names_the_field_of_view(files):
    """xyz in the request, as google/ffn has it."""
    arguments = {"depth": 1, "fov_size": [9, 7, 5], "deltas": [3, 2, 1]}
    found = prepared(files, model_args=arguments)
    assert found.network.view.size == (5, 7, 9)
    assert found.network.view.deltas == found.deltas == (1, 2, 3)


def test_the_movement_policy_names_the_deltas(files):
    """zyx in the request, as google/ffn has it."""
    found = prepared(files, movement_policy_args={"deltas": [0, 1, 2]})
    assert found.deltas == (0, 1, 2)
    assert found.network.view.deltas == (1, 1, 1)


def test_fast_is_with_larger_steps_that_end_at_the_borders(files):
    arguments = {"depth": 1, "fov_size": [9, 7, 5], "deltas": [4, 2, 1]}
    found = prepared(files, model_args=arguments, fast=True)
    assert found.deltas == (1, 3, 4)
    steps = {"deltas": [1, 1, 2]}
    found = prepared(files, movement_policy_args=steps, fast=True)
    assert found.deltas == (1, 1, 2)
    usual = run(files)
    again = files | {"segmentation_output_dir": files["image"] + "-fast"}
    fast = run(again, fast=True)
    assert fast.voxels >= usual.voxels
    (found,) = results(again).values()
    assert found.provenance["fast"] is True


def test_several_steps_at_once_give_the_same_objects(files):
    found = prepared(files, moves_in_flight=3)
    assert (found.batch_size, found.in_flight) == (3, 1)
    run(files, moves_in_flight=3)
    (only,) = results(files).values()
    assert_same_objects(only.segmentation, truth())
    with pytest.raises(ValueError, match="moves_in_flight: expected 1 or"):
        prepared(files, moves_in_flight=0)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_an_image_with_nan(files, tmp_path, value):
    """Found when the subvolume is read; those before it are kept."""
    raw = em().astype(np.float64)
    raw[5, 6, 40] = value
    np.save(tmp_path / "nan.npy", raw)
    with pytest.raises(ValueError, match=r"NaN or infinity.*zyx \(5, 6, 40\)"):
        run(files, **HALVES, image=f"{tmp_path}/nan.npy")
    out = pathlib.Path(files["segmentation_output_dir"])
    assert list(subvolume.find(out)) == [(0, 0, 0)]


def test_another_image_at_the_same_address(files, tmp_path):
    np.save(tmp_path / "em.npy", em())
    changes = {**HALVES, "image": f"{tmp_path}/em.npy"}
    run(files, **changes)
    np.save(tmp_path / "em.npy", 255 - em())
    with pytest.raises(ValueError, match="image_samples: there"):
        run(files, **changes)


def test_results_of_other_options_that_were_put_there(halves, files, tmp_path):
    out = pathlib.Path(files["segmentation_output_dir"])
    other = tmp_path / "other"
    changes = {**HALVES, "segmentation_output_dir": str(other)}
    run(files, **changes, image_mean=100.0)
    for path in subvolume.find(other).values():
        shutil.copy(path, out / path.relative_to(other))
    with pytest.raises(ValueError, match=r"other options \(image_mean\)"):
        run(halves, **HALVES)


def test_a_request_that_cannot_be_written_is_refused_first(files):
    with pytest.raises(ValueError, match="min_segment_size: expected 0 to"):
        prepared(files, options=options(min_segment_size=3_000_000_000))
    assert not pathlib.Path(files["segmentation_output_dir"]).exists()


def test_a_state_of_unknown_make_is_left_alone(files):
    out = pathlib.Path(files["segmentation_output_dir"])
    path = subvolume.path_for(out, (0, 0, 0), "cpoint")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"no run\.json"):
        run(files)


@pytest.mark.parametrize(
    "damage",
    [
        "truncated",
        {"state": None},
        {"state": np.array("[" * 100_000)},
        {"state": np.array("[]")},
        {"next_seed": "first"},
        {"steps": None},
        {"counters": {}},
        {"movement": {"origin": [0, 0, 0], "queue": ["abc"], "visited": []}},
        {"seeds": np.array(0)},
        {"seeds": np.zeros((3, 3))},
        {"segmentation": np.zeros(SHAPE)},
        {"hull": np.zeros((0, 5, 5), np.float32)},
        {"hull": np.zeros((5, 5, 5), np.uint8)},
    ],
)
def test_a_damaged_state_says_what_to_do(whole, damage):
    out = pathlib.Path(whole["segmentation_output_dir"])
    subvolume.path_for(out, (0, 0, 0)).unlink()
    prepare = prepared(whole)
    canvas = segmenter.Segmenter(prepare).canvas(prepare.box)
    next(canvas.segment_all())
    states.save(out, canvas, prepare.results.digest)
    path = states.path_for(out, (0, 0, 0))
    if damage == "truncated":
        path.write_bytes(b"PK")
    else:
        with np.load(path) as file:
            members = dict(file)
        values = json.loads(str(members["state"]))
        for name, value in damage.items():
            if name in values:
                values[name] = value
                members["state"] = np.array(json.dumps(values))
            elif value is None:
                del members[name]
            else:
                members[name] = value
        archive.write(path, members)
    with pytest.raises(ValueError, match="delete it and run again") as caught:
        run(whole)
    assert str(path) in str(caught.value)


def test_a_state_of_another_size(files):
    run(files)
    out = pathlib.Path(files["segmentation_output_dir"])
    subvolume.path_for(out, (0, 0, 0)).unlink()
    arrays = {"segmentation": np.zeros((9, 9, 9)), "seeds": 0, "hull": 0}
    path = states.path_for(out, (0, 0, 0))
    archive.write(path, arrays)
    with pytest.raises(ValueError, match="it is of a run of other options"):
        run(files)
    arrays |= {"made_by": np.array(prepared(files).results.digest)}
    archive.write(path, arrays)
    with pytest.raises(ValueError, match=r"size_zyx \(9, 9, 9\), this one has"):
        run(files)
    arrays |= {"segmentation": np.zeros(SHAPE), "image": np.array("other")}
    archive.write(path, arrays)
    with pytest.raises(ValueError, match="the image has changed since"):
        run(files)


@pytest.mark.parametrize(
    "text",
    ['{"steps": 1, "steeps": 2}', '{"steps": "1"}', '{"seconds": NaN}']
    + ["[]", "[" * 100_000, "\0", '{"seconds": null}', '{"steps": -1}'],
)
def test_damaged_times_say_what_to_do(halves, text):
    out = pathlib.Path(halves["segmentation_output_dir"])
    subvolume.find(out)[0, 0, 0].unlink()
    (out / "timing.json").write_text(text)
    with pytest.raises(ValueError, match=r"timing.json is damaged.*Delete it"):
        run(halves, **HALVES)
    (out / "timing.json").unlink()
    assert run(halves, **HALVES).segments == 2


@pytest.mark.parametrize("text", ["[]", "7", "{", "[" * 100_000, "\0"])
def test_a_damaged_run_json_says_so(whole, text):
    out = pathlib.Path(whole["segmentation_output_dir"])
    (out / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        run(whole)
    assert (out / "run.json").read_text() == text


def test_two_runs_do_not_share_a_folder(files):
    first, second = prepared(files), prepared(files)
    with results_lib.locked(first.folder, ""):
        with pytest.raises(
            BlockingIOError, match="another process is segmenting"
        ):
            runner.execute(second)
        assert list(first.folder.iterdir()) == []
    assert run(files).segments == 3


def test_grey_values_of_another_image_are_doubted(files, capfd):
    run(files)
    assert "warning" not in capfd.readouterr().err
    elsewhere = files | {"segmentation_output_dir": f"{files['image']}-2"}
    run(elsewhere, image_mean=10.0, image_stddev=5.0)
    (line,) = [
        line
        for line in capfd.readouterr().err.splitlines()
        if line.startswith("warning: ")
    ]
    assert "--image_mean=10" in line


# -----------------------------------------------------------------------------
# Full disks
# -----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"may not mount a tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_result_that_cannot_be_written_whole(halves, done):
    """As on a full disk, but for everybody: no file may grow."""
    out = pathlib.Path(halves["segmentation_output_dir"])
    _, second = subvolume.find(out).values()
    second.unlink()
    before = contents(out)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            run(halves, **HALVES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value.filename).startswith(f"{out}")
    assert contents(out) == before
    run(halves, **HALVES)
    assert contents(out) == contents(done / "halves")


def test_a_disk_that_is_too_small(files, small_disk, tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((45, 45, 45), np.uint8))
    with pytest.raises(OSError, match="Not enough room") as caught:
        run(
            files,
            image=f"{tmp_path}/large.npy",
            segmentation_output_dir=f"{small_disk}/out",
        )
    assert f"{small_disk}/out" in str(caught.value)
    assert "1.1 MB, 1.0 MB are free" in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up(files, done, small_disk, monkeypatch):
    shutil.copytree(done / "halves", small_disk / "out")
    files = files | {"segmentation_output_dir": f"{small_disk}/out"}
    _, second = subvolume.find(small_disk / "out").values()
    second.unlink()
    before = contents(small_disk)

    real = shutil.disk_usage
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: real(path)._replace(free=2**40)
    )
    ballast = small_disk / "ballast"
    with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(OSError, match="No space left on device") as caught:
        run(files, **HALVES)
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value.filename).startswith(f"{small_disk}/out")
    ballast.unlink()
    assert contents(small_disk) == before

    run(files, **HALVES)
    assert contents(small_disk / "out") == contents(done / "halves")
