"""Google's checkpoints: its own numbers, both forms, what is refused.

benchmarks/prove_encoder.py runs Google's code itself; here are the names that
this gave its variables, and the numbers that came out.
"""

import json
import os

import numpy as np
import pytest
import segclr_checkpoints as checkpoints
import segclr_rule

from segclr import model
from segclr.model import tf1_checkpoint

BASE = "base_model_0/resnet18"


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The released network, filled as Google's was, saved, and imported."""
    prefix = checkpoints.write(
        tmp_path_factory.mktemp("paper") / "model.ckpt-216000",
        {
            name: segclr_rule.variable(name, shape)
            for name, shape in checkpoints.shapes().items()
        },
    )
    found = tf1_checkpoint.load(prefix)
    os.remove(f"{prefix}.data-00000-of-00001")
    return found


@pytest.fixture(scope="module")
def cutout():
    return np.float32(segclr_rule.cutout() / 255.0)[np.newaxis, ..., np.newaxis]


def differences(encoder, cutout):
    """From Google's (embedding, projection), by the root of their squares."""
    golden = json.loads(checkpoints.GOLDEN.read_text())
    embedding = encoder(cutout)
    projection = encoder.project(embedding)
    found = {"embedding": embedding, "projection": projection}
    return [
        np.abs(np.asarray(numbers)[0] - golden[name]).max()
        / np.sqrt(np.mean(np.square(golden[name])))
        for name, numbers in found.items()
    ]


def test_an_imported_encoder_gives_google_s_numbers(paper, cutout):
    assert max(differences(paper.encoder, cutout)) < 1e-4
    assert paper.encoder.config == model.Encoder().config
    assert paper.has_projection


def test_they_are_given_by_nothing_else(paper, cutout):
    """x and z exchanged: in the cutout, in a kernel. Other numbers."""
    encoder = paper.encoder
    turned = cutout.transpose(0, 3, 2, 1, 4)
    assert differences(encoder, turned)[0] > 1e-2
    weights = dict(tf1_checkpoint.variables(encoder))
    for name in (
        "stage_5/block_b/conv_1/kernel",
        "stage_4/block_a/conv_0/bias",
    ):
        weight = weights[f"{BASE}/{name}"]
        own = np.array(weight)
        other = np.moveaxis(own, 0, 2) if own.ndim == 5 else np.flip(own)
        weight.assign(other)
        changed = differences(encoder, cutout)
        weight.assign(own)
        assert min(changed) > 1e-3, name


def test_a_variable_for_each_weight():
    """What is not read has the names of renormalisation."""
    encoder = model.Encoder()
    encoder.build()
    ours = {n: tuple(w.shape) for n, w in tf1_checkpoint.variables(encoder)}
    google = checkpoints.shapes()
    assert ours.items() <= google.items()
    assert len(ours) == len(encoder.weights)
    rest = {name.split("/")[-1] for name in google.keys() - ours.keys()}
    assert rest == {"moving_stddev", "renorm_mean", "renorm_stddev"}


def test_both_forms(tmp_path):
    """By names, with an optimizer; and saved again by TensorFlow 2."""
    arrays = checkpoints.small()
    plain = arrays | {
        "global_step": np.int64(7),
        f"{BASE}/stage_1/conv1/kernel/Momentum": np.zeros((7, 7, 7, 1, 2)),
        "simsiam_projection_head_0_0/nl_1/dense/kernel": np.zeros((3, 1)),
        "projection_head_0_1/nl_0/dense/kernel": np.zeros((5, 5)),
    }
    again = {checkpoints.key(name): array for name, array in arrays.items()} | {
        "_CHECKPOINTABLE_OBJECT_GRAPH": b"...",
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(1),
    }
    for number, (keys, more) in enumerate(((plain, 4), (again, 2))):
        prefix = checkpoints.write(tmp_path / f"{number}/model.ckpt-1", keys)
        assert tf1_checkpoint.prefix_of(f"{tmp_path}/{number}") == prefix
        found = tf1_checkpoint.load(
            tf1_checkpoint.prefix_of(prefix), (9, 9, 9), (40.0, 32.0, 32.0)
        )
        assert found.encoder.config == {
            "kind": "resnet18",
            "width": 2,
            "embedding": 5,
            "projection": 3,
            "size_zyx": [9, 9, 9],
            "voxel_size_nm": [40.0, 32.0, 32.0],
        }
        for name, weight in tf1_checkpoint.variables(found.encoder):
            np.testing.assert_array_equal(weight, arrays[name], name)
        unread = sum("renorm" in n or "stddev" in n for n in arrays)
        assert found.unused == unread + more


def test_resnet50(tmp_path):
    """Three convolutions in a block, the last of which is wide."""
    made = model.Encoder("resnet50", width=2, embedding=5, projection=3)
    made.build()
    arrays = {n: np.array(w) for n, w in tf1_checkpoint.variables(made)}
    last = "base_model_0/resnet50/stage_4/block_f/conv_2/kernel"
    assert arrays[last].shape == (1, 1, 1, 8, 32)
    prefix = checkpoints.write(tmp_path / "model.ckpt", arrays)
    found = tf1_checkpoint.load(prefix).encoder
    assert found.config == made.config
    for ours, theirs in zip(found.weights, made.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_projection_head(tmp_path):
    """A new one, the same each time."""
    arrays = {
        name: array
        for name, array in checkpoints.small().items()
        if not name.startswith("projection_head")
    }
    prefix = checkpoints.write(tmp_path / "model.ckpt", arrays)
    one, other = (tf1_checkpoint.load(prefix) for _ in range(2))
    assert not one.has_projection
    assert one.encoder.config["projection"] == 16
    for a, b in zip(one.encoder.weights, other.encoder.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, array in tf1_checkpoint.variables(one.encoder):
        np.testing.assert_array_equal(array, arrays.get(name, array))
    spread = np.std(one.encoder.projection.dense[0].kernel)
    assert 0.005 < spread < 0.015


def without(arrays, part):
    return {name: a for name, a in arrays.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda a: without(a, "stage_3/block_b/bn_1/beta"),
            r"parts of it are missing.* 1 of 156 variables differ: "
            rf"{BASE}/stage_3/block_b/bn_1/beta: found nothing, "
            r"expected \(4,\)",
            id="missing",
        ),
        pytest.param(
            lambda a: without(a, "bottleneck_head_0"),
            r"bottleneck_head_0/nl_0/dense/kernel: found nothing, expected "
            r"\(16, 16\)",
            id="no bottleneck",
        ),
        pytest.param(
            lambda a: a | {f"{BASE}/stage_1/conv1/bias": np.zeros(3)},
            r"stage_1/conv1/bias: found \(3,\), expected \(2,\)",
            id="shape",
        ),
        pytest.param(
            lambda a: a | {f"{BASE}/stage_1/conv1/kernel": np.zeros(())},
            r"stage_1/conv1/kernel: found \(\), expected \(7, 7, 7, 1, 2\)",
            id="scalar",
        ),
        pytest.param(
            lambda a: a | {"bottleneck_head_0/nl_3/dense/kernel": np.eye(5)},
            r"bottleneck_head_0/nl_3/dense/kernel: found \(5, 5\), expected "
            "nothing",
            id="four layers",
        ),
        pytest.param(
            lambda a: {
                n.replace("resnet18", "resnet101"): v for n, v in a.items()
            },
            r"is of \['resnet101'\]: expected one of \['resnet10', 'resnet18'",
            id="resnet101",
        ),
        pytest.param(
            lambda a: (
                a | {"base_model_1/resnet18/stage_1/bn1/beta": np.zeros(2)}
            ),
            "several networks, one for each channel",
            id="channels",
        ),
        pytest.param(
            lambda a: {"dense/kernel": np.zeros(2)},
            r"not an encoder of connectomics/segclr. It holds: "
            r"\['dense/kernel'\]",
            id="other",
        ),
        pytest.param(
            lambda a: {"seed_update/conv0_a/weights": np.zeros(2)},
            r"google/ffn network, which ffn_tf\.import_checkpoint reads",
            id="google/ffn",
        ),
        pytest.param(
            lambda a: a | {f"{BASE}/stage_1/bn1/beta": np.float32([1, np.nan])},
            "are NaN or infinite",
            id="NaN",
        ),
    ],
)
def test_other_networks(tmp_path, change, message):
    arrays = change(checkpoints.small())
    prefix = checkpoints.write(tmp_path / "model.ckpt", arrays)
    with pytest.raises(ValueError, match=message) as caught:
        tf1_checkpoint.load(prefix)
    assert prefix in str(caught.value)


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("is_gone", [False, True])
def test_damaged_files(tmp_path, suffix, is_gone):
    prefix = checkpoints.write(tmp_path / "model.ckpt", checkpoints.small())
    path = f"{prefix}.{suffix}"
    os.truncate(path, os.path.getsize(path) // 2)
    if is_gone:
        os.remove(path)
    with pytest.raises(ValueError, match="copy both of its files again"):
        tf1_checkpoint.load(prefix)


def test_what_names_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder with one file"):
        tf1_checkpoint.prefix_of(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="folder with one file"):
        tf1_checkpoint.prefix_of(f"{tmp_path}/model.ckpt-1")
    with pytest.raises(ValueError, match="Copy its files first"):
        tf1_checkpoint.prefix_of("gs://a/b")
    (tmp_path / "model.json").touch()
    with pytest.raises(FileNotFoundError, match="of this package already"):
        tf1_checkpoint.prefix_of(str(tmp_path))
    for step in (1, 2):
        (tmp_path / f"model.ckpt-{step}.index").touch()
    with pytest.raises(ValueError, match=r"2 checkpoints.*: model\.ckpt-1\.i"):
        tf1_checkpoint.prefix_of(str(tmp_path))
    prefix = f"{tmp_path}/model.ckpt-2"
    assert tf1_checkpoint.prefix_of(prefix) == prefix
