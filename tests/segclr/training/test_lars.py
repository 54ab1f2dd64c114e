"""LARS: one step and several by hand; what is left plain."""

import keras
import numpy as np
import pytest

from segclr import model
from segclr.training import lars


def variable(values, name="w"):
    made = keras.Variable(np.array(values, np.float32), name=name)
    return made


def test_steps_by_hand():
    weights = np.array([[3.0, 4.0]])
    gradients = [np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])]
    one = variable(weights)
    optimizer = lars.LARS(0.5, momentum=0.9, decay=0.1, trust=0.01)
    momentum = np.zeros((1, 2))
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [one])
        along = gradient + 0.1 * weights
        ratio = 0.01 * np.linalg.norm(weights) / np.linalg.norm(along)
        momentum = 0.9 * momentum + 0.5 * ratio * along
        weights = weights - momentum
        np.testing.assert_allclose(one, weights, rtol=1e-6)


def test_plain_ones_have_momentum_alone():
    one = variable([1.0, 2.0])
    optimizer = lars.LARS(0.5, momentum=0.5, decay=0.1)
    optimizer.leave_plain([one])
    for expected in ([0.5, 2.0], [-0.25, 2.0]):
        optimizer.apply([keras.ops.convert_to_tensor([1.0, 0.0])], [one])
        np.testing.assert_allclose(one, expected)


@pytest.mark.parametrize(("weight", "gradient"), [(0.0, 1.0), (0.0, 0.0)])
def test_nothing_to_scale_by(weight, gradient):
    one = variable([weight])
    lars_ = lars.LARS(1.0, momentum=0.0)
    lars_.apply([keras.ops.convert_to_tensor([gradient])], [one])
    np.testing.assert_allclose(one, [weight - gradient])


def test_a_step_does_not_depend_on_the_gradient_s_size():
    found = []
    for scale in (1.0, 1000.0):
        one = variable([3.0, 4.0])
        optimizer = lars.LARS(1.0, decay=0.0)
        optimizer.apply(
            [scale * keras.ops.convert_to_tensor([1.0, 0.0])], [one]
        )
        found.append(np.asarray(one))
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_biases_and_norms_by_their_layers():
    encoder = model.Encoder(width=2, size_zyx=(9, 9, 9))
    encoder.build()
    plain = {id(v) for v in lars.biases_and_norms(encoder)}
    kernels = [w for w in encoder.trainable_weights if id(w) not in plain]
    assert {w.name for w in kernels} == {"kernel"}
    assert all(w.ndim in (2, 5) for w in kernels)
    # 20 convolutions (stem, 16 in blocks, 4 shortcuts), of which 21; 6 dense.
    assert len(kernels) == 1 + 16 + 4 + 6
    assert len(plain) == 21 + 2 * (21 + 6)


def test_a_schedule_and_files():
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, 8, warmup_target=0.1, warmup_steps=2
    )
    optimizer = lars.LARS(schedule, momentum=0.8)
    again = lars.LARS.from_config(optimizer.get_config())
    assert (again.momentum, again.decay) == (0.8, 1e-4)
    one = variable([1.0])
    rates = []
    for _ in range(4):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.convert_to_tensor([1.0])], [one])
    assert rates[0] == 0 and rates[1] == pytest.approx(0.05)
    assert rates[2] == pytest.approx(0.1) and rates[3] < 0.1
