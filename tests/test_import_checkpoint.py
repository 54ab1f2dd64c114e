import json

import numpy as np
import pytest

from ffn_tf import import_checkpoint, model


def test_fib25_checkpoint_on_the_command_line(fib25, tmp_path, command):
    output = tmp_path / "net"
    done = command(
        "import_checkpoint",
        f"--checkpoint={fib25}/model/model.ckpt-27465036",
        f"--output_dir={output}",
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


@pytest.mark.parametrize("output", ["", "gs://bucket/net"])
def test_a_network_is_a_folder_of_this_machine(monkeypatch, tmp_path, output):
    monkeypatch.chdir(tmp_path)
    options = import_checkpoint.Options("missing", output)
    with pytest.raises(ValueError, match=f"of this machine, found '{output}'"):
        import_checkpoint.run(options)


def test_a_missing_checkpoint_leaves_nothing(tmp_path):
    output = tmp_path / "net"
    options = import_checkpoint.Options("missing", str(output))
    with pytest.raises(FileNotFoundError, match="No network at"):
        import_checkpoint.run(options)
    assert not output.exists()
