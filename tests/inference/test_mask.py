"""Masks: google/ffn's messages, as voxels."""

from __future__ import annotations

import pathlib

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import mask

BOX = volume.Box((2, 3, 5), (6, 8, 11))
Z, Y, X = np.mgrid[BOX.slices]


@pytest.fixture
def numbers(tmp_path: pathlib.Path) -> str:
    """Address of a volume where every voxel is another number."""
    array = np.arange(10 * 11 * 12, dtype=np.uint64).reshape(10, 11, 12)
    np.save(tmp_path / "numbers.npy", array)
    return str(tmp_path / "numbers.npy")


def _one(text: str) -> mask.Masks:
    return mask.parse(f"masks {{ {text} }}", "--mask_configs")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("z < 4", Z < 4),
        ("x == 7 or y >= 6 and not z > 3", (X == 7) | ((Y >= 6) & ~(Z > 3))),
        ("(x % 2 == 0) & (y < 5)", (X % 2 == 0) & (Y < 5)),
        ("3 < z <= 5", (Z > 3) & (Z <= 5)),
        ("(x - 8)**2 + (y - 5)**2 < 5", (X - 8) ** 2 + (Y - 5) ** 2 < 5),
        ("-x < -9.5", X > 9.5),
        ("x / 2 > y", X / 2 > Y),
        ("~(z == 2) | False", Z != 2),
        ("1 / (x - 7) > 0", X >= 7),
        ("x * 1e200 * x * 1e200 > 1", X > 0),
    ],
)
def test_expression(text: str, expected: np.ndarray) -> None:
    with _one(f'coordinate_expression {{ expression: "{text}" }}') as masks:
        np.testing.assert_array_equal(masks.read(BOX), expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("__import__('os').system('true')", "is not arithmetic"),
        ("x.real > 1", "'x.real' is not"),
        ("[1 for _ in x]", "is not arithmetic"),
        ("w < 1", "'w' is not"),
        ("x +", "not an expression"),
        ("x + y", "expected a condition"),
        ("x ** 9 ** 9 > 1", "is not arithmetic"),
        ("x in (1, 2)", "is not arithmetic"),
        ("(x < 3) - (y < 2) > 0", "not an expression"),
        ("-(x < 1) < 0", "not an expression"),
        ("x if y else z", "is not arithmetic"),
        ("(" * 500 + "x" + ")" * 500 + "> 1", "not an expression"),
    ],
)
def test_expressions_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mask.Expression(text)


def test_channels_of_a_volume(numbers: str) -> None:
    values = np.load(numbers)[BOX.slices]
    source = f'volume {{ mask {{ address: "{numbers}" }} '
    some = values.ravel()[[3, 17]].tolist()
    listed = f"channels {{ values: {some[0]} values: {some[1]} }}"
    between = "channels { min_value: 400 max_value: 500 }"
    for channels, invert, expected in (
        (listed, "", np.isin(values, some)),
        (between, "", (values >= 400) & (values <= 500)),
        (
            f"{between[:-1]} invert: true }}",
            "",
            ~((values >= 400) & (values <= 500)),
        ),
        (
            listed + between,
            "invert: true",
            ~(np.isin(values, some) | ((values >= 400) & (values <= 500))),
        ),
    ):
        with _one(f"{source} {channels} }} {invert}") as masks:
            np.testing.assert_array_equal(masks.read(BOX), expected)


def test_ids_beyond_the_floats(tmp_path: pathlib.Path) -> None:
    array = np.array([2**63 + 1, 2**63 + 2, 7], np.uint64).reshape(1, 1, 3)
    np.save(tmp_path / "ids.npy", array)
    with _one(
        f'volume {{ mask {{ address: "{tmp_path}/ids.npy" }} '
        f"channels {{ values: {2**63 + 1} }} }}"
    ) as masks:
        found = masks.read(volume.Box((0, 0, 0), (1, 1, 3)))
    assert found.tolist() == [[[True, False, False]]]


def test_image_and_union(numbers: str) -> None:
    image = np.load(numbers)[BOX.slices].astype(np.uint8)
    masks = mask.parse(
        "masks { image { channels { min_value: 250 max_value: 255 } } } "
        'masks { coordinate_expression { expression: "z == 3" } }',
        "request",
    )
    assert masks.need_image
    assert len(masks) == 2
    found = masks.read(BOX, image)
    np.testing.assert_array_equal(found, (image >= 250) | (Z == 3))
    with pytest.raises(ValueError, match="there is none"):
        masks.read(BOX)


@hypothesis.given(st.integers(2, 5), st.integers(3, 7), st.integers(5, 10))
def test_a_part_is_a_part(z: int, y: int, x: int) -> None:
    part = volume.Box((z, y, x), BOX.end)
    with _one('coordinate_expression { expression: "x * y > z * 9" }') as masks:
        whole = masks.read(BOX)[part.relative_to(BOX.start).slices]
        np.testing.assert_array_equal(masks.read(part), whole)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("invert: true", "a mask without a source"),
        ("image { }", "a mask without channels"),
        ("volume { channels { max_value: 1 } }", "mask names no volume"),
        ("image { channels { channel: 1 } }", "one channel here"),
        ("nonsense: 1", "nonsense"),
    ],
)
def test_messages_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _one(text)


def test_a_volume_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.npy"):
        _one(
            'volume { mask { address: "gone.npy" } channels { max_value: 1 } }'
        )
