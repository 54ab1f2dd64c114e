"""The batch size that is found by itself."""

import keras
import pytest

from ffn_tf import model
from ffn_tf.inference import batch_size, device, field
from ffn_tf.inference import options as options_lib


@pytest.mark.parametrize(
    ("seconds", "most", "expected", "tried"),
    [
        ({1: 10, 2: 6, 4: 5, 8: 4.8}, 8, 4, [1, 2, 4, 8]),  # 4 % is too little.
        ({1: 10, 2: 6, 4: 5, 8: 4.7, 11: 4}, 11, 11, [1, 2, 4, 8, 11]),
        ({1: 10, 2: 9.6, 4: 1}, 4, 1, [1, 2]),
        ({1: 10, 2: 6, 3: 3}, 3, 3, [1, 2, 3]),
        ({}, 1, 1, []),  # Nothing to measure.
    ],
)
def test_doubled_while_it_pays(seconds, most, expected, tried):
    asked = []

    def measured(size):
        asked.append(size)
        return seconds[size]

    assert batch_size.doubled(measured, most) == expected
    assert asked == tried


@pytest.fixture
def asked():
    keras.utils.set_random_seed(5)
    view = model.FieldOfView((5, 7, 9), (1, 2, 3))
    network = model.ConvStack(depth=1, features=2, view=view)
    network.build()
    options = options_lib.InferenceOptions()
    return network, field.Rule.of(options, view.size, view.deltas), "float32"


def test_on_a_device_it_is_measured(asked, monkeypatch):
    seen = []

    def doubled(seconds, most):
        seen.append((seconds(most), most))
        return most

    monkeypatch.setattr(batch_size, "doubled", doubled)
    monkeypatch.setattr(device, "has_accelerator", lambda: True)
    assert batch_size.found(*asked, 2, 1) == 2
    [(seconds, most)] = seen
    assert 0 < seconds < 10
    assert most == 2
    assert batch_size.found(*asked, 2, 3) == 3  # As many as are in flight.
    assert batch_size.found(*asked, 2, 1, False) == 1
    assert len(seen) == 2


def test_one_where_there_is_none(asked, monkeypatch):
    monkeypatch.setattr(batch_size, "doubled", None)
    monkeypatch.setattr(device, "has_accelerator", lambda: False)
    assert batch_size.found(*asked, 64, 1) == 1
    assert batch_size.found(*asked, 64, 4) == 4


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"batch_size": []}'])
def test_nothing_is_recorded(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert batch_size.recorded(tmp_path) is None


def test_recorded(tmp_path):
    (tmp_path / "run.json").write_text('{"batch_size": 12}')
    assert batch_size.recorded(tmp_path) == 12
