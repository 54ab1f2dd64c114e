"""What to segment, with which network, and how: one value, two dialects.

`InferenceRequest` says it in Python, `parse` reads it from google/ffn's text
requests, `serialized` writes it as the binary message that every subvolume
file carries, `from_serialized` reads that.

    google/ffn text --parse--> InferenceRequest --serialized--> bytes
                                     ^------from_serialized------'

Axes. `InferenceOptions` is zyx. `model_args` is google/ffn's, its `fov_size`
and `deltas` are xyz.

What google/ffn leaves unset is 0: a probability of 0 is a logit of minus
infinity, a standard deviation of 0 divides by zero. Both are errors here. Two
unset values mean something: `disco_seed_threshold` 0 switches that rule on (a
negative value switches it off), `min_boundary_dist` is 0, 0, 0.

What a request may ask for and this version does not do (histogram matching,
alignment) is an error: see `check_supported`.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import re
from typing import Any

import numpy as np

from ffn_tf import program
from ffn_tf.inference import box_text, protos
from ffn_tf.inference.options import InferenceOptions, check, round_to_float32


@dataclasses.dataclass(frozen=True)
class InferenceRequest:
    """A whole run; `model_args` sizes are xyz, as google/ffn writes them."""

    image: str = program.option("", help="Address of the EM volume.")
    model_checkpoint: str = program.option(
        "",
        help="The network's weights: ours, or a TensorFlow 1 checkpoint. "
        "Empty: the network that comes with ffn_tf.",
    )
    image_mean: float = program.option(
        128.0,
        help="Subtracted from the image; by default what the network's "
        "training subtracted, if ffn_tf.train made it, else the number below.",
    )
    image_stddev: float = program.option(
        33.0, help="The image is then divided by this; by default as above."
    )
    model_name: str = program.option(
        "convstack_3d.ConvStack3DFFNModel",
        help="The network's architecture, by google/ffn's name.",
    )
    model_args: Mapping[str, Any] = program.mapping(
        help="The network's field of view, as google/ffn writes it: fov_size "
        "and deltas, x,y,z; depth and features are checked."
    )
    options: InferenceOptions = dataclasses.field(
        default_factory=InferenceOptions
    )
    seed_policy: str = program.option(
        "PolicyPeaks", help="How the places to start from are found."
    )
    seed_policy_args: Mapping[str, Any] = program.mapping(
        help="Of that policy, by google/ffn's names."
    )
    movement_policy_name: str = program.option(
        "", help="How the field of view moves; empty: by its faces' maxima."
    )
    movement_policy_args: Mapping[str, Any] = program.mapping(
        help="Of that policy: deltas, z,y,x, how far it moves."
    )
    masks: str = program.option(
        "",
        help="Where no field of view is centred: google/ffn's MaskConfigs in "
        "text format, 'masks { ... }'.",
    )
    seed_masks: str = program.option(
        "", help="Where no object begins, in the same format."
    )
    shift_mask: str = program.option(
        "",
        help="Address of how far tiles of each section were moved: channel 0 "
        "in x, 1 in y.",
    )
    shift_mask_scale: int = program.option(
        1, help="Edge of those tiles, voxels."
    )
    shift_mask_threshold: int = program.option(
        4, help="Least shift around which no field of view is centred."
    )
    shift_mask_fov: str = program.option(
        "",
        help="Box around a place in which shifts count, as --bounding_box; by "
        "default, the field of view.",
    )
    init_segmentation: str = program.option(
        "", help="Address of objects that are there from the beginning."
    )
    segmentation_output_dir: str = program.option(
        "", help="Folder of the results."
    )
    batch_size: int = program.option(
        0,
        help="Fields of view per network call; 0: what is fastest here, up to "
        "concurrent_requests.",
    )
    concurrent_requests: int = program.option(
        1, help="Subvolumes under way at once; twice batch_size is useful."
    )
    checkpoint_interval: int = program.option(
        300,
        help="Seconds between saved states of unfinished subvolumes; 0: none.",
    )

    def __post_init__(self) -> None:
        round_to_float32(self, "image_mean", "image_stddev")
        mean, stddev = self.image_mean, self.image_stddev
        check(bool(self.image), "image", "a volume's address", "none")
        check(bool(self.model_checkpoint), "model_checkpoint", "a path", "none")
        check(bool(np.isfinite(mean)), "image_mean", "a finite number", mean)
        check(0 < stddev < np.inf, "image_stddev", "a number > 0", stddev)
        for name, least in (
            ("batch_size", 0),
            ("concurrent_requests", 1),
            ("checkpoint_interval", 0),
            ("shift_mask_scale", 1),
            ("shift_mask_threshold", 0),
        ):
            value = getattr(self, name)
            check(value >= least, name, f"{least} or more", value)


# -----------------------------------------------------------------------------
# From google/ffn
# -----------------------------------------------------------------------------

# What must be set, because google/ffn's value for "unset" cannot work.
_REQUIRED = (
    "image",
    "image_stddev",
    "model_name",
    "model_checkpoint_path",
    "seed_policy",
)
_REQUIRED_OPTIONS = (
    "init_activation",
    "pad_value",
    "move_threshold",
    "segment_threshold",
)

# Fields of one name and meaning on both sides.
_SAME_TEXTS = (
    "model_name",
    "movement_policy_name",
    "seed_policy",
    "segmentation_output_dir",
)
_SAME_NUMBERS = (
    "batch_size",
    "checkpoint_interval",
    "concurrent_requests",
    "image_mean",
    "image_stddev",
)
_SAME = _SAME_TEXTS + _SAME_NUMBERS
_SAME_OPTIONS = (
    "disco_seed_threshold",
    "init_activation",
    "min_segment_size",
    "move_threshold",
    "pad_value",
    "segment_threshold",
)
# Mappings here, JSON there.
_ARGS = ("model_args", "movement_policy_args", "seed_policy_args")

_UNSUPPORTED = (
    "histogram_masks",
    "reference_histogram",
)
_MASKS = ("masks", "seed_masks")
_VOLUMES = ("init_segmentation", "shift_mask")
_SHIFTS = ("shift_mask_scale", "shift_mask_threshold")


def parse(text_or_path: str | os.PathLike[str]) -> InferenceRequest:
    """The request in a google/ffn text proto.

    Args:
      text_or_path: the text itself (a str with a brace in it: every request
        has an `image { ... }`), or the path of a file that holds it.

    Raises:
      ValueError: not such a text, or it lacks what must be set, or it asks for
        what this version does not do; the message says where.
      FileNotFoundError: no such file.
    """
    text, source = os.fspath(text_or_path), "inference request"
    if not isinstance(text_or_path, str) or "{" not in text:
        source = text
        try:
            text = pathlib.Path(text).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{source}: not a text file ({error}).") from error
    message = protos.parse_text("InferenceRequest", text, source)
    return _from_message(message, source)


def from_serialized(
    data: bytes, source: str = "serialized request"
) -> InferenceRequest:
    """The request in the binary message of a subvolume file.

    Raises:
      ValueError: as `parse`.
    """
    message = protos.parse_binary("InferenceRequest", data, source)
    return _from_message(message, source)


def check_supported(message: Any, source: str) -> None:
    """Refuses an InferenceRequest message that asks for what we do not do.

    Raises:
      ValueError: naming every such field.
    """
    asked = [f.name for f, _ in message.ListFields() if f.name in _UNSUPPORTED]
    for name in ("volinfo", "decorator_specs"):
        if message.image.HasField(name):
            asked.append(f"image.{name}")
    alignment = message.alignment_options
    kinds = alignment.DESCRIPTOR.enum_types_by_name["AlignType"].values_by_name
    if alignment.type != kinds["NO_ALIGNMENT"].number:
        asked.append("alignment_options.type")
    if alignment.save_raw:
        asked.append("alignment_options.save_raw")
    if asked:
        raise ValueError(
            f"{source}: this version does not act on {', '.join(asked)}, and "
            f"leaving it out would change the result. Remove it from the "
            f"request if you can do without."
        )


def _check_complete(message: Any, source: str) -> None:
    options = message.inference_options
    missing = [name for name in _REQUIRED if not message.HasField(name)] + [
        f"inference_options.{name}"
        for name in _REQUIRED_OPTIONS
        if not options.HasField(name)
    ]
    if missing:
        raise ValueError(
            f"{source}: not set: {', '.join(missing)}. Unset means 0 or empty "
            f"in google/ffn, which cannot work; set it."
        )


def _from_message(message: Any, source: str) -> InferenceRequest:
    check_supported(message, source)
    _check_complete(message, source)
    options = message.inference_options
    named: dict[str, Any] = {
        name: _json_object(getattr(message, name), f"{source}: {name}")
        for name in _ARGS
    }
    image = address_of(message.image, source, "image")
    named |= {
        name: address_of(getattr(message, name), source, name)
        for name in _VOLUMES
        if message.HasField(name)
    }
    named |= {
        name: getattr(message, name)
        for name in _SHIFTS
        if message.HasField(name)
    }
    if message.HasField("shift_mask_fov"):
        named["shift_mask_fov"] = protos.as_text(message.shift_mask_fov)
    for name in _MASKS:
        if getattr(message, name):
            masks = protos.message_class("MaskConfigs")()
            masks.masks.extend(getattr(message, name))
            named[name] = protos.as_text(masks)
    try:
        return InferenceRequest(
            image=image,
            model_checkpoint=message.model_checkpoint_path,
            options=InferenceOptions(
                min_boundary_dist_zyx=box_text.zyx(options.min_boundary_dist),
                **{name: getattr(options, name) for name in _SAME_OPTIONS},
            ),
            **{
                name: getattr(message, name)
                for name in _SAME
                # google/ffn's value for unset is "never", and 1.
                if name not in ("checkpoint_interval", "batch_size")
                or message.HasField(name)
            },
            **named,
        )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (json.JSONDecodeError, RecursionError) as error:
        found = f"{text:.200}"
        raise ValueError(f"{what}: not JSON ({error}): {found!r}.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{what}: expected a JSON object, found {text!r}.")
    return value


def address_of(volume_path: Any, source: str, field: str) -> str:
    """The address that `volume.open` takes, of a DecoratedVolume message.

    Raises:
      ValueError: it names no volume; says which `field` of which `source`.
    """
    kind = volume_path.WhichOneof("volume_path")
    if kind is None:
        raise ValueError(
            f"{source}: {field} names no volume; set {field} {{ hdf5: "
            f'"file.h5:dataset" }} or {field} {{ tensorstore: "{{...}}" }}.'
        )
    address: str = getattr(volume_path, kind).strip()
    if kind == "hdf5" and address.count(":") != 1:
        raise ValueError(
            f"{source}: {field}.hdf5: expected file:dataset, with one colon, "
            f"found {address!r}."
        )
    if kind == "tensorstore":
        _json_object(address, f"{source}: {field}.tensorstore")
    return address


# -----------------------------------------------------------------------------
# To google/ffn
# -----------------------------------------------------------------------------


def to_message(request: InferenceRequest) -> Any:
    """The InferenceRequest message that `parse` would read as `request`."""
    options = request.options
    z, y, x = options.min_boundary_dist_zyx
    inference_options = {name: getattr(options, name) for name in _SAME_OPTIONS}
    inference_options["min_boundary_dist"] = {"x": x, "y": y, "z": z}
    named: dict[str, Any] = {
        name: json.dumps(dict(getattr(request, name)), sort_keys=True)
        for name in _ARGS
        if getattr(request, name)
    }
    for name in _VOLUMES:
        if address := getattr(request, name):
            named[name] = {_volume_kind(address): address}
    if request.shift_mask:
        named |= {name: getattr(request, name) for name in _SHIFTS}
    if request.shift_mask_fov:
        named["shift_mask_fov"] = protos.parse_text(
            "BoundingBox", request.shift_mask_fov, "shift_mask_fov"
        )
    for name in _MASKS:
        masks = protos.parse_text("MaskConfigs", getattr(request, name), name)
        named[name] = list(masks.masks)
    return protos.message_class("InferenceRequest")(
        image={_volume_kind(request.image): request.image},
        model_checkpoint_path=request.model_checkpoint,
        inference_options=inference_options,
        # An empty string stays unset.
        **{name: getattr(request, name) or None for name in _SAME_TEXTS},
        **{name: getattr(request, name) for name in _SAME_NUMBERS},
        **named,
    )


def serialized(request: InferenceRequest) -> bytes:
    """`to_message` in binary; equal requests give equal bytes."""
    return to_message(request).SerializeToString(deterministic=True)


def _volume_kind(address: str) -> str:
    """The DecoratedVolume field that holds `address`."""
    if address.startswith("{"):
        return "tensorstore"
    # google/ffn's grammar for HDF5, which other addresses of ours share.
    is_hdf5 = re.fullmatch(r"[^:?]+:[^:?]+", address)
    return "hdf5" if is_hdf5 and ".npz:" not in address else "address"
