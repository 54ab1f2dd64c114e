"""google/ffn's request messages, built at run time.

The names, tags, types and defaults below are google/ffn's (package `ffn`,
proto2), so that its text requests parse here and its binary ones, which lie in
every subvolume file, read both ways. They live in a descriptor pool of their
own: no generated code that must match the installed protobuf, and no clash
with google/ffn's own modules in the same process.

Coordinates in these messages are xyz.

One field is ours: `DecoratedVolume.address` (tag 1000), any address that
`volume.open` takes. google/ffn skips it as an unknown field.

Each table row is `name tag [repeated] type [oneof=NAME] [default=VALUE]`.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
    text_format,
)

_VECTOR = {
    "Vector3j": """
        x 1 int64
        y 2 int64
        z 3 int64
    """,
}

_BOUNDING_BOX = {
    "BoundingBox": """
        start 1 proto.Vector3j
        size 2 proto.Vector3j
        description 3 string
        object_label 4 uint64
    """,
}

_INFERENCE = {
    "DecoratedVolume": """
        volinfo 1 string oneof=volume_path
        decorator_specs 2 string
        hdf5 3 string oneof=volume_path
        tensorstore 4 string oneof=volume_path
        address 1000 string oneof=volume_path
    """,
    "MaskChannelConfig": """
        channel 1 int32
        min_value 2 float
        max_value 3 float
        invert 4 bool
        values 5 repeated uint64
    """,
    "ImageMaskOptions": "channels 1 repeated MaskChannelConfig",
    "VolumeMaskOptions": """
        mask 1 DecoratedVolume
        channels 2 repeated MaskChannelConfig
    """,
    "CoordinateExpressionOptions": "expression 1 string",
    "MaskConfig": """
        volume 1 VolumeMaskOptions oneof=source
        image 2 ImageMaskOptions oneof=source
        coordinate_expression 3 CoordinateExpressionOptions oneof=source
        invert 4 bool
    """,
    "MaskConfigs": "masks 1 repeated MaskConfig",
    "SegmentationSource": """
        directory 1 string
        threshold 2 float
        split_cc 3 bool
        min_size 4 int32
        mask 5 MaskConfigs
    """,
    "InferenceOptions": """
        init_activation 1 float
        pad_value 2 float
        move_threshold 3 float
        disco_seed_threshold 5 float
        min_boundary_dist 6 proto.Vector3j
        segment_threshold 7 float
        min_segment_size 8 int32
    """,
    "AlignmentOptions": """
        type 1 AlignmentOptions.AlignType default=NO_ALIGNMENT
        save_raw 6 bool
    """,
    "InferenceRequest": """
        image_mean 2 float
        image_stddev 3 float
        reference_histogram 4 string
        masks 5 repeated MaskConfig
        shift_mask 6 DecoratedVolume
        shift_mask_scale 7 int32
        shift_mask_threshold 8 int32
        movement_policy_name 9 string
        movement_policy_args 10 string
        model_name 11 string
        model_args 12 string
        model_checkpoint_path 13 string
        inference_options 14 InferenceOptions
        segmentation_output_dir 15 string
        checkpoint_interval 16 int32
        seed_policy 17 string
        seed_policy_args 19 string
        alignment_options 20 AlignmentOptions
        shift_mask_fov 22 BoundingBox
        image 24 DecoratedVolume
        init_segmentation 25 DecoratedVolume
        histogram_masks 26 repeated MaskConfig
        batch_size 27 int32 default=1
        concurrent_requests 28 int32 default=1
        seed_masks 30 repeated MaskConfig
    """,
    "ResegmentationPoint": """
        id_a 1 uint64
        id_b 2 uint64
        point 3 proto.Vector3j
    """,
    "ResegmentationRequest": """
        inference 1 InferenceRequest
        points 2 repeated ResegmentationPoint
        radius 5 proto.Vector3j
        output_directory 6 string
        subdir_digits 7 int32
        max_retry_iters 8 int32 default=1
        exclusion_radius 9 proto.Vector3j
        segment_recovery_fraction 10 float
        init_exclusion_radius 11 proto.Vector3j
        terminate_early 12 bool
        analysis_radius 13 proto.Vector3j
    """,
    "CounterValue": """
        name 1 string
        value 2 int64
    """,
    "TaskCounters": """
        counters 1 repeated CounterValue
        point 2 proto.Vector3j
        filename 3 string
    """,
}

# Enum values, by the full name (less the package) of the enum.
_ENUMS = {
    "AlignmentOptions.AlignType": {"UNKNOWN_ALIGNMENT": 0, "NO_ALIGNMENT": 1}
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint64": _Field.TYPE_UINT64,
}


def _add_field(target: Any, row: str) -> None:
    """Adds one table row to the DescriptorProto `target`."""
    name, tag, *rest = row.split()
    field = target.field.add(name=name, number=int(tag))
    field.label = _Field.LABEL_OPTIONAL
    if rest[0] == "repeated":
        field.label = _Field.LABEL_REPEATED
        rest = rest[1:]
    kind, *extras = rest
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        is_enum = kind in _ENUMS
        field.type = _Field.TYPE_ENUM if is_enum else _Field.TYPE_MESSAGE
        field.type_name = f".ffn.{kind}"
    for key, value in (extra.split("=") for extra in extras):
        if key == "default":
            field.default_value = value
            continue
        groups = [group.name for group in target.oneof_decl]
        if value not in groups:
            target.oneof_decl.add(name=value)
            groups.append(value)
        field.oneof_index = groups.index(value)


def _add_enums(target: Any) -> None:
    """Adds the enums that lie in the DescriptorProto `target`."""
    for full_name, values in _ENUMS.items():
        parent, _, name = full_name.partition(".")
        if parent == target.name:
            enum = target.enum_type.add(name=name)
            for key, number in values.items():
                enum.value.add(name=key, number=number)


def _add_file(
    pool: descriptor_pool.DescriptorPool,
    name: str,
    package: str,
    tables: dict[str, str],
    imports: tuple[str, ...] = (),
) -> None:
    file = descriptor_pb2.FileDescriptorProto(
        name=name, package=package, syntax="proto2", dependency=imports
    )
    for message_name, table in tables.items():
        target = file.message_type.add(name=message_name)
        for row in table.strip().splitlines():
            _add_field(target, row)
        _add_enums(target)
    pool.Add(file)


def _build_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    vector, box = "utils/vector.proto", "utils/bounding_box.proto"
    _add_file(pool, vector, "ffn.proto", _VECTOR)
    _add_file(pool, box, "ffn", _BOUNDING_BOX, (vector,))
    _add_file(
        pool, "inference/inference.proto", "ffn", _INFERENCE, (vector, box)
    )
    return pool


_POOL = _build_pool()


def message_class(name: str) -> Any:
    """The message class of `name` in package `ffn`: "InferenceRequest"."""
    return message_factory.GetMessageClass(
        _POOL.FindMessageTypeByName(f"ffn.{name}")
    )


def parse_text(name: str, text: str, source: str) -> Any:
    """The message `name` from protobuf text format.

    Args:
      name: message name, such as "InferenceRequest".
      text: the text.
      source: what to call the text in an error: a file name, a flag.

    Raises:
      ValueError: not text of that message; says source:line:column, the
        field, and the known field that is spelt most like it.
    """
    parsed = message_class(name)()
    try:
        return text_format.Parse(text, parsed)
    except text_format.ParseError as error:
        # protobuf starts its own messages with the place, `3:7 : ...`.
        found = re.sub(r"^\d+(:\d+)? : ", "", str(error))
        place = ":".join(
            str(part)
            for part in (source, error.GetLine(), error.GetColumn())
            if part is not None
        )
        raise ValueError(f"{place}: {found}{_nearest(found)}") from error


def as_text(found: Any) -> str:
    """A message as `parse_text` reads it, in one line."""
    return str(text_format.MessageToString(found, as_one_line=True))


def parse_binary(name: str, data: bytes, source: str) -> Any:
    """The message `name` from its binary form.

    Raises:
      ValueError: not that message.
    """
    parsed = message_class(name)()
    try:
        parsed.ParseFromString(data)
    except message.DecodeError as error:
        raise ValueError(
            f"{source}: {len(data)} bytes that are no ffn.{name} ({error})."
        ) from error
    return parsed


def _nearest(found: str) -> str:
    """A hint for protobuf's sentence about an unknown field, else ""."""
    unknown = re.search(r'type "ffn\.(\S+)" has no field named "(.+)"', found)
    if unknown is None:
        return ""
    kind, field = unknown.groups()
    known = list(message_class(kind).DESCRIPTOR.fields_by_name)
    nearest = difflib.get_close_matches(field, known, n=1, cutoff=0.0)[0]
    return f" Nearest known field: {nearest}."
