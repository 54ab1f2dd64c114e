"""The demo: on phantoms, with nothing else; on a real crop."""

import json

import pytest

from ffn_tf import demo


def test_phantom(tmp_path):
    options = demo.Options(
        output_dir=str(tmp_path / "out"), size_zyx=(48, 56, 52), max_steps=3
    )
    commands = []
    scores = demo.run_phantom(options, commands.append)
    assert list(scores) == ["shipped", "trained"]
    assert scores["shipped"].coverage > 0.2
    programs = [line.split()[2].removeprefix("ffn_tf.") for line in commands]
    assert programs == [
        "make_phantom",
        "make_phantom",
        "run_inference",
        "evaluate",
        "compute_partitions",
        "build_coordinates",
        "train",
        "run_inference",
        "evaluate",
    ]
    assert (tmp_path / "out/loss.png").stat().st_size > 1000
    files = [*(tmp_path / "out").glob("**/seg-*.npz")]
    files += (tmp_path / "out").glob("training/checkpoints/*/model.weights.h5")
    before = {path: path.stat().st_mtime_ns for path in files}
    assert len(before) == 3
    assert demo.run_phantom(options) == scores
    assert before == {path: path.stat().st_mtime_ns for path in files}
    table = demo.as_table(scores)
    assert f"{scores['trained'].coverage:8.3f}" in table


def test_without_data_it_says_how_to_get_it(tmp_path, command):
    done = command(
        "demo",
        "--dataset=fib25",
        f"--data_dir={tmp_path}",
        f"--output_dir={tmp_path}/out",
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: This demo runs on real data")
    assert "make fetch" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_real_crop_is_segmented_scored_and_drawn(fib25, tmp_path):
    options = demo.Options(
        output_dir=str(tmp_path / "out"),
        data_dir=str(fib25.parent),
        size_zyx=(49, 49, 49),
    )
    scores = demo.run_fib25(options)
    # What the network can reach of 49^3 is the inner 17^3 and what its
    # predictions cover around that.
    assert scores.coverage > 0.3
    assert scores.both.voi_merge < 0.2
    report = json.loads((tmp_path / "out/scores/report.json").read_text())
    assert report["headline"]["coverage"] == scores.coverage
    assert (tmp_path / "out/scores/slices.png").stat().st_size > 10_000

    (result,) = (tmp_path / "out/segmentation").glob("*/*/seg-*.npz")
    before = result.stat().st_mtime_ns
    again = demo.run_fib25(options)
    assert result.stat().st_mtime_ns == before
    assert again == scores


def test_data_dir_is_named_where_it_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        demo.find_data(str(tmp_path))
