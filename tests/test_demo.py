import json

import pytest

from ffn_tf import demo


def test_without_data_it_says_how_to_get_it(tmp_path, command):
    done = command(
        "demo", f"--data_dir={tmp_path}", f"--output_dir={tmp_path}/out"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: The demo runs on real data")
    assert "make fetch" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_real_crop_is_segmented_scored_and_drawn(fib25, tmp_path):
    options = demo.Options(
        output_dir=str(tmp_path / "out"),
        data_dir=str(fib25.parent),
        size_zyx=(49, 49, 49),
    )
    scores = demo.run(options)
    # What the network can reach of 49^3 is the inner 17^3 and what its
    # predictions cover around that.
    assert scores.coverage > 0.3
    assert scores.both.voi_merge < 0.2
    report = json.loads((tmp_path / "out/scores/report.json").read_text())
    assert report["headline"]["coverage"] == scores.coverage
    assert (tmp_path / "out/scores/slices.png").stat().st_size > 10_000

    (result,) = (tmp_path / "out/segmentation").glob("*/*/seg-*.npz")
    before = result.stat().st_mtime_ns
    again = demo.run(options)
    assert result.stat().st_mtime_ns == before
    assert again == scores


def test_data_dir_is_named_where_it_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        demo.find_data(str(tmp_path))
