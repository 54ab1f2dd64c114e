"""What a canvas keeps: probabilities and history, by hand."""

from __future__ import annotations

import numpy as np
from scipy import special

from ffn_tf.inference import keepsakes

NO_OBJECTS = np.zeros((3, 4, 5), np.int32)


def test_probabilities_come_back_to_a_few_thousandths():
    probabilities = np.linspace(0.001, 0.9999, 1000)
    found = keepsakes.quantised(probabilities)
    assert found.dtype == np.uint8 and found.min() == 1
    np.testing.assert_allclose((found - 0.5) / 255, probabilities, atol=0.006)
    assert keepsakes.quantised(np.array([0.6]))[0] == 153  # google/ffn's.


def test_only_voxels_of_objects_have_a_probability():
    initial = NO_OBJECTS.copy()
    initial[0, 0, 0] = 1
    kept = keepsakes.Keepsakes(keepsakes.Keep(probabilities=True), initial)
    where = np.s_[1:3, 1:4, 2:5]
    voxels = np.zeros((2, 3, 3), bool)
    voxels[1, 2, 0] = voxels[0, 0, 0] = True
    logits = np.full((2, 3, 3), 9.0, np.float32)
    logits[1, 2, 0] = special.logit(0.6)
    kept.accepted(2, where, voxels, logits)
    expected = np.zeros(NO_OBJECTS.shape, np.uint8)
    expected[0, 0, 0] = 255
    expected[1, 1, 2] = 254
    expected[2, 3, 2] = 153
    np.testing.assert_array_equal(kept.probabilities, expected)


def test_history_counts_what_was_sure_and_fell_below_half():
    kept = keepsakes.Keepsakes(keepsakes.Keep(history=True), NO_OBJECTS)
    # 1.3 is below p = 0.8.
    before = np.array([np.nan, 1.3, 1.5, 1.5, -1.0], np.float32)
    logits = np.array([-1.0, -1.0, -0.1, 0.1, -2.0], np.float32)
    kept.visited((1, 2, 3), keepsakes.deleted(before, logits))
    kept.forget()  # Given up.
    kept.visited((1, 2, 4), keepsakes.deleted(before, logits))
    kept.visited((1, 2, 2), keepsakes.deleted(logits, logits))
    kept.accepted(7, np.s_[:], NO_OBJECTS > 0, NO_OBJECTS)
    kept.forget()
    assert kept.history == [[7, 1, 2, 4, 1], [7, 1, 2, 2, 0]]


def test_a_state_gives_all_of_it_again():
    asked = keepsakes.Keep(probabilities=True, history=True)
    kept = keepsakes.Keepsakes(asked, NO_OBJECTS)
    ones = np.ones(NO_OBJECTS.shape, np.float32)
    kept.visited((1, 1, 1), 0)
    kept.accepted(1, np.s_[:, :, :], ones > 0, ones)
    kept.forget()
    kept.visited((2, 2, 2), keepsakes.deleted(9 * ones, -ones))
    again = keepsakes.Keepsakes(asked, NO_OBJECTS)
    again.restore(kept.arrays(), kept.values())
    for one in (kept, again):
        one.accepted(2, np.s_[:, :, :], NO_OBJECTS > 0, ones)
    assert again.history == kept.history == [[1, 1, 1, 1, 0], [2, 2, 2, 2, 60]]
    np.testing.assert_array_equal(again.probabilities, kept.probabilities)


def test_what_nobody_asks_for_is_not_kept():
    kept = keepsakes.Keepsakes(keepsakes.NOTHING, NO_OBJECTS)
    ones = np.ones(NO_OBJECTS.shape, np.float32)
    kept.visited((1, 1, 1), 0)
    kept.accepted(1, np.s_[:, :, :], ones > 0, ones)
    assert kept.probabilities is None and kept.history == []
    assert kept.arrays() == {}
