"""The step of canvases that live on the device, in keras.ops.

    images, canvases   [slot, z, y, x] float32; each canvas has a slot; NaN in
                       canvases: untouched
    orders             [batch, ...] int32: which fields of view
    answers            [batch, ...] float32: what their canvases must know

so that the host moves a few hundred bytes for each field of view.

    order:   slot | corner z, y, x | is real | is first | watched voxels
    answer:  maxima of the faces | their places | deleted | watched logits

A row that is not real fills the batch: nothing is written. One that is first
begins an object, at its centre. Watched voxels are z, y, x each; their logits
are those after the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops
import numpy as np

from ffn_tf.inference import device, field, keepsakes

_HEAD = 6  # Columns of an order before the watched voxels.
ORDER = _HEAD + 3 * field.WATCHED

Network = Callable[..., Any]  # See model.ConvStack.


def step(
    network: Network,
    rule: field.Rule,
    canvases: Any,
    images: Any,
    orders: Any,
) -> tuple[Any, Any]:
    """One step of each order: (canvases, answers).

    A field of view is stepped as field.HostField does it. Two orders of a batch
    must not overlap.
    """
    batch = orders.shape[0]
    corners = [orders[index, :4] for index in range(batch)]
    size = (1, *rule.size)
    is_real, is_first = (
        ops.reshape(orders[:, column] > 0, (batch, 1, 1, 1))
        for column in (4, 5)
    )

    def gathered(arrays: Any) -> Any:
        return ops.concatenate([device.part(arrays, c, size) for c in corners])

    before = ops.where(
        is_first & _is_centre(rule.size), rule.init, gathered(canvases)
    )
    seed = ops.where(ops.isnan(before), rule.pad, before)
    inputs = [gathered(images)[..., None], seed[..., None]]
    logits = network(inputs, training=False)[..., 0]
    if rule.most_moving is not None:
        moving = ops.sum(
            ops.cast(logits >= rule.move, "int32"), (1, 2, 3), keepdims=True
        )
        # A comparison with NaN is false, so untouched voxels are exempt.
        rose = (before < 0) & (logits > before)
        logits = ops.where(rose & (moving > rule.most_moving), before, logits)
    for index, corner in enumerate(corners):
        there = device.part(canvases, corner, size)
        new = ops.where(is_real[index], logits[index][None], there)
        canvases = ops.slice_update(canvases, corner, new)
    deleted = (before >= keepsakes.SURE) & (logits < 0)
    answers = [
        *_maxima(rule, logits),
        ops.sum(ops.cast(deleted, "float32"), (1, 2, 3))[:, None],
        _watched(canvases, orders),
    ]
    return canvases, ops.concatenate(answers, axis=1)


def _is_centre(size: Sequence[int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[tuple(n // 2 for n in size)] = True
    return mask


def _maxima(rule: field.Rule, logits: Any) -> tuple[Any, Any]:
    """Of each face the maximum, and the place of the first such voxel."""
    none = logits[:, 0, 0, :0]
    scores, places = [none], [none]
    for slices in rule.faces.slices:
        face = ops.reshape(
            logits[(slice(None), *slices)], (logits.shape[0], -1)
        )
        score = ops.max(face, axis=1, keepdims=True)
        count = face.shape[1]
        # Of equal maxima argmax may give any, on some devices.
        place = np.arange(count, dtype=np.float32)
        is_maximum = ops.equal(face, score)
        found = ops.where(is_maximum, place, np.float32(count))
        scores.append(score)
        places.append(ops.min(found, axis=1, keepdims=True))
    return ops.concatenate(scores, axis=1), ops.concatenate(places, axis=1)


def _watched(canvases: Any, orders: Any) -> Any:
    """Logits [batch, n] of the watched voxels."""
    _, depth, height, width = canvases.shape
    z, y, x = (orders[:, _HEAD + axis :: 3] for axis in range(3))
    # Lines are counted through; voxels would not fit into 32 bits.
    lines = (orders[:, :1] * depth + z) * height + y
    found = ops.take(
        ops.reshape(canvases, (-1, width)), ops.reshape(lines, (-1,)), axis=0
    )
    found = ops.take_along_axis(found, ops.reshape(x, (-1, 1)), axis=1)
    return ops.reshape(found, z.shape)
