"""Google's SegCLR network, run and saved by Google's own code.

    VENV/bin/python benchmarks/google_segclr.py CONNECTOMICS SIMCLR OUT

A part of prove_encoder.py, which says how to make VENV and the two checkouts;
of this repository it needs segclr_rule.py only. Each network is filled by that
rule and shown its cutout. In OUT are then

    google.json     numbers; names and shapes of the variables
    saver/          resnet18 as its training saves it, optimizer and all
    object/         ... as TensorFlow 2 saves it again, like the released ones
    resnet50/       resnet50 with the sizes of heads that model_gen has
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import types
from typing import Any

import numpy as np
import segclr_rule

_SHAPE = (1, *(segclr_rule.SIZE,) * 3, 1)
_STEP = 216_000


def _import_google(connectomics: str, simclr: str) -> Any:
    """Google's modules, on the Keras 2 that they were written for."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    # Not in TensorFlow any more; here it only carries predictions.
    spec = types.SimpleNamespace(TPUEstimatorSpec=types.SimpleNamespace)
    tf.compat.v1.estimator = types.SimpleNamespace(tpu=spec)
    # A checkout of simclr is the package itself, whatever its folder's name.
    package = types.ModuleType("simclr")
    package.__path__ = [simclr]
    sys.modules["simclr"] = package
    sys.path.append(connectomics)
    from connectomics.segclr import model, model_util
    from connectomics.segclr.tf2 import legacy_model

    return types.SimpleNamespace(
        model=model,
        model_util=model_util,
        legacy_model=legacy_model,
        tf=tf,
        v1=tf.compat.v1,
    )


def _cutout() -> np.ndarray:
    """[1, 129, 129, 129, 1] float32, as Google's inference.py has it."""
    return np.reshape(segclr_rule.cutout() / 255.0, _SHAPE).astype(np.float32)


def _plain(variable: Any) -> str:
    return variable.name.removesuffix(":0")


def _fill(google: Any, session: Any, seed: str = "", only: str = "") -> None:
    """All variables by the rule; or, of those of a name, other numbers."""
    for variable in google.v1.global_variables():
        name, shape = _plain(variable), tuple(variable.shape)
        if variable.dtype.base_dtype == google.tf.int64:
            variable.load(_STEP, session)
        elif only in name.split("/")[-1]:
            variable.load(segclr_rule.variable(name, shape, seed), session)


def _inference(google: Any, kind: str, sizes: tuple[int, int]) -> Any:
    """model_gen's graph for predictions; and projections of these.

    Returns:
      (input, {"embedding": [1, n], "projection": [1, m]})
    """
    embedding, projection = sizes
    data = google.v1.placeholder(np.float32, _SHAPE)
    make = google.model.model_gen(
        model_dir="",
        n_data_channels=1,
        resnet_kind=kind,
        bottleneck_dim=embedding,
        proj_out_dim=projection,
        mode="pred",
    )
    embedded = make({"data": data}).predictions["embeddings"]
    # model_gen has this one only in its graph for training.
    with google.v1.variable_scope("projection_head_0_0"):
        projected = google.model_util.projection_head(
            embedded,
            out_dim=projection,
            num_layers=3,
            use_bn=True,
            is_training=False,
        )
    return data, {"embedding": embedded, "projection": projected}


def _numbers(google: Any) -> dict[str, Any]:
    """What resnet18 makes of the cutout; and of it with other axes."""
    with google.tf.Graph().as_default(), google.v1.Session() as session:
        data, outputs = _inference(google, "resnet18", (64, 16))
        shapes = {
            _plain(variable): list(variable.shape)
            for variable in google.v1.global_variables()
        }
        _fill(google, session)
        cutout = _cutout()
        found = session.run(outputs, {data: cutout})
        turned = cutout.transpose(0, 3, 2, 1, 4)
        found["turned"] = session.run(outputs["embedding"], {data: turned})
        for part in ("renorm", "moving_stddev"):
            _fill(google, session, "'", only=part)
        found["unread"] = session.run(outputs["embedding"], {data: cutout})
    return {k: v[0].tolist() for k, v in found.items()} | {"variables": shapes}


def _save_training(google: Any, folder: pathlib.Path) -> None:
    """The graph that trains, with its optimizer, by TensorFlow 1's Saver."""
    with google.tf.Graph().as_default(), google.v1.Session() as session:
        pairs = (2, *_SHAPE[1:4], 2)
        make = google.model.model_gen(
            model_dir=str(folder),
            n_data_channels=1,
            bottleneck_dim=64,
            proj_out_dim=16,
            bottle_entropy_loss_mult=0.0,  # Its default is an integer.
            mode="train",
        )
        data = google.v1.placeholder(np.float32, pairs)
        distance = google.v1.placeholder(np.int64, (2, 1))
        make({"data": data, "distance": distance})
        _fill(google, session)
        google.v1.train.Saver().save(
            session, str(folder / "model.ckpt"), global_step=_STEP
        )


def _save_resnet50(google: Any, folder: pathlib.Path) -> dict[str, Any]:
    """The network that has other blocks; its numbers."""
    with google.tf.Graph().as_default(), google.v1.Session() as session:
        data, outputs = _inference(google, "resnet50", (128, 128))
        _fill(google, session)
        google.v1.train.Saver().save(session, str(folder / "model.ckpt"))
        found = session.run(outputs, {data: _cutout()})
    return {name: value[0].tolist() for name, value in found.items()}


def _save_object(google: Any, folder: pathlib.Path) -> dict[str, Any]:
    """The network that loads the released checkpoints, by TensorFlow 2.

    With a step beside it, the file is to the byte as long as the released one.
    """
    tf = google.tf
    network = google.legacy_model.LegacySegClrModel()
    network(tf.keras.Input(shape=_SHAPE[1:], batch_size=1, dtype=tf.float32))
    for one in network.variables:
        one.assign(segclr_rule.variable(_plain(one), tuple(one.shape)))
    step = tf.Variable(_STEP, dtype=tf.int64, name="global_step")
    saved = tf.train.Checkpoint(network, global_step=step).save(
        str(folder / f"model.ckpt-{_STEP}.training_tf2resaved")
    )
    embedded, _ = network(_cutout(), training=False)
    return {
        "embedding": embedded.numpy()[0].tolist(),
        "bytes": os.path.getsize(f"{saved}.data-00000-of-00001"),
    }


def main(connectomics: str, simclr: str, out: str) -> None:
    google = _import_google(connectomics, simclr)
    folder = pathlib.Path(out)
    for name in ("saver", "object", "resnet50"):
        (folder / name).mkdir(parents=True)
    _save_training(google, folder / "saver")
    found = {
        "resnet18": _numbers(google),
        "object": _save_object(google, folder / "object"),
        "resnet50": _save_resnet50(google, folder / "resnet50"),
        "tensorflow": google.tf.__version__,
    }
    (folder / "google.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
