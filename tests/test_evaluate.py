"""The program: files in, scores and a report out; and every bad input."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np
from PIL import Image
import pytest

from ffn_tf import evaluate, volume
from ffn_tf.inference import subvolume

FIB25 = volume.dataset.data_dir() / "fib25"


@pytest.fixture
def files(tmp_path):
    """A truth of two bodies, a segmentation that merges them, an image."""
    truth = np.zeros((6, 8, 10), np.uint64)
    truth[:, :4], truth[:, 4:] = 2**63, 7
    truth[0] = 0
    segmentation = np.full(truth.shape, 3, np.uint32)
    segmentation[:, :, :2] = 0
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        file["stack"] = truth
    np.save(tmp_path / "segmentation.npy", segmentation)
    np.save(
        tmp_path / "image.npy",
        np.arange(480, dtype=np.uint16).reshape(truth.shape),
    )
    return {
        "truth": f"{tmp_path}/truth.h5:stack",
        "segmentation": f"{tmp_path}/segmentation.npy",
        "image": f"{tmp_path}/image.npy",
        "output_dir": f"{tmp_path}/out",
    }


def run(files, **changes):
    return evaluate.run(evaluate.Options(**(files | changes)))


def written(files):
    path = pathlib.Path(files["output_dir"]) / "report.json"
    return json.loads(path.read_text())


def shifted(files, tmp_path, start, size=(6, 8, 10)):
    """The address of a segmentation of ones that covers another box."""
    address = f"{tmp_path}/shifted.npy"
    box = volume.Box.from_size(start, size)
    info = volume.VolumeInfo(box, np.dtype(np.uint64))
    with volume.create(address, info) as created:
        created.write(box, np.ones(size, np.uint64))
    return files | {"segmentation": address}


def test_run_scores_and_writes(files):
    found = run(files, block_zyx=(4, 3, 5))

    assert found.coverage == 0.8
    assert found.both.voi_split == 0
    assert found.both.voi_merge == 1
    report = written(files)
    assert report["headline"]["voi_merge"] == 1
    assert report["merges"][0]["parts"] == [[7, 160], [2**63, 160]]
    assert report["made_by"]["options"]["truth"] == files["truth"]
    assert set(report["inputs"]) == {"truth", "segmentation", "image"}
    out = pathlib.Path(files["output_dir"])
    assert "**Coverage 0.8000**" in (out / "report.md").read_text()
    with Image.open(out / "slices.png") as picture:
        assert min(picture.size) > 440


def test_the_scores_are_there_when_the_picture_fails(files, monkeypatch):
    run(files)

    def fail(*unused):
        raise MemoryError

    monkeypatch.setattr(evaluate.picture, "draw", fail)
    said = []
    with pytest.raises(MemoryError):
        evaluate.run(evaluate.Options(**files), said.append)
    assert "Coverage                     0.8000" in said[0]
    assert written(files)["headline"]["coverage"] == 0.8
    left = sorted(os.listdir(files["output_dir"]))
    assert left == ["report.json", "report.md"]  # No picture of the first run.


def test_image_is_optional(files):
    del files["image"]
    run(files)
    assert set(written(files)["inputs"]) == {"truth", "segmentation"}


def test_rerun_replaces_the_report(files):
    run(files)
    first = written(files)
    run(files)
    assert written(files) == first
    assert len(os.listdir(files["output_dir"])) == 3


def test_volumes_are_compared_where_both_are(files, tmp_path):
    files = shifted(files, tmp_path, (4, 0, 0))

    found = run(files)

    assert (found.voxels, found.truth_voxels) == (160, 160)
    compared = written(files)["compared"]
    assert compared["start_zyx"] == [4, 0, 0]
    assert compared["size_zyx"] == [2, 8, 10]
    assert compared["left_out"] == {"truth": 320, "segmentation": 320}
    text = (pathlib.Path(files["output_dir"]) / "report.md").read_text()
    assert "Compared is what both volumes hold" in text


@pytest.fixture
def results(files, tmp_path):
    """A folder with one result that lies in a corner of the truth."""
    labels = np.ones((3, 4, 5), np.uint64)
    labels[:, 1:] = 2
    folder = tmp_path / "results"
    path = subvolume.save(
        folder, subvolume.Subvolume(volume.Box((2, 3, 4), (5, 7, 9)), labels)
    )
    return folder, path


@pytest.mark.parametrize("form", ["folder", "file", "file and key"])
def test_a_result_of_run_inference(files, results, form):
    folder, path = results
    address = {
        "folder": f"{folder}",
        "file": f"{path}",
        "file and key": f"{path}:segmentation",
    }[form]

    found = run(files, segmentation=address)

    assert found.both.voi_split == found.both.voi_merge == 0
    assert found.both.num_segments == 2
    report = written(files)
    assert report["compared"]["start_zyx"] == [2, 3, 4]
    assert report["inputs"]["segmentation"]["address"] == address


def test_several_results_are_an_error(files, results):
    folder, _ = results
    box = volume.Box((0, 0, 0), (1, 1, 1))
    labels = np.ones((1, 1, 1), np.uint8)
    subvolume.save(folder, subvolume.Subvolume(box, labels))
    with pytest.raises(ValueError, match="expected one subvolume, found 2"):
        run(files, segmentation=str(folder))


@pytest.mark.parametrize("name", ["run.json", "7/5/seg-7_5_3.cpoint"])
def test_an_unfinished_run_is_an_error(files, results, name):
    """Without any result, and with some of them."""
    folder, path = results
    if name == "run.json":
        path.unlink()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    with pytest.raises(ValueError, match="run the same run_inference"):
        run(files, segmentation=str(folder))
    assert not os.path.exists(files["output_dir"])


@pytest.fixture
def lines(files, tmp_path):
    """A line through each body, and a segmentation of 40 x 5 x 5 nm."""
    box = volume.Box((0, 0, 0), (6, 8, 10))
    labels = np.load(files["segmentation"])
    labels[:, 4:, 5:] = 4
    info = volume.VolumeInfo(box, labels.dtype, (40, 5, 5))
    files |= {"segmentation": f"{tmp_path}/sized.npy"}
    with volume.create(files["segmentation"], info) as created:
        created.write(box, labels)
    for id_, y in ((5, 6), (6, 31)):
        (tmp_path / f"{id_}.swc").write_text(
            "".join(
                f"{n} 0 {5 * n - 2} {y} 50 1 {n - 1 or -1}\n"
                for n in range(1, 11)
            )
        )
    return files | {"skeletons": str(tmp_path)}


def test_skeletons(lines):
    said = []
    evaluate.run(evaluate.Options(**lines), said.append)

    # x = 0, 1 are background; segment 3 merges; 4 has 5 voxels of the second.
    report = written(lines)
    headline = report["headline"]
    assert headline["coverage"] == 0.8
    assert headline["erl_nm"] == pytest.approx(20**2 / 90)
    assert headline["normalised_erl"] == pytest.approx(20**2 / 2 / 45**2)
    assert headline["edge_accuracy"] == pytest.approx(4 / 18)
    assert report["skeletons"]["rows"][1]["id"] == 6
    assert report["skeletons"]["merged"] == pytest.approx(9 / 18)
    assert "Run length (ERL)   4.4 of at most 45.0 nm" in said[0]
    text = (pathlib.Path(lines["output_dir"]) / "report.md").read_text()
    assert "**Expected run length 4.4 nm** of at most 45.0" in text


def test_merge_threshold(lines):
    run(lines, merge_threshold=4)
    found = written(lines)["skeletons"]
    assert (found["merged"], found["merge_threshold"]) == (0, 4)


def test_skeletons_without_a_voxel_size_are_an_error(lines, tmp_path):
    with pytest.raises(ValueError, match=r"has a voxel size\. Name one of"):
        run(lines, segmentation=f"{tmp_path}/segmentation.npy")
    assert not os.path.exists(lines["output_dir"])


def test_skeletons_that_are_not_there_are_an_error(lines):
    with pytest.raises(FileNotFoundError, match="absent"):
        run(lines, skeletons="absent.npz")
    assert not os.path.exists(lines["output_dir"])


def test_no_common_voxel_is_an_error(files, tmp_path):
    with pytest.raises(ValueError, match="share no voxel"):
        run(shifted(files, tmp_path, (6, 0, 0)))
    assert not os.path.exists(files["output_dir"])


def test_image_elsewhere_is_an_error_before_any_output(files, tmp_path):
    np.save(files["image"], np.zeros((3, 8, 10), np.uint8))
    with pytest.raises(ValueError, match="is not inside the volume"):
        run(files)
    assert not os.path.exists(files["output_dir"])


def test_float_segmentation_is_an_error(files):
    np.save(files["segmentation"], np.ones((6, 8, 10), np.float32))
    with pytest.raises(ValueError, match="segmentation must hold integer ids"):
        run(files)


def test_unlabelled_truth_is_an_error(files):
    with h5py.File(files["truth"].removesuffix(":stack"), "r+") as file:
        file["stack"][...] = 0
    with pytest.raises(ValueError, match="truth is 0 in all 480 voxels"):
        run(files)


def test_empty_blocks_are_an_error(files):
    with pytest.raises(ValueError, match=r"size_zyx \(0, 8, 8\)"):
        run(files, block_zyx=(0, 8, 8))


def test_a_missing_volume_is_an_error(files):
    with pytest.raises(FileNotFoundError, match="absent"):
        run(files, truth="absent.h5:stack")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Expected --segmentation and --truth, .* or --checkpoints"),
        ({"truth": "t"}, "Expected --segmentation and --truth"),
        ({"segmentation": "s"}, "Expected --segmentation and --truth"),
        ({"segmentation": "s", "checkpoints": "c"}, "two things: give one"),
        ({"image": "i", "checkpoints": "c"}, "give --image and --truth"),
        ({"bounding_box": "b", "checkpoints": "c"}, "with --image and"),
        ({"skeletons": "l", "checkpoints": "c"}, "with --image and --truth"),
        (
            {"bounding_box": "b", "segmentation": "s", "truth": "t"},
            "--bounding_box, .* are for --checkpoints",
        ),
        (
            {"checkpoints": "c", "merge_threshold": 3},
            "--merge_threshold is for --skeletons",
        ),
    ],
)
def test_options_that_do_not_fit(given, says):
    with pytest.raises(ValueError, match=says):
        evaluate.Options(output_dir="out", **given)


@pytest.fixture
def training(tmp_path, brightness):
    """Checkpoints of a training; the second one sees everything dark."""
    em = np.full((20, 20, 20), 95, np.uint8)
    em[3:17, 3:17, 3:17] = 161
    em += np.random.default_rng(0).integers(0, 8, em.shape).astype(np.uint8)
    np.save(tmp_path / "em.npy", em)
    truth = np.ones(em.shape, np.uint8)
    truth[3:17, 3:17, 3:17] = 2
    np.save(tmp_path / "bodies.npy", truth)
    for step, mean in ((50, 128), (60, 250)):
        folder = tmp_path / f"run/checkpoints/step-{step:08d}"
        shutil.copytree(brightness(5, 2), folder)
        described = json.loads((folder / "model.json").read_text())
        values = {"em": {"mean": mean, "stddev": 33}}
        described["origin"] = {"normalisation": values}
        (folder / "model.json").write_text(json.dumps(described))
    return {
        "checkpoints": f"{tmp_path}/run",
        "output_dir": f"{tmp_path}/out",
        "image": f"{tmp_path}/em.npy",
        "truth": f"{tmp_path}/bodies.npy",
    }


def test_checkpoints_are_segmented_and_ranked(training, tmp_path):
    said = []
    found = evaluate.rank(evaluate.Options(**training), said.append)
    assert [row.found.step for row in found.rows] == [50, 60]
    best, other = (row.scores for row in found.rows)
    assert (best.segments, best.voi) == (1, 0)  # The dark is one body.
    assert best.coverage == 14**3 / 20**3
    assert (other.segments, other.coverage) == (0, 0)
    assert "Best: " in said[0]
    # Again, without volumes: the scores are kept with the checkpoints.
    files = {k: v for k, v in training.items() if k not in ("image", "truth")}
    again = evaluate.rank(evaluate.Options(**files))
    assert again == found
    # On another box, they do not count, and stay.
    box = "size { x: 19 y: 20 z: 20 }"
    smaller = evaluate.rank(evaluate.Options(**training, bounding_box=box))
    assert smaller.best.scores.coverage == 14**3 / (20 * 20 * 19)
    assert evaluate.rank(evaluate.Options(**files)) == found


def test_checkpoints_that_nobody_has_scored(training, tmp_path):
    files = {k: v for k, v in training.items() if k not in ("image", "truth")}
    with pytest.raises(ValueError, match=r"None of 2 checkpoints .* has been"):
        evaluate.rank(evaluate.Options(**files))
    assert not os.path.exists(files["output_dir"])


def as_flags(files):
    return [f"--{name}={value}" for name, value in files.items()]


def test_command_line(files, command):
    done = command("evaluate", *as_flags(files))

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["Coverage", "0.8000"]
    assert lines[-1].startswith(f"Wrote {files['output_dir']}/report.md")
    assert written(files)["headline"]["coverage"] == 0.8


def test_command_line_with_bad_input_is_one_line(files, command):
    done = command(
        "evaluate", *as_flags(files | {"segmentation": "absent.npy"})
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: absent.npy")


def test_command_line_without_anything_to_score(command, tmp_path):
    done = command("evaluate", f"--output_dir={tmp_path}/out")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: Expected --segmentation and --truth")


def test_no_tensorflow_is_imported():
    code = "import sys, ffn_tf.evaluate; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("key", ["", ":segmentation"])
def test_published_fib25_segmentation(tmp_path, key):
    if not FIB25.exists():
        pytest.skip(f"no fib25 data in {FIB25}")
    found = run(
        {
            "truth": f"{FIB25}/groundtruth.h5:stack",
            "segmentation": f"{FIB25}/sample-training2.npz{key}",
            "image": f"{FIB25}/grayscale_maps.h5:raw",
            "output_dir": str(tmp_path),
        }
    )
    assert round(found.coverage, 4) == 0.8875
    headline = written({"output_dir": tmp_path})["headline"]
    rounded = {name: round(value, 3) for name, value in headline.items()}
    assert rounded == {
        "coverage": 0.888,
        "voi_split": 0.613,
        "voi_merge": 0.263,
        "adapted_rand_error": 0.056,
    }
