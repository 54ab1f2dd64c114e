"""(1) NT-Xent: two views of one neurite find each other among all others.

For each view, which of all the other views is its partner's? The cross-entropy
of that question, from the cosine of the angles between projections, over a
temperature (Chen et al., 2020, SimCLR). The loss of a pair is the sum of its
two views' (not their mean); of a batch, the mean over its pairs:

    all projections equal, n pairs      2 log(2 n - 1)

Negatives are the views of all replicas, so several replicas give the loss of
one that has all their pairs. Views of the same neurite are no negatives, if it
is known which they are: a large neurite is often in a batch twice.
"""

from __future__ import annotations

from typing import Any

import keras

# Taken from logits of what is not to be counted. SimCLR's.
_LARGE = 1e9


def nt_xent(
    first: Any,
    second: Any,
    temperature: float = 0.1,
    *,
    everybody: tuple[Any, Any] | None = None,
    offset: Any = 0,
    neurites: tuple[Any, Any] | None = None,
) -> Any:
    """The loss of a batch.

    Args:
      first, second: [n, d] projections of the views of n pairs, of any length
        but 0.
      temperature: above 0.
      everybody: [m, d] each, the same of all replicas, where there are several.
      offset: the place of the first of the n pairs among the m.
      neurites: ids [n] of the pairs, and [m] of everybody's: pairs of the same
        id are not each other's negatives. By default all are.

    Returns:
      [] float32.
    """
    first, second = (_normalised(x) for x in (first, second))
    firsts, seconds = first, second
    if everybody is not None:
        firsts, seconds = (_normalised(x) for x in everybody)
    count, total = (keras.ops.shape(x)[0] for x in (first, firsts))
    partner = keras.ops.arange(count) + offset
    itself = keras.ops.one_hot(partner, total, dtype="float32")
    ignored = keras.ops.zeros_like(itself)
    if neurites is not None:
        own, all_ids = neurites
        same = own[:, None] == all_ids[None, :]
        ignored = keras.ops.cast(same, "float32") * (1 - itself)
    losses = [
        _cross_entropy(one, others, own, itself, ignored, temperature)
        for one, others, own in (
            (first, seconds, firsts),
            (second, firsts, seconds),
        )
    ]
    return keras.ops.mean(losses[0] + losses[1])


def _cross_entropy(
    one: Any,
    others: Any,
    own: Any,
    itself: Any,
    ignored: Any,
    temperature: float,
) -> Any:
    """[n]: of finding the partner among the others' views and one's own."""
    across = one @ keras.ops.transpose(others) / temperature
    along = one @ keras.ops.transpose(own) / temperature
    across = across - ignored * _LARGE
    along = along - (itself + ignored) * _LARGE
    logits = keras.ops.concatenate([across, along], axis=1)
    found = keras.ops.sum(across * itself, axis=1)
    return keras.ops.logsumexp(logits, axis=1) - found


def accuracy(first: Any, second: Any) -> Any:
    """How often the nearest second view is the partner's; [] float32."""
    cosines = _normalised(first) @ keras.ops.transpose(_normalised(second))
    nearest = keras.ops.argmax(cosines, axis=1)
    right = nearest == keras.ops.arange(keras.ops.shape(cosines)[0])
    return keras.ops.mean(keras.ops.cast(right, "float32"))


def spread(projections: Any) -> Any:
    """1 if they point everywhere, 0 if all are the same: collapsed.

    The standard deviation of each number of the normalised projections over
    the batch, times the root of how many numbers there are; mean.
    """
    normalised = _normalised(projections)
    size = keras.ops.cast(keras.ops.shape(normalised)[1], "float32")
    deviation = keras.ops.std(normalised, axis=0)
    return keras.ops.mean(deviation) * keras.ops.sqrt(size)


def _normalised(x: Any) -> Any:
    return keras.ops.normalize(keras.ops.cast(x, "float32"), axis=-1)
