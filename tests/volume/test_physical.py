"""Voxel size and origin from other people's metadata."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import physical


@pytest.mark.parametrize(
    "attributes",
    [
        {"resolution": (40, 8, 4), "offset": (80, 8, 40)},
        {"voxel_size": [40.0, 8.0, 4.0], "offset": [80, 8, 40]},
        {
            "element_size_um": np.array([0.04, 0.008, 0.004]),
            "offset": np.array([80, 8, 40]),
        },
    ],
)
def test_attributes(attributes):
    size, start = physical.from_attributes(attributes)
    assert size == pytest.approx((40, 8, 4))
    assert start == (2, 1, 10)
    del attributes["offset"]
    assert physical.from_attributes(attributes) == (size, (0, 0, 0))


@pytest.mark.parametrize(
    "value", [None, 4.0, "4nm", [0, 0, 0], [1, 1], "abc"], ids=str
)
def test_attributes_that_are_not_what_they_seem(value):
    attributes = {"resolution": value, "offset": (80, 8, 40)}
    assert physical.from_attributes(attributes) == (None, (0, 0, 0))


@pytest.mark.parametrize("name", ["resolution", "offset"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_lengths_that_are_not_finite(name, value):
    attributes = {"resolution": (40, 8, 4), "offset": (80, 8, 40)}
    attributes[name] = (value, 8, 4)
    with pytest.raises(ValueError, match="expected finite lengths"):
        physical.from_attributes(attributes)


def test_units():
    units = [ts.Unit("40 nm"), ts.Unit("0.008 um"), ts.Unit(4e-6, "mm")]
    assert physical.from_units(units) == pytest.approx((40, 8, 4))
    assert physical.from_units([None, *units[:2]]) is None
    assert physical.from_units([ts.Unit("2 s"), *units[:2]]) is None
    assert physical.from_units([ts.Unit(""), *units[:2]]) is None


def test_multiscales_with_axes_as_words_and_a_common_transformation():
    """OME-NGFF 0.3 names axes; a transformation after the datasets' own."""
    attributes = {
        "multiscales": [
            {
                "axes": [
                    {"name": a, "type": "space", "unit": "nanometer"}
                    for a in "zyx"
                ],
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 2, 2]}
                ],
                "datasets": [
                    {
                        "path": "a",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [40, 4, 2]},
                            {"type": "translation", "translation": [80, 4, 8]},
                        ],
                    }
                ],
            }
        ]
    }
    found = physical.from_multiscales(attributes, 0)
    assert found == ("a", (40, 8, 4), (2, 1, 4))
    bare = {
        "multiscales": [{"axes": ["z", "y", "x"], "datasets": [{"path": "a"}]}]
    }
    assert physical.from_multiscales(bare, 0) == ("a", None, (0, 0, 0))


lengths = st.floats(0.5, 1000, allow_nan=False)


@hypothesis.given(
    st.tuples(*[st.integers(-(10**6), 10**6)] * 3),
    st.tuples(lengths, lengths, lengths),
    st.sampled_from(["0.4", "0.5"]),
)
def test_an_origin_survives_its_length_in_nanometres(start, size, version):
    info = volume.VolumeInfo(
        volume.Box.from_size(start, (1, 1, 1)), np.uint8, size
    )
    offset = physical.offset_nm(info)
    assert physical.start_voxel(offset, size) == start
    written = physical.to_multiscales([info], version)
    assert physical.from_multiscales(written, 0) == ("0", size, start)


def test_multiscales_before_axes_had_names():
    """OME-NGFF 0.1: no axes, and no sizes to go with them."""
    attributes = {"multiscales": [{"datasets": [{"path": "0/"}]}]}
    assert physical.from_multiscales(attributes, 0) == ("0/", None, (0, 0, 0))
    assert physical.paths_of_multiscales(attributes) == ["0"]
    assert physical.axes_of_multiscales(attributes) == ()


@pytest.mark.parametrize(
    "values", [{"offset": [1, 2, 3]}, {"resolution": 0, "offset": [1, 2, 3]}]
)
def test_an_offset_without_a_voxel_size_is_said_to_be_lost(values, capsys):
    where = f"volume with {values}"
    for _ in range(2):
        assert physical.from_attributes(values, where) == (None, (0, 0, 0))
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {where}: has an `offset`")
    assert said.count("warning") == 1
