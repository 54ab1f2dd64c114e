import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from ffn_tf import model
from ffn_tf.model import tf1_checkpoint

VIEW = model.FieldOfView((5, 5, 5), (1, 1, 1))


@pytest.fixture
def network() -> model.ConvStack:
    keras.utils.set_random_seed(2)
    network = model.ConvStack(depth=2, features=3, view=VIEW)
    network.build()
    for weight in network.weights:
        weight.assign(np.random.default_rng(3).normal(size=weight.shape))
    return network


def _same_weights(a: model.ConvStack, b: model.ConvStack) -> bool:
    return all(
        np.array_equal(x, y)
        for x, y in zip(a.get_weights(), b.get_weights(), strict=True)
    )


def _write_tf1(prefix, network, *, drop=(), extra=None):
    """A checkpoint with the names that google/ffn gives its tensors."""
    variables = {"global_step": np.int64(7)}
    for name, layer in network.convolutions.items():
        weights, biases = layer.get_weights()
        variables[f"seed_update/{name}/weights"] = weights
        variables[f"seed_update/{name}/biases"] = biases
    variables.update(extra or {})
    for name in drop:
        del variables[name]
    with tf.Graph().as_default():
        saver = tf.compat.v1.train.Saver(
            [
                tf.compat.v1.get_variable(
                    name, initializer=value, use_resource=False
                )
                for name, value in variables.items()
            ]
        )
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, str(prefix), write_meta_graph=False)
    return str(prefix)


def test_save_then_load_is_the_identity(network, tmp_path):
    model.save(network, tmp_path / "net", {"trained_on": "nothing"})
    found = model.load(str(tmp_path / "net"))
    assert _same_weights(found, network)
    assert found.view == VIEW
    described = json.loads((tmp_path / "net" / "model.json").read_text())
    assert described["origin"] == {"trained_on": "nothing"}
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == [
        "model.json",
        "model.weights.h5",
    ]


def test_a_full_disk_is_refused_before_it_crashes(
    network, tmp_path, monkeypatch
):
    model.save(network, tmp_path / "net", {})
    size = (tmp_path / "net" / "model.weights.h5").stat().st_size
    real = shutil.disk_usage
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: real(path)._replace(free=size)
    )
    with pytest.raises(OSError, match=r"Not enough room in .*full"):
        model.save(network, tmp_path / "full", {})
    assert list((tmp_path / "full").iterdir()) == []


def test_weights_of_another_network_are_refused(network, tmp_path):
    model.save(network, tmp_path, {})
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not the file that"):
        model.load(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"model": "convstack"}', "[" * 100_000]
)
def test_a_damaged_description_is_refused(network, tmp_path, text):
    model.save(network, tmp_path, {})
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ValueError, match="does not describe a network"):
        model.load(str(tmp_path))


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="No network at"):
        model.load(str(tmp_path / "missing"))


def test_unknown_network_names_the_known_ones():
    with pytest.raises(ValueError, match="convstack"):
        model.network_name("resnet")
    assert model.network_name("convstack_3d.ConvStack3DFFNModel") == (
        "convstack"
    )


def test_tf1_checkpoint_gives_the_same_network(network, tmp_path):
    prefix = _write_tf1(tmp_path / "model.ckpt-7", network)
    found = model.load(prefix, VIEW)
    assert (found.depth, found.features, found.view) == (2, 3, VIEW)
    assert _same_weights(found, network)
    assert model.describe(prefix)["digest"].startswith("sha256:")


def test_tf1_checkpoint_of_another_architecture(network, tmp_path):
    prefix = _write_tf1(
        tmp_path / "model.ckpt-7",
        network,
        extra={"seed_update/conv1_a/weights": np.zeros((5, 5, 5, 3, 3), "f4")},
    )
    with pytest.raises(ValueError, match=r"conv1_a/weights: found \(5, 5,"):
        model.load(prefix)


def test_tf1_checkpoint_with_a_missing_layer(network, tmp_path):
    prefix = _write_tf1(
        tmp_path / "model.ckpt-7",
        network,
        drop=("seed_update/conv0_b/weights", "seed_update/conv0_b/biases"),
    )
    with pytest.raises(ValueError, match="conv0_b/biases: found nothing"):
        model.load(prefix)


def test_tf1_checkpoint_of_something_else(tmp_path, network):
    names = [
        f"seed_update/{name}/{kind}"
        for name in network.convolutions
        for kind in ("weights", "biases")
    ]
    prefix = _write_tf1(tmp_path / "model.ckpt-7", network, drop=names)
    with pytest.raises(ValueError, match="not a google/ffn network"):
        model.load(prefix)


@pytest.mark.parametrize("suffix", [".data-00000-of-00001", ".index"])
@pytest.mark.parametrize("keep", [0, 0.5])
def test_truncated_tf1_checkpoint(network, tmp_path, suffix, keep):
    prefix = _write_tf1(tmp_path / "model.ckpt-7", network)
    path = tmp_path / f"model.ckpt-7{suffix}"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ValueError, match="truncated, damaged or incomplete"):
        model.load(prefix)


def test_missing_tf1_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\.index"):
        tf1_checkpoint.read(str(tmp_path / "model.ckpt-7"))
