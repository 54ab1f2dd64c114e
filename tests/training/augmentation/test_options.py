"""Options: what is refused, and the flags made from them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from ffn_tf.training.augmentation import AugmentOptions


def test_only_permuting_and_reflecting_is_on():
    options = AugmentOptions()
    assert options.permutable_axes == (1, 2)
    assert options.reflectable_axes == (0, 1, 2)
    for name, value in dataclasses.asdict(options).items():
        assert not name.endswith("_probability") or value == 0, name


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rotation_probability", 1.1, "0 to 1, found 1.1"),
        ("missing_section_probability", -0.1, "0 to 1, found -0.1"),
        ("gamma_probability", float("nan"), "0 to 1, found nan"),
        ("misalignment_slips", 2.0, "0 to 1, found 2.0"),
        ("permutable_axes", (1, 1), r"0, 1, 2, once, found \(1, 1\)"),
        ("permutable_axes", (1, 3), r"found \(1, 3\)"),
        ("reflectable_axes", (-1,), r"found \(-1,\)"),
        ("rotation_degrees", 181.0, "at most 180, found 181"),
        ("rotation_degrees", -1.0, "0 or more, found -1"),
        ("elastic_displacement", 8.1, "half of elastic_spacing, 16"),
        ("elastic_spacing", 0, "1 or more, found 0"),
        ("misalignment_voxels", -1, "0 or more, found -1"),
        ("out_of_focus_sections", 0, "1 or more, found 0"),
        ("out_of_focus_sigma", float("inf"), "0 or more, found inf"),
        ("missing_sections", 0, "1 or more, found 0"),
        ("missing_section_value", float("nan"), "a finite number, found nan"),
        ("contrast_range", (1.3, 0.7), "the smaller first, found"),
        ("brightness_range", (0.0, float("inf")), "two finite numbers"),
        ("gamma_range", (0.0, 2.0), "above 0, found"),
        ("contrast_range", (-0.5, 1.0), "above 0, found"),
        ("grey_range", (255.0, 0.0), "the smaller first"),
        ("grey_range", (9.0, 9.0), "two different numbers"),
    ],
)
def test_refused(name, value, expected):
    with pytest.raises(ValueError, match=f"^{name}: expected.*{expected}"):
        AugmentOptions(**{name: value})


def test_ranges_may_be_one_value():
    assert AugmentOptions(gamma_range=(1.0, 1.0)).gamma_range == (1.0, 1.0)


def test_flags():
    """In a process of its own, since flags are the process'."""
    script = (
        "from absl import app\n"
        "from ffn_tf import program\n"
        "from ffn_tf.training.augmentation import AugmentOptions\n"
        "program.define_flags(AugmentOptions)\n"
        "app.run(lambda _: print(program.from_flags(AugmentOptions)))\n"
    )
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "--permutable_axes=",
            "--reflectable_axes=0,1",
            "--gamma_range=0.8,1.25",
            "--rotation_3d",
            "--missing_sections=3",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = AugmentOptions(
        permutable_axes=(),
        reflectable_axes=(0, 1),
        gamma_range=(0.8, 1.25),
        rotation_3d=True,
        missing_sections=3,
    )
    assert found.stdout.strip() == str(expected)
