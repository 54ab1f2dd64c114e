import json
import subprocess
import sys

import numpy as np
import pytest

from ffn_tf import import_checkpoint, model


def test_fib25_checkpoint_on_the_command_line(fib25, tmp_path):
    output = tmp_path / "net"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ffn_tf.import_checkpoint",
            f"--checkpoint={fib25}/model/model.ckpt-27465036",
            f"--output_dir={output}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "depth 12, 32 features, 638,433 weights" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"Wrote {output}")
    described = json.loads((output / "model.json").read_text())
    assert described["config"]["depth"] == 12
    ours = model.load(str(output))
    theirs = model.load(f"{fib25}/model/model.ckpt-27465036")
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_existing_network_is_kept(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    options = import_checkpoint.Options("missing", str(tmp_path))
    with pytest.raises(FileExistsError, match="holds a network already"):
        import_checkpoint.run(options)


def test_a_missing_checkpoint_leaves_nothing(tmp_path):
    output = tmp_path / "net"
    options = import_checkpoint.Options("missing", str(output))
    with pytest.raises(FileNotFoundError, match="No network at"):
        import_checkpoint.run(options)
    assert not output.exists()
