"""Grey values: normalised, sampled, doubted."""

import numpy as np
import pytest

from ffn_tf.inference import intensity


def test_normalised_is_float32_throughout():
    raw = np.array([[[95, 128, 161]]], np.uint8)
    found = intensity.normalised(raw, 128, 33)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[[-1, 0, 1]]])


@pytest.mark.parametrize(
    ("mean", "stddev", "doubted"),
    [
        (128, 33, False),
        (100, 33, False),
        (90, 33, True),
        (128, 17, False),
        (128, 14, True),
        (128, 70, True),
        (0, 1, True),
    ],
)
def test_doubt(mean, stddev, doubted):
    """Voxels of mean 128 and standard deviation 30; 0 is no tissue."""
    raw = np.tile(np.float32([98, 158]), 50)
    padded = [raw, np.zeros(500), np.full(9, np.nan)]
    found = intensity.doubt(padded, mean, stddev)
    assert bool(found) == doubted
    if doubted:
        assert "mean 128 and standard deviation 30" in found
        assert f"--image_stddev={stddev} " in found


def test_nothing_to_doubt_where_there_is_nothing():
    assert intensity.doubt([np.zeros((3, 3, 3))], 128, 33) == ""
