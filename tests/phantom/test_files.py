"""What is written is what is generated; the command line."""

from __future__ import annotations

import numpy as np
from PIL import Image
import pytest

from ffn_tf import make_phantom, phantom, volume
from ffn_tf.phantom import files, skeletons


def test_blocks_are_written_where_they_belong(
    options, whole, truth, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "_BLOCK", (64, 32, 32))
    monkeypatch.setattr(files, "_CHUNK", (32, 32, 32))
    path = phantom.write(options, tmp_path / "out")
    dataset = volume.dataset.load(path)
    with dataset.open("image") as image, dataset.open("truth") as labels:
        np.testing.assert_array_equal(image.read(), whole.image)
        np.testing.assert_array_equal(labels.read(), whole.labels)
        assert image.voxel_size_nm == options.voxel_size_nm
        assert image.info.kind == "image"
        assert labels.info.kind == "segmentation"
        assert image.attributes["options"]["seed"] == options.seed
    assert skeletons.load(tmp_path / "out/truth.npz").types == truth.types
    first, second, *_ = (tmp_path / "out/types.csv").read_text().splitlines()
    assert (first, second) == ("segment,label", f"1,{truth.types[1]}")
    with pytest.raises(FileExistsError, match="exists already"):
        phantom.write(options, tmp_path / "out")


def test_nothing_asked_for_is_refused():
    with pytest.raises(ValueError, match="--output_dir or --picture"):
        make_phantom.run(phantom.Options(), make_phantom.Outputs())
    with pytest.raises(ValueError, match="--beside is for --picture"):
        make_phantom.run(
            phantom.Options(), make_phantom.Outputs(output_dir="x", beside="y")
        )


def test_the_command_line(tmp_path, command):
    real = np.random.default_rng(0).integers(0, 255, (30, 30, 30), np.uint8)
    np.save(tmp_path / "real.npy", real)
    line = ["make_phantom", "--size_zyx=24,26,28"]
    done = command(
        *line,
        f"--output_dir={tmp_path}/out",
        f"--picture={tmp_path}/look.png",
        f"--beside={tmp_path}/real.npy",
    )
    assert done.stdout.splitlines()[-1].startswith(
        f"Wrote {tmp_path}/look.png and {tmp_path}/out/dataset.yaml. "
        f"Next: python -m ffn_tf.run_inference"
    )
    assert "real     grey" in done.stdout
    with Image.open(tmp_path / "look.png") as sheet:
        assert sheet.width == 2 * 3 * 32 < sheet.height
    dataset = volume.dataset.load(tmp_path / "out/dataset.yaml")
    with dataset.open("image") as image:
        assert image.domain.size == (24, 26, 28)
    again = command(*line)
    assert again.returncode == 1
    assert again.stderr.strip().endswith(
        "error: Nothing to make: give --output_dir or --picture."
    )
