"""Steps: google/ffn's loss and clipping, optimizers, averages."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf import model
from ffn_tf.training import moves, step

VIEW = model.FieldOfView((7, 7, 9), (2, 2, 2))
PLAIN = step.OptimizerOptions(learning_rate=0.1)


def _network(seed: int = 0) -> model.ConvStack:
    network = model.ConvStack(depth=2, features=3, view=VIEW)
    network.build()
    rng = np.random.default_rng(seed)
    network.set_weights(
        [rng.normal(0, 0.2, w.shape) for w in network.get_weights()]
    )
    return network


def _views(count: int = 2, seed: int = 0) -> list[moves.View]:
    rng = np.random.default_rng(seed)
    return [
        moves.View(
            rng.normal(size=VIEW.size).astype(np.float32),
            np.full(VIEW.size, -3, np.float32),
            rng.choice([0.05, 0.95], VIEW.size).astype(np.float32),
            rng.choice([0, 1], VIEW.size).astype(np.float32),
        )
        for _ in range(count)
    ]


def _made(
    options: step.OptimizerOptions = PLAIN, seed: int = 0
) -> step.TrainStep:
    return step.TrainStep(_network(seed), options, 2, 100)


def test_logits_and_loss() -> None:
    views = _views()
    made = _made()
    expected = np.stack(
        [
            np.asarray(
                made.network(
                    [v.image[None, ..., None], v.seed[None, ..., None]]
                )
            )[0, ..., 0]
            for v in views
        ]
    )
    logits, loss = made(views, 0)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    labels = np.stack([v.labels for v in views])
    weights = np.stack([v.weights for v in views])
    entropy = np.logaddexp(0, expected) - labels * expected
    assert loss == pytest.approx((entropy * weights).mean(), rel=1e-5)


def test_a_strategy_is_where_it_runs() -> None:
    plain = dataclasses.replace(PLAIN, optimizer="adam", ema_decay=0.9)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        network = _network()
    made = step.TrainStep(network, plain, 2, 100, strategy=strategy)
    expected = _made(plain)
    for at in range(3):
        logits, loss = made(_views(seed=at), at)
        wanted, wanted_loss = expected(_views(seed=at), at)
        np.testing.assert_array_equal(logits, wanted)
        assert loss == wanted_loss
    for one, other in zip(made.average, expected.average):
        np.testing.assert_array_equal(one, other)


def test_compiled_by_xla_is_close() -> None:
    made = step.TrainStep(_network(), PLAIN, 2, 100, compile_xla=True)
    logits, loss = made(_views(), 0)
    wanted, wanted_loss = _made()(_views(), 0)
    np.testing.assert_allclose(logits, wanted, atol=1e-4)
    assert loss == pytest.approx(wanted_loss, rel=1e-5)


def test_voxels_without_weight_do_not_matter() -> None:
    found = []
    for flip in (False, True):
        views = _views()
        if flip:
            views = [
                v._replace(labels=np.where(v.weights > 0, v.labels, 0.5))
                for v in views
            ]
        made = _made()
        made(views, 0)
        found.append(made.average)
    for one, other in zip(*found):
        np.testing.assert_array_equal(one, other)


def test_each_element_is_clipped() -> None:
    options = dataclasses.replace(PLAIN, gradient_clip=1e-4)
    made = _made(options)
    before = made.average
    made(_views(), 0)
    changes = [abs(a - b) for a, b in zip(made.average, before)]
    largest = max(change.max() for change in changes)
    assert largest == pytest.approx(0.1 * 1e-4, rel=1e-2)
    assert sum((c > 0.9e-5).sum() for c in changes) > 10


@pytest.mark.parametrize("name", step.OPTIMIZERS)
def test_each_optimizer_lowers_the_loss(name: str) -> None:
    options = dataclasses.replace(PLAIN, optimizer=name, learning_rate=0.01)
    made = _made(options)
    views = _views()
    losses = [made(views, number)[1] for number in range(15)]
    assert losses[-1] < losses[0]


def test_rates() -> None:
    stairs = dataclasses.replace(
        PLAIN, learning_rate_decay_factor=0.5, decay_steps=10
    )
    assert [stairs.rate(s, 100) for s in (0, 9, 10, 25)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.025]
    )
    cosine = dataclasses.replace(PLAIN, learning_rate_schedule="cosine")
    assert [cosine.rate(s, 100) for s in (0, 50, 100)] == pytest.approx(
        [0.1, 0.05, 0]
    )
    warm = dataclasses.replace(PLAIN, warmup_steps=4)
    assert [warm.rate(s, 100) for s in (0, 1, 3, 9)] == pytest.approx(
        [0.025, 0.05, 0.1, 0.1]
    )
    made = _made(stairs)
    made(_views(), 25)
    assert made.learning_rate == pytest.approx(0.025)


def test_average_of_the_weights() -> None:
    made = _made(dataclasses.replace(PLAIN, ema_decay=0.9))
    average = made.average
    for number in range(3):
        made(_views(seed=number), number)
        weights = [np.asarray(w) for w in made.network.trainable_variables]
        average = [0.9 * a + 0.1 * w for a, w in zip(average, weights)]
    for one, other in zip(made.average, average):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert any((a != w).any() for a, w in zip(average, weights))


@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_goes_on_from_a_state(name: str) -> None:
    options = dataclasses.replace(PLAIN, optimizer=name, ema_decay=0.5)
    whole = _made(options)
    for number in range(4):
        whole(_views(seed=number), number)
        if number == 1:
            state = whole.state()
    rest = _made(options, seed=9)
    rest.restore(state)
    for number in (2, 3):
        rest(_views(seed=number), number)
    for key, value in whole.state().items():
        np.testing.assert_array_equal(value, rest.state()[key])


def test_states_of_others() -> None:
    state = _made().state()
    with pytest.raises(ValueError, match="another network or optimizer"):
        _made(dataclasses.replace(PLAIN, optimizer="adam")).restore(state)
    wider = model.ConvStack(depth=2, features=4, view=VIEW)
    wider.build()
    with pytest.raises(ValueError, match="of another network"):
        step.TrainStep(wider, PLAIN, 2, 100).restore(state)


def test_bfloat16_is_close() -> None:
    network = model.ConvStack(
        depth=2, features=3, view=VIEW, dtype="mixed_bfloat16"
    )
    network.build()
    network.set_weights(_network().get_weights())
    made = step.TrainStep(network, PLAIN, 2, 100)
    logits, loss = made(_views(), 0)
    exact, exact_loss = _made()(_views(), 0)
    assert logits.dtype == np.float32
    assert (logits != exact).any()
    np.testing.assert_allclose(logits, exact, atol=0.05)
    assert loss == pytest.approx(exact_loss, rel=0.01)
    assert all(w.dtype == np.float32 for w in made.average)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decay_steps": 5}, "go together"),
        ({"learning_rate": 0.0}, "must be positive"),
        ({"learning_rate": float("inf")}, "must be positive"),
        ({"ema_decay": 1.0}, "0 <= decay < 1"),
        ({"warmup_steps": -5}, "--warmup_steps: expected at least 0"),
        ({"weight_decay": -1.0}, "--weight_decay: expected at least 0"),
        ({"epsilon": -1e-8}, "--epsilon: expected at least 0"),
        ({"adam_beta1": 1.5}, "--adam_beta1: expected 0 to 1, found 1.5"),
        ({"momentum": float("nan")}, "--momentum: expected 0 to 1, found nan"),
        (
            {"decay_steps": 0, "learning_rate_decay_factor": 0.5},
            "--decay_steps and --learning_rate_decay_factor must be positive",
        ),
        (
            {"decay_steps": 5, "learning_rate_decay_factor": -0.5},
            "--decay_steps and --learning_rate_decay_factor must be positive",
        ),
        (
            {
                "decay_steps": 5,
                "learning_rate_decay_factor": 0.5,
                "learning_rate_schedule": "cosine",
            },
            "constant schedule",
        ),
    ],
)
def test_options_that_do_not_go_together(
    changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(PLAIN, **changes)  # type: ignore[arg-type]
