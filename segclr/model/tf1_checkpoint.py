"""(3) The released checkpoints: TensorFlow 1 variables -> our encoder.

A checkpoint is a prefix of `<prefix>.index` and `<prefix>.data-00000-of-00001`.
In it a variable has its name; or, where TensorFlow 2 saved it again
(`model.ckpt-N...tf2resaved-1`, the released ones), the name in a longer key:

    base_model_0/resnet18/stage_1/conv1/kernel
    _tf1_style_var_store/_vars/
        base_model_0.Sresnet18.Sstage_1.Sconv1.Skernel/.ATTRIBUTES/VARIABLE_VALUE

Names, of google-research/connectomics, and which of our layers get them:

    base_model_0/KIND/stage_1/{conv1, bn1}            resnet: stem, stem_norm
    base_model_0/KIND/stage_S/block_B/conv_I, bn_I    resnet: block, its convs
                                .../shortcut_{conv,bn}    and norms, shortcut
    bottleneck_head_0/nl_I/{dense, nl_I_bn}           bottleneck
    projection_head_0_0/nl_I/{dense, nl_I_bn}         projection; may be missing

Below each: kernel, bias (convolutions only), or gamma, beta, moving_mean,
moving_variance. Sizes follow from the shapes; the size of cutouts and of voxels
is not in the file. Left out are what only training reads: moving_stddev,
renorm_mean, renorm_stddev, optimizer slots (.../Momentum), the step, other
heads.

Axes. Kernels are [z, y, x, in, out], as ours, and nothing is transposed. The
public network takes [batch, z, y, x, channel], as its resnet.py has it of each
block; and a laboratory's public code turns CloudVolume's [x, y, z] cutouts to
[z, y, x] before it shows them to the released checkpoints. (What speaks of x,
y, z is the public input pipeline of TensorFlow 2, for a network of which there
are no weights.) Shapes cannot tell: cutouts are cubes. Training permuted their
axes, so that embeddings in another order would only be somewhat off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import os
import pathlib
from typing import Any

import keras
import numpy as np

from ffn_tf.model import folder as folder_lib
from ffn_tf.program import quiet
from segclr.model import encoder as encoder_lib
from segclr.model import resnet

_BASE = "base_model_0/"
_BOTTLENECK = "bottleneck_head_0/"
_PROJECTION = "projection_head_0_0/"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# What a layer is made of; whatever else is there, only training reads.
_PARTS = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"}

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Imported:
    """What was in a checkpoint.

    Attributes:
      encoder: with its weights.
      has_projection: whether the head that only training needs was there.
        Otherwise it is a new one, always the same.
      unused: variables that were left out.
    """

    encoder: encoder_lib.Encoder
    has_projection: bool
    unused: int


def prefix_of(checkpoint: str) -> str:
    """The prefix of a checkpoint, given as such, or as a folder of only one.

    Raises:
      FileNotFoundError: no checkpoint.
      ValueError: several, or not on this machine.
    """
    if "://" in checkpoint:
        raise ValueError(
            f"{checkpoint!r} is not on this machine. Copy its files first, as "
            f"with: gcloud storage cp --recursive {checkpoint} ."
        )
    if os.path.exists(checkpoint + ".index"):
        return checkpoint
    folder = pathlib.Path(checkpoint)
    found = sorted(folder.glob("*.index")) if folder.is_dir() else []
    if len(found) > 1:
        raise ValueError(
            f"{checkpoint!r} holds {len(found)} checkpoints, expected one: "
            f"{', '.join(path.name for path in found[:4])}. Give the path of "
            f"one of them, without .index."
        )
    if not found:
        ours = (folder / "model.json").exists()
        raise FileNotFoundError(
            f"No TensorFlow checkpoint at {checkpoint!r}: "
            + (
                "it is a network of this package already (segclr.embed "
                "--encoder)."
                if ours
                else "expected a folder with one file .index beside its .data "
                "file, or their path without either suffix."
            )
        )
    return str(found[0]).removesuffix(".index")


def load(
    prefix: str,
    size_zyx: tuple[int, int, int] = (129, 129, 129),
    voxel_size_nm: tuple[float, float, float] = (33.0, 32.0, 32.0),
) -> Imported:
    """The encoder of a checkpoint.

    Args:
      prefix: its files without their suffixes (`prefix_of`).
      size_zyx, voxel_size_nm: of the cutouts that it was trained with.

    Raises:
      ValueError: damaged files, or another network.
    """
    quiet.import_tensorflow()
    import tensorflow as tf

    damage = (tf.errors.OpError, IndexError, RuntimeError, ValueError)
    try:
        reader = tf.train.load_checkpoint(prefix)
        keys = {_name(k): k for k in reader.get_variable_to_shape_map()}
        shapes = {
            name: tuple(reader.get_variable_to_shape_map()[key])
            for name, key in keys.items()
        }
    except damage as error:
        raise _damaged(prefix, error) from error
    encoder = _described(prefix, shapes, size_zyx, voxel_size_nm)
    weights = dict(variables(encoder))
    has_projection = any(name.startswith(_PROJECTION) for name in shapes)
    if not has_projection:
        _begin(encoder.projection)
        weights = {
            name: weight
            for name, weight in weights.items()
            if not name.startswith(_PROJECTION)
        }
    _check(prefix, shapes, {n: tuple(w.shape) for n, w in weights.items()})
    try:
        for name, weight in weights.items():
            weight.assign(reader.get_tensor(keys[name]))
    except damage as error:
        raise _damaged(prefix, error) from error
    folder_lib.refuse_not_finite(encoder, prefix)
    return Imported(encoder, has_projection, len(shapes) - len(weights))


def _damaged(prefix: str, error: Exception) -> ValueError:
    return ValueError(
        f"The checkpoint {prefix!r} cannot be read; it is truncated, damaged "
        f"or incomplete, so copy both of its files again: {error}"
    )


def _name(key: str) -> str:
    """The name of a variable, of which TensorFlow 2 makes a longer key."""
    if not key.endswith(_VALUE):
        return key
    return key.removesuffix(_VALUE).split("/")[-1].replace(".S", "/")


def _described(
    prefix: str,
    shapes: Mapping[str, Shape],
    size_zyx: tuple[int, int, int],
    voxel_size_nm: tuple[float, float, float],
) -> encoder_lib.Encoder:
    """An encoder of a checkpoint's kind and sizes, built."""
    kind = _kind(prefix, shapes)

    def outputs(layer: str, norm: str, otherwise: int) -> int:
        found = shapes.get(f"{layer}/kernel") or shapes.get(f"{norm}/gamma")
        return (found or (otherwise,))[-1]

    stem, last = f"{_BASE}{kind}/stage_1", "nl_2"
    sizes = [
        outputs(f"{head}{last}/dense", f"{head}{last}/{last}_bn", otherwise)
        for head, otherwise in ((_BOTTLENECK, 64), (_PROJECTION, 16))
    ]
    encoder = encoder_lib.Encoder(
        kind,
        width=outputs(f"{stem}/conv1", f"{stem}/bn1", 64),
        embedding=sizes[0],
        projection=sizes[1],
        size_zyx=size_zyx,
        voxel_size_nm=voxel_size_nm,
    )
    encoder.build()
    return encoder


def _kind(prefix: str, shapes: Mapping[str, Shape]) -> str:
    """resnet18, say, from the names."""
    kinds = {n.split("/")[1] for n in shapes if n.startswith(_BASE)}
    if not kinds:
        is_ffn = any(name.startswith("seed_update/") for name in shapes)
        raise ValueError(
            f"The checkpoint {prefix!r} holds no variables {_BASE!r}..., so it "
            f"is not an encoder of connectomics/segclr"
            + (
                "; it is a google/ffn network, which ffn_tf.import_checkpoint "
                "reads."
                if is_ffn
                else f". It holds: {sorted(shapes)[:8]}."
            )
        )
    if any(name.startswith("base_model_1/") for name in shapes):
        raise ValueError(
            f"The checkpoint {prefix!r} holds several networks, one for each "
            f"channel of cutouts (base_model_0, base_model_1, ...). Only "
            f"encoders of one channel can be imported."
        )
    known = sorted(kinds & resnet.STAGES.keys())
    if len(kinds) > 1 or not known:
        raise ValueError(
            f"The checkpoint {prefix!r} is of {sorted(kinds)}: expected one of "
            f"{sorted(resnet.STAGES)}. Others cannot be imported."
        )
    return known[0]


def _check(
    prefix: str, shapes: Mapping[str, Shape], expected: Mapping[str, Shape]
) -> None:
    """Raises an error if layers are missing, others, or too many."""
    scopes = (_BASE, _BOTTLENECK, _PROJECTION)
    ours = {
        name
        for name in shapes
        if name.startswith(scopes) and name.split("/")[-1] in _PARTS
    }
    wrong = [
        f"{name}: found {shapes.get(name, 'nothing')}, expected "
        f"{expected.get(name, 'nothing')}"
        for name in sorted(ours | expected.keys())
        if shapes.get(name) != expected.get(name)
    ]
    if wrong:
        raise ValueError(
            f"The checkpoint {prefix!r} is of another network than "
            f"connectomics/segclr's with its default layers (batch "
            f"normalisation, heads of three layers), or parts of it are "
            f"missing, so that it cannot be imported. {len(wrong)} of "
            f"{len(ours | expected.keys())} variables differ: "
            f"{'; '.join(wrong[:4])}."
        )


def variables(
    encoder: encoder_lib.Encoder,
) -> Iterator[tuple[str, keras.Variable]]:
    """(name in a checkpoint, our weight) of all weights."""
    for scope, layer in _layers(encoder):
        for weight in layer.weights:
            yield f"{scope}/{weight.name}", weight


def _layers(encoder: encoder_lib.Encoder) -> Iterator[tuple[str, Any]]:
    """(scope in a checkpoint, our layer) of all layers that have weights."""
    network = encoder.resnet
    base = f"{_BASE}{encoder.config['kind']}"
    yield f"{base}/stage_1/conv1", network.stem
    yield f"{base}/stage_1/bn1", network.stem_norm
    for stage in network.stages:
        for block in stage:
            scope = f"{base}/{block.name.replace('_block_', '/block_')}"
            for layer in (*block.convs, *block.norms):
                yield f"{scope}/{layer.name}", layer
            if block.shortcut is not None:
                yield f"{scope}/shortcut_conv", block.shortcut
                yield f"{scope}/shortcut_bn", block.shortcut_norm
    for scope, head in (
        (_BOTTLENECK, encoder.bottleneck),
        (_PROJECTION, encoder.projection),
    ):
        for i, (dense, norm) in enumerate(zip(head.dense, head.norms)):
            yield f"{scope}nl_{i}/dense", dense
            yield f"{scope}nl_{i}/nl_{i}_bn", norm


def _begin(head: encoder_lib.Head) -> None:
    """A new head, with the same numbers each time."""
    rng = np.random.default_rng(0)
    for dense in head.dense:
        dense.kernel.assign(rng.normal(0.0, 0.01, dense.kernel.shape))
