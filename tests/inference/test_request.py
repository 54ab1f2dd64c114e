"""Requests: google/ffn's text, our value, google/ffn's bytes, and back."""

import dataclasses
import pathlib

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import box_text, protos
from ffn_tf.inference import request as request_lib

DATA = volume.dataset.data_dir()
PUBLISHED = DATA / "fib25/inference_training_sample2.pbtxt"

TEXT = """
image {
  hdf5: "some/em.h5:raw/a"
}
image_mean: 12.5
image_stddev: 2
model_name: "convstack_3d.ConvStack3DFFNModel"
model_args: "{\\"depth\\": 12, \\"fov_size\\": [33, 31, 17]}"
model_checkpoint_path: "model.ckpt-1"
seed_policy: "PolicyGrid3d"
seed_policy_args: "{\\"step\\": 4}"
movement_policy_name: "FaceMaxMovementPolicy"
movement_policy_args: "{\\"deltas\\": [1, 2, 3]}"
segmentation_output_dir: "out"
checkpoint_interval: 7
batch_size: 4
concurrent_requests: 8
inference_options {
  init_activation: 0.95
  pad_value: 0.05
  move_threshold: 0.9
  disco_seed_threshold: -1
  min_boundary_dist { x: 1 y: 2 z: 3 }
  segment_threshold: 0.6
  min_segment_size: 10
}
"""

REQUEST = request_lib.InferenceRequest(
    image="some/em.h5:raw/a",
    model_checkpoint="model.ckpt-1",
    image_mean=12.5,
    image_stddev=2,
    model_args={"depth": 12, "fov_size": [33, 31, 17]},
    options=request_lib.InferenceOptions(
        min_boundary_dist_zyx=(3, 2, 1),
        min_segment_size=10,
        disco_seed_threshold=-1,
    ),
    seed_policy="PolicyGrid3d",
    seed_policy_args={"step": 4},
    movement_policy_name="FaceMaxMovementPolicy",
    movement_policy_args={"deltas": [1, 2, 3]},
    segmentation_output_dir="out",
    batch_size=4,
    concurrent_requests=8,
    checkpoint_interval=7,
)


def _parse_error(text: str) -> str:
    with pytest.raises(ValueError) as error:
        request_lib.parse(text)
    return str(error.value)


def _without(line: str) -> str:
    assert TEXT.count(line) == 1
    return TEXT.replace(line, "")


def test_text_becomes_the_request() -> None:
    assert request_lib.parse(TEXT) == REQUEST


def test_file_becomes_the_request(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.pbtxt"
    path.write_text(TEXT)
    assert request_lib.parse(path) == REQUEST
    assert request_lib.parse(str(path)) == REQUEST


def test_published_request_parses_unchanged() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"no data: {PUBLISHED}")
    request = request_lib.parse(PUBLISHED)
    assert request == request_lib.InferenceRequest(
        image="third_party/neuroproof_examples/training_sample2/"
        "grayscale_maps.h5:raw",
        model_checkpoint="models/fib25/model.ckpt-27465036",
        model_args={"depth": 12, "fov_size": [33] * 3, "deltas": [8] * 3},
        segmentation_output_dir="results/fib25/training2",
        checkpoint_interval=1800,
    )


def test_defaults_are_the_ones_of_the_fib25_network() -> None:
    options = request_lib.InferenceOptions()
    for name, expected in (
        ("init_activation", 0.95),
        ("pad_value", 0.05),
        ("move_threshold", 0.9),
        ("segment_threshold", 0.6),
    ):
        assert getattr(options, name) == float(np.float32(expected))
    assert options.min_boundary_dist_zyx == (1, 1, 1)
    assert options.min_segment_size == 1000
    assert options.disco_seed_threshold == 0.0


@pytest.mark.parametrize("value", [0.95, 0.6, 1 / 3])
def test_a_flag_and_a_text_give_one_float32_number(value: float) -> None:
    text = TEXT.replace("pad_value: 0.05", f"pad_value: {value}")
    stored = protos.parse_text("InferenceRequest", text, "x").inference_options
    ours = request_lib.InferenceOptions(pad_value=value)
    assert ours.pad_value == stored.pad_value != value
    assert request_lib.parse(text).options.pad_value == ours.pad_value


def test_unset_numbers_that_mean_something() -> None:
    options = request_lib.parse(
        _without("disco_seed_threshold: -1").replace(
            "min_boundary_dist { x: 1 y: 2 z: 3 }", ""
        )
    ).options
    assert options.disco_seed_threshold == 0.0  # The rule is on.
    assert options.min_boundary_dist_zyx == (0, 0, 0)


def test_unset_batch_fields() -> None:
    text = _without("batch_size: 4").replace("concurrent_requests: 8", "")
    request = request_lib.parse(text)
    assert (request.batch_size, request.concurrent_requests) == (0, 1)


@pytest.mark.parametrize(
    "line",
    [
        "pad_value: 0.05",
        "init_activation: 0.95",
        "move_threshold: 0.9",
        "segment_threshold: 0.6",
        "image_stddev: 2",
        'seed_policy: "PolicyGrid3d"',
        'model_checkpoint_path: "model.ckpt-1"',
        'model_name: "convstack_3d.ConvStack3DFFNModel"',
    ],
)
def test_unset_numbers_that_cannot_work(line: str) -> None:
    message = _parse_error(_without(line))
    assert f"not set: {line.split(':')[0]}" in message.replace(
        "inference_options.", ""
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("pad_value: 0.05", "pad_value: 0", "pad_value: expected a prob"),
        ("pad_value: 0.05", "pad_value: nan", "pad_value: expected a prob"),
        ("0.95", "1", "init_activation: expected a prob"),
        ("image_stddev: 2", "image_stddev: -1", "image_stddev: expected"),
        ("image_mean: 12.5", "image_mean: inf", "image_mean: expected"),
        ("batch_size: 4", "batch_size: -1", "batch_size: expected 0 or more"),
        ("x: 1 y", "x: -1 y", "min_boundary_dist_zyx: expected"),
        ("t_size: 10", "t_size: -1", "min_segment_size: expected"),
        ("em.h5:raw/a", "em.h5", "expected file:dataset"),
        ("em.h5:raw/a", "em.h5:a:b", "expected file:dataset"),
        ('hdf5: "some/em.h5:raw/a"', "", "image names no volume"),
        ('hdf5: "some/em.h5:raw/a"', 'tensorstore: "{"', "not JSON"),
        ('{\\"step\\": 4}', "{4}", "seed_policy_args: not JSON"),
        ('{\\"step\\": 4}', "[4]", "expected a JSON object, found '[4]'"),
        ('{\\"step\\": 4}', "[" * 99_999, "seed_policy_args: not JSON"),
    ],
)
def test_values_that_cannot_work(old: str, new: str, expected: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    assert expected in _parse_error(text)


@pytest.mark.parametrize(
    ("wrong", "place", "nearest"),
    [
        ('image {\n  hdf: "a:b"\n}', "2:3", "hdf5"),
        ('image { }\nsed_policy: "a"', "2:1", "seed_policy"),
        ("inference_options {\n\n pad: 1 }", "3:2", "pad_value"),
    ],
)
def test_unknown_field_is_one_error_that_helps(
    tmp_path: pathlib.Path, wrong: str, place: str, nearest: str
) -> None:
    path = tmp_path / "a.pbtxt"
    path.write_text(wrong)
    with pytest.raises(ValueError) as error:
        request_lib.parse(path)
    message = str(error.value)
    assert message.startswith(f"{path}:{place}: ")
    assert message.endswith(f"Nearest known field: {nearest}.")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [("batch_size: many {", "1:13"), ("masks {", "1:7"), ("{", "1:1")],
)
def test_other_mistakes_say_where(wrong: str, place: str) -> None:
    assert _parse_error(wrong).startswith(f"inference request:{place}: ")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('reference_histogram: "h"', "reference_histogram"),
        ("histogram_masks { invert: true }", "histogram_masks"),
        ("alignment_options { type: UNKNOWN_ALIGNMENT }", "alignment_options"),
        ("alignment_options { save_raw: true }", "alignment_options.save_raw"),
    ],
)
def test_what_we_do_not_do_is_an_error(field: str, name: str) -> None:
    message = _parse_error(TEXT + field)
    assert f"does not act on {name}" in message


MASKS = """
masks { image { channels { channel: 0 min_value: 3 max_value: 5 } } }
masks { volume { mask { hdf5: "m.h5:mask" } channels { values: 7 } } }
seed_masks { coordinate_expression { expression: "x > 1" } invert: true }
shift_mask { tensorstore: "{\\"driver\\": \\"zarr\\"}" }
shift_mask_scale: 2
shift_mask_threshold: 3
shift_mask_fov { start { x: -1 y: -2 z: 0 } size { x: 3 y: 5 z: 1 } }
init_segmentation { hdf5: "a.h5:b" }
"""


def test_masks_and_what_is_there_already() -> None:
    found = request_lib.parse(TEXT + MASKS)
    assert found.shift_mask == '{"driver": "zarr"}'
    assert (found.shift_mask_scale, found.shift_mask_threshold) == (2, 3)
    assert found.init_segmentation == "a.h5:b"
    box = box_text.parse(found.shift_mask_fov)
    assert box == volume.Box((0, -2, -1), (1, 3, 2))
    masks = protos.parse_text("MaskConfigs", found.masks, "masks")
    assert [m.WhichOneof("source") for m in masks.masks] == ["image", "volume"]
    (seed_mask,) = protos.parse_text(
        "MaskConfigs", found.seed_masks, "seed_masks"
    ).masks
    assert seed_mask.coordinate_expression.expression == "x > 1"
    assert seed_mask.invert
    again = request_lib.from_serialized(request_lib.serialized(found))
    assert again == found


def test_volume_kinds_that_we_do_not_read() -> None:
    text = TEXT.replace('hdf5: "some/em.h5:raw/a"', 'volinfo: "v"')
    assert "image.volinfo" in _parse_error(text)
    text = TEXT.replace('h5:raw/a"', 'h5:raw/a" decorator_specs: "[]"')
    assert "image.decorator_specs" in _parse_error(text)


def test_no_alignment_is_what_we_do() -> None:
    text = TEXT + "alignment_options { type: NO_ALIGNMENT }"
    assert request_lib.parse(text) == REQUEST


def test_tensorstore_spec_becomes_an_address() -> None:
    spec = '{\\"driver\\": \\"n5\\"}'
    text = TEXT.replace('hdf5: "some/em.h5:raw/a"', f'tensorstore: "{spec}"')
    assert request_lib.parse(text).image == '{"driver": "n5"}'


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("a/b.h5:raw", "hdf5"),
        ('{"driver": "n5"}', "tensorstore"),
        ("precomputed://em?mip=1", "address"),
        ("em.h5:raw?channel=1", "address"),
        ("em.zarr", "address"),
        ("em.npz:em", "address"),
    ],
)
def test_every_address_survives(address: str, field: str) -> None:
    request = dataclasses.replace(REQUEST, image=address)
    message = request_lib.to_message(request)
    assert message.image.WhichOneof("volume_path") == field
    data = request_lib.serialized(request)
    assert request_lib.from_serialized(data) == request


@hypothesis.given(
    st.builds(
        request_lib.InferenceOptions,
        init_activation=st.floats(0.01, 0.99),
        pad_value=st.floats(0.01, 0.99),
        move_threshold=st.floats(0.01, 0.99),
        segment_threshold=st.floats(0.01, 0.99),
        min_boundary_dist_zyx=st.tuples(*[st.integers(0, 99)] * 3),
        min_segment_size=st.integers(0, 10**6),
        disco_seed_threshold=st.floats(-1, 1),
    )
)
def test_written_then_read_is_the_same(
    options: request_lib.InferenceOptions,
) -> None:
    request = dataclasses.replace(REQUEST, options=options)
    data = request_lib.serialized(request)
    assert request_lib.from_serialized(data) == request
    assert request_lib.serialized(request_lib.from_serialized(data)) == data


def test_google_ffn_bytes() -> None:
    """Tags and wire types, worked out by hand."""
    data = request_lib.serialized(
        request_lib.InferenceRequest(image="f:d", model_checkpoint="m")
    )
    for expected in (
        b"\x15\x00\x00\x00\x43",  # 2, float: image_mean 128
        b"\x1d\x00\x00\x04\x42",  # 3, float: image_stddev 33
        b"\x6a\x01m",  # 13, string: model_checkpoint_path
        b"\x0d\x33\x33\x73\x3f",  # 1, float: init_activation 0.95
        b"\x32\x06\x08\x01\x10\x01\x18\x01",  # 6: min_boundary_dist
        b"\x8a\x01\x0bPolicyPeaks",  # 17, string: seed_policy
        b"\xc2\x01\x05\x1a\x03f:d",  # 24: image { hdf5 (3) }
        b"\xd8\x01\x00",  # 27, varint: batch_size 0
        b"\xe0\x01\x01",  # 28, varint: concurrent_requests 1
    ):
        assert expected in data


# Written down a second time, from the reference, so that a slip shows.
TAGS = {
    "proto.Vector3j": "x1 y2 z3",
    "BoundingBox": "start1 size2 description3 object_label4",
    "DecoratedVolume": "volinfo1 decorator_specs2 hdf53 tensorstore4",
    "MaskChannelConfig": "channel1 min_value2 max_value3 invert4 values5",
    "MaskConfig": "volume1 image2 coordinate_expression3 invert4",
    "SegmentationSource": "directory1 threshold2 split_cc3 min_size4 mask5",
    "InferenceOptions": "init_activation1 pad_value2 move_threshold3 "
    "disco_seed_threshold5 min_boundary_dist6 segment_threshold7 "
    "min_segment_size8",
    "AlignmentOptions": "type1 save_raw6",
    "InferenceRequest": "image24 image_mean2 image_stddev3 "
    "reference_histogram4 histogram_masks26 masks5 seed_masks30 shift_mask6 "
    "shift_mask_fov22 shift_mask_scale7 shift_mask_threshold8 "
    "movement_policy_name9 movement_policy_args10 model_name11 model_args12 "
    "model_checkpoint_path13 batch_size27 concurrent_requests28 "
    "inference_options14 segmentation_output_dir15 checkpoint_interval16 "
    "seed_policy17 seed_policy_args19 alignment_options20 init_segmentation25",
    "ResegmentationPoint": "id_a1 id_b2 point3",
    "ResegmentationRequest": "inference1 points2 radius5 output_directory6 "
    "subdir_digits7 max_retry_iters8 exclusion_radius9 "
    "segment_recovery_fraction10 init_exclusion_radius11 terminate_early12 "
    "analysis_radius13",
}


@pytest.mark.parametrize("name", TAGS)
def test_tags(name: str) -> None:
    fields = protos.message_class(name).DESCRIPTOR.fields
    found = {f"{f.name}{f.number}" for f in fields} - {"address1000"}
    assert found == set(TAGS[name].split())


def test_mean_and_deviation_are_float32_too() -> None:
    request = dataclasses.replace(REQUEST, image_mean=0.1, image_stddev=0.3)
    data = request_lib.serialized(request)
    assert request_lib.from_serialized(data) == request
    assert request.image_mean == float(np.float32(0.1)) != 0.1


def test_bytes_that_are_no_request() -> None:
    with pytest.raises(ValueError, match=r"s.npz: 3 bytes that are no ffn"):
        request_lib.from_serialized(b"\x15\x00\x00", "s.npz")


def test_resegmentation_messages_are_known_too() -> None:
    text = "points { id_a: 1 id_b: 2 point { x: 1 } } radius { z: 4 }"
    message = protos.parse_text("ResegmentationRequest", text, "x")
    assert message.points[0].id_b == 2
    assert message.max_retry_iters == 1


def test_bounding_box_is_turned_to_zyx() -> None:
    box = box_text.parse("start { x: 1 y: 2 z: 3 } size { x: 4 y: 5 z: 6 }")
    assert box == volume.Box.from_size((3, 2, 1), (6, 5, 4))


def test_bounding_box_as_text_and_back() -> None:
    box = volume.Box.from_size((3, 2, 1), (6, 5, 4))
    text = box_text.formatted(box)
    assert box_text.parse(text) == box


def test_bounding_box_may_leave_zeros_out() -> None:
    box = box_text.parse("start { y:2 } size { x:4 y:5 z:6 }")
    assert box.start == (0, 2, 0)


@pytest.mark.parametrize(
    "text",
    [
        "start { x: 1 y: 2 z: 3 }",
        "size { x: 4 y: 5 }",
        "size { x: 4 y: 5 z: -6 }",
        "start { x: 1 } sise { x: 4 y: 5 z: 6 }",
        "0,0,0",
    ],
)
def test_bounding_box_errors(text: str) -> None:
    match = r"^bounding box.*\. Expected corner and size in voxels, .*x:60"
    with pytest.raises(ValueError, match=match):
        box_text.parse(text)


def test_missing_and_binary_files(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pbtxt"):
        request_lib.parse(tmp_path / "none.pbtxt")
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match=r"binary: not a text file"):
        request_lib.parse(path)


def test_a_request_needs_an_image_and_a_network() -> None:
    with pytest.raises(ValueError, match="image: expected a volume's"):
        request_lib.InferenceRequest(model_checkpoint="m")
    with pytest.raises(ValueError, match="model_checkpoint: expected a path"):
        request_lib.InferenceRequest(image="i.npy")
