"""AugmentOptions: how often examples are changed, and how much."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ffn_tf import program
from ffn_tf.training.augmentation import example


@dataclasses.dataclass(frozen=True)
class AugmentOptions:
    """The flags of augmentation; only permuting and reflecting is on.

    A probability is that of an example to be changed so.
    """

    permutable_axes: tuple[int, ...] = program.option(
        (1, 2),
        help="Axes (0, 1, 2: z, y, x) that are permuted at random, as a list; "
        "empty: none. Without 0 where sections are thicker than pixels.",
    )
    reflectable_axes: tuple[int, ...] = program.option(
        (0, 1, 2),
        help="Axes (0, 1, 2: z, y, x) that are reflected at random, as a "
        "list; empty: none.",
    )
    rotation_probability: float = program.option(
        0.0, help="Share of the examples that are rotated, in the plane y, x."
    )
    rotation_degrees: float = program.option(
        180.0, help="Greatest angle of a rotation, either way."
    )
    rotation_3d: bool = program.option(
        False,
        help="Rotate about any axis instead of z. Sensible where voxels are "
        "cubes, or nearly so.",
    )
    elastic_probability: float = program.option(
        0.0,
        help="Share of the examples that are warped, smoothly in the plane "
        "y, x and alike in all sections.",
    )
    elastic_displacement: float = program.option(
        8.0,
        help="Greatest displacement of an elastic warp, in voxels; the usual "
        "one is a fifth of it.",
    )
    elastic_spacing: int = program.option(
        16,
        help="Voxels between the nodes of an elastic warp; at least twice "
        "the displacement, or it would fold.",
    )
    misalignment_probability: float = program.option(
        0.0, help="Share of the examples with a misaligned section."
    )
    misalignment_voxels: int = program.option(
        8, help="Greatest displacement of a misaligned section along y and x."
    )
    misalignment_slips: float = program.option(
        0.5,
        help="Share of the misalignments that are slips (one section moved); "
        "the others are translations (all sections behind it moved too).",
    )
    out_of_focus_probability: float = program.option(
        0.0, help="Share of the examples with sections out of focus."
    )
    out_of_focus_sections: int = program.option(
        2, help="Most sections out of focus in one example."
    )
    out_of_focus_sigma: float = program.option(
        3.0, help="Greatest standard deviation of the blur, in voxels."
    )
    contrast_probability: float = program.option(
        0.0, help="Share of the examples with changed contrast."
    )
    contrast_range: tuple[float, float] = program.option(
        (0.7, 1.3), help="Least and greatest factor about the middle grey."
    )
    brightness_probability: float = program.option(
        0.0, help="Share of the examples with changed brightness."
    )
    brightness_range: tuple[float, float] = program.option(
        (-0.15, 0.15),
        help="Least and greatest share of the range of grey values added.",
    )
    gamma_probability: float = program.option(
        0.0, help="Share of the examples with changed gamma."
    )
    gamma_range: tuple[float, float] = program.option(
        (0.5, 2.0),
        help="Least and greatest exponent; drawn on a logarithmic scale.",
    )
    intensity_by_section: float = program.option(
        0.5,
        help="Of the examples with changed contrast, brightness or gamma: "
        "the share where each section is changed by its own amount.",
    )
    grey_range: tuple[float, float] = program.option(
        (0.0, 255.0),
        help="Black and white: grey values are clipped to these where "
        "contrast, brightness or gamma change.",
    )
    missing_section_probability: float = program.option(
        0.0, help="Share of the examples with missing sections."
    )
    missing_sections: int = program.option(
        2, help="Most missing sections in one example."
    )
    missing_section_partial: float = program.option(
        0.5,
        help="Share of the missing sections that miss only some quadrants.",
    )
    missing_section_value: float = program.option(
        0.0, help="Grey value of what is missing."
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.endswith("_axes"):
                _check(_are_axes(value), name, "some of 0, 1, 2, once", value)
            elif name in _SHARES or name.endswith("_probability"):
                _check(0 <= value <= 1, name, "a number of 0 to 1", value)
            elif name.endswith("_range"):
                expected = "two finite numbers, the smaller first"
                _check(_is_range(value), name, expected, value)
            elif name in _LEAST:
                least = _LEAST[name]
                _check(
                    least <= value < math.inf, name, f"{least} or more", value
                )
        for name in ("contrast_range", "gamma_range"):
            value = getattr(self, name)
            _check(value[0] > 0, name, "numbers above 0", value)
        black, white = self.grey_range
        _check(
            black < white,
            "grey_range",
            "two different numbers",
            self.grey_range,
        )
        _check(
            math.isfinite(self.missing_section_value),
            "missing_section_value",
            "a finite number",
            self.missing_section_value,
        )
        _check(
            self.rotation_degrees <= 180,
            "rotation_degrees",
            "at most 180",
            self.rotation_degrees,
        )
        _check(
            2 * self.elastic_displacement <= self.elastic_spacing,
            "elastic_displacement",
            f"at most half of elastic_spacing, {self.elastic_spacing}",
            self.elastic_displacement,
        )

    def check_size(self, size: example.Triple) -> None:
        """Raises a ValueError unless examples of `size` can be made."""
        if any(n < 1 or n % 2 == 0 for n in size):
            raise ValueError(
                f"An example needs odd sizes, so that it has a centre voxel: "
                f"found size_zyx {size}."
            )
        sizes = [size[axis] for axis in self.permutable_axes]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"permutable_axes {self.permutable_axes}: the axes have "
                f"different sizes {tuple(sizes)} in examples of size_zyx "
                f"{size}. Give only axes of one size."
            )
        for probability, sections in (
            (self.misalignment_probability, 1),
            (self.out_of_focus_probability, self.out_of_focus_sections),
            (self.missing_section_probability, self.missing_sections),
        ):
            if probability and sections >= size[0]:
                raise ValueError(
                    f"{sections} sections may be spoiled, and never the "
                    f"middle one, but examples of size_zyx {size} have only "
                    f"{size[0]}. Spoil fewer, or switch this off."
                )


_SHARES = (
    "misalignment_slips",
    "intensity_by_section",
    "missing_section_partial",
)
_LEAST = {
    "rotation_degrees": 0,
    "elastic_displacement": 0,
    "elastic_spacing": 1,
    "misalignment_voxels": 0,
    "out_of_focus_sections": 1,
    "out_of_focus_sigma": 0,
    "missing_sections": 1,
}


def _are_axes(value: tuple[int, ...]) -> bool:
    return len(set(value)) == len(value) and set(value) <= {0, 1, 2}


def _is_range(value: tuple[float, ...]) -> bool:
    return len(value) == 2 and -math.inf < value[0] <= value[1] < math.inf


def _check(is_right: bool, name: str, expected: str, found: Any) -> None:
    if not is_right:
        raise ValueError(f"{name}: expected {expected}, found {found}.")
