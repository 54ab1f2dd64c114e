"""import_checkpoint: a folder that segclr.embed takes."""

import json

import numpy as np
import pytest
import segclr_checkpoints as checkpoints

from segclr import import_checkpoint, model
from segclr.model import tf1_checkpoint


@pytest.fixture
def released(tmp_path):
    """A folder like the released ones, of a small network; and its arrays.

    The head that only training needs is missing.
    """
    arrays = checkpoints.small()
    prefix = tmp_path / "segclr-1" / "model.ckpt-1.tf2resaved-1"
    kept = {
        checkpoints.key(name): array
        for name, array in arrays.items()
        if not name.startswith("projection")
    }
    checkpoints.write(prefix, kept)
    (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "?"')
    return prefix.parent, arrays


def test_on_the_command_line(released, tmp_path, command):
    folder, arrays = released
    output = tmp_path / "encoder"
    done = command(
        "import_checkpoint",
        f"--checkpoint={folder}",
        f"--output_dir={output}",
        "--voxel_size_nm=40,32,32",
        "--size_zyx=9,9,9",
        package="segclr",
    )
    assert not done.returncode, done.stderr
    first, second, last = done.stdout.splitlines()
    assert first.startswith(
        "resnet18, embeddings of 5 numbers, for voxels of 40 x 32 x 32 nm"
    )
    assert "60 variables that only training reads left out" in first
    assert second.startswith("No projection head in it")
    assert last.startswith(f"Wrote {output}/model.json")
    assert f"segclr.embed --encoder={output} --image=" in last
    encoder = model.load(output)
    assert encoder.voxel_size_nm == (40.0, 32.0, 32.0)
    assert encoder.size_zyx == (9, 9, 9)
    for name, weight in tf1_checkpoint.variables(encoder):
        if not name.startswith("projection"):
            np.testing.assert_array_equal(weight, arrays[name])
    origin = json.loads((output / "model.json").read_text())["origin"]
    assert origin["path"] == f"{folder}/model.ckpt-1.tf2resaved-1"
    assert origin["digest"].startswith("sha256:")
    assert origin["has_projection"] is False


def test_with_a_projection_head(released, tmp_path):
    folder, arrays = released
    prefix = folder / "model.ckpt-1.tf2resaved-1"
    checkpoints.write(prefix, arrays)
    options = import_checkpoint.Options(str(prefix), f"{tmp_path}/encoder")
    assert import_checkpoint.run(options).has_projection
    told = json.loads((tmp_path / "encoder" / "model.json").read_text())
    assert told["origin"]["has_projection"] is True
    encoder = model.load(tmp_path / "encoder")
    assert encoder.voxel_size_nm == (33.0, 32.0, 32.0)
    for name, weight in tf1_checkpoint.variables(encoder):
        np.testing.assert_array_equal(weight, arrays[name])


def test_an_existing_network_is_kept(released, tmp_path):
    (tmp_path / "model.json").write_text("{}")
    options = import_checkpoint.Options(str(released[0]), str(tmp_path))
    with pytest.raises(FileExistsError, match="holds a network already"):
        import_checkpoint.run(options)
    assert (tmp_path / "model.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"checkpoint": "missing"}, FileNotFoundError, "No TensorFlow check"),
        ({"checkpoint": "gs://a/b"}, ValueError, "not on this machine"),
        ({"voxel_size_nm": (33, 0, 32)}, ValueError, "lengths above 0"),
        ({"voxel_size_nm": (33, float("nan"), 32)}, ValueError, "above 0"),
        ({"size_zyx": (128, 129, 129)}, ValueError, "cutouts of odd size"),
    ],
)
def test_bad_input_leaves_nothing(released, tmp_path, changes, error, message):
    output = tmp_path / "encoder"
    given = {"checkpoint": str(released[0]), "output_dir": str(output)}
    options = import_checkpoint.Options(**(given | changes))
    with pytest.raises(error, match=message):
        import_checkpoint.run(options)
    assert not output.exists()


@pytest.mark.parametrize("output", ["", "gs://bucket/encoder"])
def test_an_encoder_is_a_folder_of_this_machine(released, output):
    options = import_checkpoint.Options(str(released[0]), output)
    with pytest.raises(ValueError, match=f"this machine, found '{output}'"):
        import_checkpoint.run(options)
