"""What a request says of the network's geometry, checked against the network.

google/ffn writes `model_args` as xyz and `movement_policy_args` as zyx.
"""

from __future__ import annotations

from typing import Any

from ffn_tf import model
from ffn_tf.inference import request as request_lib
from ffn_tf.volume import box

_MODEL_ARGUMENTS = {"depth", "features", "fov_size", "deltas"}


def _zyx_argument(arguments: Any, name: str) -> tuple[int, int, int] | None:
    """`arguments[name]`, which google/ffn writes as xyz, as zyx."""
    if name not in arguments:
        return None
    x, y, z = _triple(arguments[name], f"model_args: {name}")
    return z, y, x


def _triple(values: Any, what: str) -> tuple[int, int, int]:
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(value, int) for value in values
    ):
        raise ValueError(f"{what}: expected 3 integers, found {values!r}.")
    return box.triple(values, what)


def field_of_view(
    request: request_lib.InferenceRequest,
) -> model.FieldOfView | None:
    """The field of view that the request names, if it does."""
    unknown = sorted(request.model_args.keys() - _MODEL_ARGUMENTS)
    if unknown:
        raise ValueError(
            f"model_args: expected some of {sorted(_MODEL_ARGUMENTS)}, found "
            f"{unknown}."
        )
    size = _zyx_argument(request.model_args, "fov_size")
    deltas = _zyx_argument(request.model_args, "deltas")
    if size is None and deltas is None:
        return None
    if size is None or deltas is None:
        raise ValueError(
            f"model_args: expected both fov_size and deltas, or neither, "
            f"found {dict(request.model_args)}."
        )
    return model.FieldOfView(size, deltas)


def check_architecture(
    request: request_lib.InferenceRequest, network: model.ConvStack
) -> None:
    model.network_name(request.model_name)
    for name, found in (
        ("depth", network.depth),
        ("features", network.features),
    ):
        asked = request.model_args.get(name, found)
        if asked != found:
            raise ValueError(
                f"model_args asks for {name} {asked}, but the checkpoint "
                f"{request.model_checkpoint} has {name} {found}. Name the "
                f"checkpoint that belongs to the request, or drop {name}."
            )


def deltas(
    request: request_lib.InferenceRequest,
    view: model.FieldOfView,
    fast: bool = False,
) -> tuple[int, int, int]:
    """The movement step, zyx: the policy's argument, or the network's.

    Args:
      fast: half as much again as the network's, as far as that may be.
    """
    if request.movement_policy_name not in ("", "FaceMaxMovementPolicy"):
        raise ValueError(
            f"Unknown movement policy {request.movement_policy_name!r}: "
            f"expected FaceMaxMovementPolicy."
        )
    unknown = request.movement_policy_args.keys() - {"deltas"}
    if unknown:
        raise ValueError(
            f"movement_policy_args: expected deltas only, found "
            f"{sorted(unknown)}."
        )
    # google/ffn hands this argument on as zyx, unlike those of the model.
    usual = view.deltas
    if fast:
        usual = box.triple(
            min(3 * d // 2, m) for d, m in zip(usual, view.margin)
        )
    asked = _triple(
        request.movement_policy_args.get("deltas", usual),
        "movement_policy_args: deltas",
    )
    return model.FieldOfView(view.size, asked).deltas
