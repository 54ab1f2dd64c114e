"""Layers: what is chosen from the data."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.viewer import layers


def image(voxels):
    return volume.from_array(voxels).described(kind="image")


def ramp(dtype, low, high):
    """Values from low to high, all over the volume, and a hole of 0."""
    rng = np.random.default_rng(0)
    voxels = rng.uniform(low, high, (40, 50, 60)).astype(dtype)
    voxels[:10] = 0
    return voxels


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32])
def test_grey_range(dtype):
    low, high = layers.grey_range(image(ramp(dtype, 60, 120)))
    assert (low, high) == (60, 119)
    assert isinstance(low, int) and isinstance(high, int)


def test_grey_range_of_floats():
    voxels = ramp(np.float32, -0.5, 0.5)
    voxels[20] = np.nan
    low, high = layers.grey_range(image(voxels))
    assert low == pytest.approx(-0.499, abs=0.002)
    assert high == pytest.approx(0.499, abs=0.002)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (np.uint8, 0, (0, 255)),
        (np.uint16, 7, (0, 65535)),
        (np.float32, np.nan, (0, 1)),
        (bool, True, (0, 1)),
    ],
)
def test_grey_range_of_nothing(dtype, value, expected):
    found = layers.grey_range(image(np.full((3, 4, 5), value, dtype)))
    assert found == expected


def test_two_values():
    voxels = np.ones((3, 4, 5), np.uint8)
    voxels[0, 0, 0] = 2
    assert layers.grey_range(image(voxels)) == (1, 2)


def test_image():
    made = layers.image("em", image(ramp(np.uint8, 60, 120)), 0.5)
    assert made == {
        "type": "image",
        "name": "em",
        "opacity": 0.5,
        "shaderControls": {"normalized": {"range": [60, 119]}},
    }


def test_segmentation():
    plain = layers.segmentation("s")
    assert (plain["type"], plain["name"]) == ("segmentation", "s")
    assert "segments" not in plain
    chosen = layers.segmentation("s", [2**63 + 1, 3])
    assert chosen["segments"] == [f"{2**63 + 1}", "3"]
    assert 0 < chosen["notSelectedAlpha"] < 0.5


def test_largest_segments(monkeypatch):
    labels = np.repeat([0, 2**60, 7, 3], [400, 100, 200, 300])
    labels = labels.astype(np.uint64).reshape(10, 10, 10)
    opened = volume.from_array(labels)
    assert layers.largest_segments(opened) == [3, 7, 2**60]
    monkeypatch.setattr(layers, "_MOST_CHOSEN", 2)
    assert layers.largest_segments(opened) == [3, 7]
    monkeypatch.setattr(layers, "_MOST_COUNTED", 999)
    assert layers.largest_segments(opened) == []


def test_points():
    dimensions = {"x": [1e-9, "m"]}
    made = layers.points("p", np.array([[1, 2, 3], [4, 5, 6]]), dimensions)
    assert made["source"]["url"] == "local://annotations"
    assert made["source"]["transform"] == {"outputDimensions": dimensions}
    assert made["annotations"] == [
        {"type": "point", "id": "0", "point": [3.5, 2.5, 1.5]},
        {"type": "point", "id": "1", "point": [6.5, 5.5, 4.5]},
    ]
