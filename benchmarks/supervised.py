"""What SegCLR is measured against: a network of labels alone, and shapes.

`probabilities` trains the encoder's own network, from nothing, on cutouts and
their labels. `shapes` are what skeletons and radii say of a node, without a
look at the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ffn_tf import program
from segclr import model
from segclr.classification import fitting
from segclr.cutouts import reading
from segclr.embedding import table

_AT_ONCE = 64


def cutouts(
    addresses: tuple[str, str],
    size_zyx: tuple[int, int, int],
    nodes: table.Nodes,
    some: np.ndarray,
) -> np.ndarray:
    """Masked EM around some nodes: [n, z, y, x] uint8.

    Args:
      addresses: of the image and of the segmentation.
      size_zyx: of a cutout.
      nodes: of which.
      some: [n], their numbers.
    """
    found = np.empty((len(some), *size_zyx), np.uint8)
    with reading.Cutouts(*addresses, size_zyx) as opened:
        _fill(found, opened, nodes, some)
    return found


def _fill(
    found: np.ndarray,
    opened: reading.Cutouts,
    nodes: table.Nodes,
    some: np.ndarray,
) -> None:
    starts = range(0, len(some), _AT_ONCE)
    for start in program.watched(starts, len(starts), "Reading", "batches"):
        part = some[start : start + _AT_ONCE]
        voxels = opened.voxels_zyx(nodes.position_nm_zyx[part])
        batch = opened.read(voxels, nodes.segment[part])
        found[start : start + len(part)] = np.rint(
            255 * batch.cutouts("masked_em")
        )


def probabilities(
    like: model.Encoder,
    images: np.ndarray,
    classes: np.ndarray,
    count: int,
    steps: int,
    wanted: np.ndarray,
    batch_size: int = 64,
    seed: int = 0,
) -> np.ndarray:
    """Trains on labelled cutouts; what it says of others.

    Args:
      like: the network is of its kind and size.
      images: [n, z, y, x] uint8, to learn from.
      classes: [n] of them.
      count: of classes.
      steps: of the training.
      wanted: [m, z, y, x] uint8.
      batch_size: of a step.
      seed: of weights and order.

    Returns:
      [m, count] float32.
    """
    keras.utils.set_random_seed(seed)
    config: dict[str, Any] = dict(like.config)
    encoder = model.Encoder(**config)
    encoder.build()
    network = keras.Sequential([encoder.resnet, keras.layers.Dense(count)])
    network.build((None, *images.shape[1:], 1))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=2e-3, warmup_steps=max(1, steps // 20)
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4)
    optimizer.build(network.trainable_variables)
    weight = fitting.weights(classes, count, balance=True)

    @tf.function
    def step(x, y, w):
        with tf.GradientTape() as tape:
            logits = network(x, training=True)
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.reduce_mean(each * w)
        variables = network.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return loss

    rng = np.random.default_rng([seed, 3])
    batches = _batches(rng, len(images), min(batch_size, len(images)))
    for _ in program.watched(range(steps), steps, "Supervised", "steps"):
        some = next(batches)
        x = _turned(images[some], rng)
        step(_scaled(x), classes[some].astype(np.int32), weight[some])
    said = tf.function(lambda x: tf.nn.softmax(network(x, training=False)))
    found = [
        said(_scaled(wanted[i : i + _AT_ONCE])).numpy()
        for i in range(0, len(wanted), _AT_ONCE)
    ]
    return np.concatenate(found)


def _batches(
    rng: np.random.Generator, count: int, size: int
) -> Iterator[np.ndarray]:
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def _scaled(images: np.ndarray) -> np.ndarray:
    return images[..., None].astype(np.float32) / np.float32(255)


def _turned(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flipped and turned, each in its own way."""
    found = np.empty_like(images)
    for i, image in enumerate(images):
        for axis in np.flatnonzero(rng.uniform(size=3) < 0.5).tolist():
            image = np.flip(image, axis)
        found[i] = image.transpose(rng.permutation(3))
    return found


def shapes(nodes: table.Nodes, links: np.ndarray) -> np.ndarray:
    """Of each node: radius, those of its neighbours, its segment's size.

    Args:
      nodes: with radii.
      links: [m, 2] edges among them.

    Returns:
      [n, 7] float32: logarithms of the radius, of the least and greatest of
      the neighbours', of the segment's median and greatest radius, of its
      number of nodes, and the node's number of neighbours.
    """
    radius = np.maximum(nodes.radius_nm.astype(np.float64), 1.0)
    low, high = radius.copy(), radius.copy()
    degree = np.zeros(len(radius))
    for one, two in (links.T, links.T[[1, 0]]):
        np.minimum.at(low, one, radius[two])
        np.maximum.at(high, one, radius[two])
        np.add.at(degree, one, 1)
    _, row, counts = np.unique(
        nodes.segment, return_inverse=True, return_counts=True
    )
    greatest = np.zeros(len(counts))
    np.maximum.at(greatest, row, radius)
    order = np.lexsort((radius, row))
    middles = np.cumsum(counts) - counts + counts // 2
    median = radius[order][middles]
    columns = [
        *(radius, low, high, median[row], greatest[row], counts[row]),
    ]
    logs = [np.log(column) for column in columns]
    return np.stack([*logs, degree], axis=1).astype(np.float32)
