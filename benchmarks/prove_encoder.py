"""Google's checkpoints, imported: ours and Google's embeddings of a cutout.

    python3.11 -m venv VENV
    VENV/bin/pip install tensorflow-cpu==2.21.0 tf-keras==2.21.0 tensorboard
    git clone https://github.com/google-research/connectomics
    git clone https://github.com/google-research/simclr
    python benchmarks/prove_encoder.py --google_python=VENV/bin/python \\
        --connectomics=connectomics --simclr=simclr

An environment of its own, as Google's code wants Keras 2. There
google_segclr.py makes the network by Google's code (segclr/model.py and
segclr/tf2/legacy_model.py), fills each variable by segclr_rule.py, saves
checkpoints in the forms that there are, and embeds a cutout. Here they are
imported, and embed it, too, in float32. Differences are the largest over all
numbers, by the root mean square of Google's; the last line is one JSON object.
Ten minutes on two cores, 1 GB on disk while it runs.

Other rows are what a proof needs that could fail: what Google's network makes
of the cutout with x and z exchanged; what ours makes of it when one variable
has other numbers, or one kernel other axes, for each in turn, the one that
changes least.

`--golden` writes what tests/segclr/model/test_tf1_checkpoint.py expects.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from absl import app, flags
import numpy as np
import segclr_rule
from volumes import table

from segclr import model
from segclr.model import tf1_checkpoint

_PYTHON = flags.DEFINE_string(
    "google_python", None, "Python with Keras 2.", required=True
)
_CONNECTOMICS = flags.DEFINE_string(
    "connectomics", None, "google-research/connectomics.", required=True
)
_SIMCLR = flags.DEFINE_string(
    "simclr", None, "google-research/simclr.", required=True
)
_GOLDEN = flags.DEFINE_string("golden", "", "File to write, for the tests.")

# Of model.ckpt-216000.training_tf2resaved-1.data-00000-of-00001, the released
# one (shared/reference/segclr_behaviour.md 1.1).
_RELEASED_BYTES = 135_112_008


def _google(folder: pathlib.Path) -> dict[str, Any]:
    """What google_segclr.py finds; its checkpoints are in the folder."""
    program = pathlib.Path(__file__).with_name("google_segclr.py")
    done = subprocess.run(
        [
            _PYTHON.value,
            str(program),
            str(pathlib.Path(_CONNECTOMICS.value).resolve()),
            str(pathlib.Path(_SIMCLR.value).resolve()),
            str(folder),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads((folder / "google.json").read_text())


def _error(ours: Any, google: Any) -> float:
    """The largest difference, by the root mean square of Google's numbers."""
    expected = np.asarray(google, np.float64)
    difference = np.abs(np.asarray(ours, np.float64) - expected).max()
    return float(difference / np.sqrt(np.mean(expected**2)))


def _cutout() -> np.ndarray:
    """[1, 129, 129, 129, 1] float32."""
    scaled = (segclr_rule.cutout() / 255.0).astype(np.float32)
    return scaled[None, ..., None]


def _embedded(encoder: model.Encoder) -> tuple[np.ndarray, np.ndarray]:
    """(embedding, projection) of the cutout."""
    embedding = encoder(_cutout())
    return np.array(embedding)[0], np.array(encoder.project(embedding))[0]


def _imported(folder: pathlib.Path) -> model.Encoder:
    prefix = tf1_checkpoint.prefix_of(str(folder))
    return tf1_checkpoint.load(prefix).encoder


def _changes(encoder: model.Encoder) -> Iterator[tuple[str, float, bool]]:
    """(what was changed, by how much the result then differs, by axes)."""
    before = _embedded(encoder)
    for name, weight in tf1_checkpoint.variables(encoder):
        own = np.array(weight.numpy())
        others = {name: segclr_rule.variable(name, own.shape, "'")}
        if own.ndim == 5 and own.shape[0] > 1:
            others[f"{name}, x and z"] = own.transpose(2, 1, 0, 3, 4)
        for what, numbers in others.items():
            weight.assign(numbers)
            after = _embedded(encoder)
            change = max(map(_error, after, before))
            yield what, change, what != name
        weight.assign(own)


def _write_golden(google: dict[str, Any], path: pathlib.Path) -> None:
    """One variable a line."""
    own = google["resnet18"]
    made_by = (
        f"benchmarks/prove_encoder.py: google-research/connectomics "
        f"segclr/model.py, TensorFlow {google['tensorflow']}, filled by "
        f"benchmarks/segclr_rule.py, shown its cutout"
    )
    numbers = {k: np.round(own[k], 6) for k in ("embedding", "projection")}
    lines = [f'"made_by": {json.dumps(made_by)}']
    lines += [f'"{k}": {json.dumps(v.tolist())}' for k, v in numbers.items()]
    variables = [
        f"{json.dumps(name)}: {json.dumps(shape, separators=(',', ':'))}"
        for name, shape in own["variables"].items()
    ]
    listed = ",\n".join(variables)
    lines.append(f'"variables": {{\n{listed}\n}}')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _compare(google: dict[str, Any], folder: pathlib.Path) -> dict[str, float]:
    table.heading("Ours against Google's, largest difference")
    found = {}
    for form, kind, title in (
        ("saver", "resnet18", "resnet18, saved in training"),
        ("object", "resnet18", "resnet18, saved again by TensorFlow 2"),
        ("resnet50", "resnet50", "resnet50, heads of 128 numbers"),
    ):
        pair = _embedded(_imported(folder / form))
        for part, ours in zip(("embedding", "projection"), pair):
            error = _error(ours, google[kind][part])
            found[f"{form}_{part}"] = error
            table.remark(f"{title + ', ' + part:<52}{error:.1e}")
    return found


def _google_alone(google: dict[str, Any]) -> dict[str, float]:
    table.heading("Google's against Google's")
    found = {}
    own = google["resnet18"]
    for name, other, title in (
        ("legacy_model", google["object"]["embedding"], "legacy_model.py"),
        ("unread", own["unread"], "other renorm_*, moving_stddev"),
        ("turned", own["turned"], "x and z of the cutout exchanged"),
    ):
        found[name] = _error(other, own["embedding"])
        table.remark(f"{title:<52}{found[name]:.1e}")
    size = google["object"]["bytes"]
    found["bytes_more_than_released"] = size - _RELEASED_BYTES
    table.remark(f"{size:,} bytes; the released one has {_RELEASED_BYTES:,}")
    return found


def _changed(encoder: model.Encoder) -> dict[str, float]:
    table.heading("Ours with one thing changed, least difference of all")
    changes = list(_changes(encoder))
    found = {}
    for by_axes, title in ((False, "numbers"), (True, "axes")):
        some = {what: by for what, by, axes in changes if axes == by_axes}
        what = min(some, key=lambda name: some[name])
        found[f"least_by_{title}"] = some[what]
        table.remark(f"{len(some)} variables, other {title}: {some[what]:.1e}")
        table.remark(f"    ({what})")
    return found


def main(argv: list[str]) -> None:
    del argv
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        google = _google(folder)
        found = _compare(google, folder) | _google_alone(google)
        found |= _changed(_imported(folder / "object"))
    if _GOLDEN.value:
        _write_golden(google, pathlib.Path(_GOLDEN.value))
    print(json.dumps(found))


if __name__ == "__main__":
    app.run(main)
