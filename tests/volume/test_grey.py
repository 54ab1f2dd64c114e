"""Grey values: sampled, measured."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import grey


def test_samples_are_spread_over_the_volume():
    """Every voxel differs, so each sample tells where it is from."""
    shape = (6, 9, 12)
    raw = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    image = volume.from_array(raw, start=(100, 200, 300))
    found = grey.samples(image, image.domain, (2, 3, 4))
    assert len(found) == 27
    assert {box.shape for box in found} == {(2, 3, 4)}
    corners = {
        tuple(int(v) for v in np.argwhere(raw == box[0, 0, 0])[0])
        for box in found
    }
    assert corners == {
        (z, y, x) for z in (0, 2, 3) for y in (1, 3, 5) for x in (1, 4, 6)
    }


def test_a_volume_of_one_sample():
    image = volume.from_array(np.ones((2, 3, 4), np.uint8))
    assert len(grey.samples(image, image.domain, (2, 3, 4))) == 1


def test_measured_is_the_tissue():
    rng = np.random.default_rng(0)
    array = rng.normal(120, 30, (90, 80, 70)).clip(1, 255).astype(np.float32)
    array[:, :, :8] = 0  # Outside of the tissue.
    array[45, 40, 30] = np.nan
    mean, stddev = grey.measured(volume.from_array(array))
    assert mean == pytest.approx(120, abs=1)
    assert stddev == pytest.approx(30, abs=1)


@pytest.mark.parametrize("value", [0, 7])
def test_nothing_to_measure(value):
    image = volume.from_array(np.full((5, 6, 7), value, np.uint8))
    with pytest.raises(ValueError, match="one grey value, or none"):
        grey.measured(image)
