"""Numbers of CSV rows: exactly those of Python, or none."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pyarrow as pa
import pytest

from segclr.embedding import csv_numbers


def nearest32(text):
    """By pyarrow; Python would round twice."""
    return pa.array([text]).cast(pa.float32())[0].as_py()


def only(text):
    """A number of a row, read as a position and as part of an embedding."""
    found = csv_numbers.parsed(f"7,{text},0,0,{text}\n".encode(), 1)
    if found is None:
        return None
    return found[1][0, 0], found[2][0, 0]


def assert_exact(text):
    found = only(text)
    assert found is not None, text
    assert found[0] == float(text) and found[1] == nearest32(text), text


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0.0",
        "17",
        "-3.5e-07",
        "1E+3",
        "0.1",
        "4000000.1",
        "1.2345678",
        "0.12345678955316544",
        "-1.12345678955316544",
        "9.999999999999999999",
        "9007199254740993.5",
        "1234567.8901234567",
        ".5",
        "5.",
    ],
)
def test_numbers(text):
    assert_exact(text)


@settings(deadline=None, max_examples=300)
@given(st.floats(1e-3, 1e7), st.booleans())
def test_as_python_prints_them(value, is_negative):
    text = repr(-value if is_negative else value)
    _, positions, _ = csv_numbers.parsed(f"7,{text},0,0,0".encode(), 1)
    assert positions[0, 0] == float(text)
    found = only(text)
    if found is not None:
        assert found[1] == nearest32(text)
    assert found is not None or value * 2**24 % 1 == 0  # Halfway, then.


@settings(deadline=None, max_examples=300)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_printed_as_float64(value):
    found = csv_numbers.parsed(f"7,1,2,3,{value!r}".encode(), 1)
    if found is not None:
        assert found[2][0, 0] == np.float32(value)
    assert found is not None or not 1e-20 < abs(value) < 1e20


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10**19 - 1), st.integers(0, 19))
def test_digits(digits, behind_point):
    text = f"{digits:020d}"
    text = f"{int(text[: 20 - behind_point])}.{text[20 - behind_point :]}"
    found = only(text)
    if found is not None:
        assert found[0] == float(text) and found[1] == nearest32(text)


def test_between_two_numbers_it_is_not_certain():
    """Halfway, and closer to that than the arithmetic is good for."""
    for text in ("16777217", "16777217.0000000001", "1.00000005960464477"):
        found = only(text)
        assert found is None or found[1] == nearest32(text)
    assert only("16777217") is None
    assert only("9007199254740993") is None


def test_rows_and_ends_of_lines():
    text = b"\r\n-4,1,2,3,0.5,-1e-3\r\n\n5,1.5,2,3,0.25,7"
    ids, positions, vectors = csv_numbers.parsed(text, 2)
    np.testing.assert_array_equal(ids, [-4, 5])
    np.testing.assert_array_equal(positions, [[1, 2, 3], [1.5, 2, 3]])
    np.testing.assert_array_equal(
        vectors, np.array([[0.5, -1e-3], [0.25, 7]], "f4")
    )
    assert [len(one) for one in csv_numbers.parsed(b"", 2)] == [0, 0, 0]


@pytest.mark.parametrize(
    "row",
    [
        "4,1,2,3",
        "4,1,2,3,0.5,0.6",
        "4,1,2,3,",
        "4,1,2,3,x",
        "4,1,2,3,nan",
        "4,1,2,3,-inf",
        "4,1,2,3, 0.5",
        "4,1,2,3,0.5 ",
        '4,1,2,3,"0.5"',
        "4,1,2,3,0.5.5",
        "4,1,2,3,.",
        "4,1,2,3,-",
        "4,1,2,3,1e",
        "4,1,2,3,1e5000",
        "4,1,2,3,1e99",
        "4,1,2,3,12345678901234567890",
        "4,1,2,3,2022-01-01",
        "4.5,1,2,3,0.5",
        "4e3,1,2,3,0.5",
        ",1,2,3,0.5",
        "12345678901234567890,1,2,3,0.5",
        "4,1,2,3,1.1234567890123456x",
        "4,1,2,3,1.12345678901234567x8",
        "4,1,2,3,1.123456789012345678\xb5",
    ],
)
def test_what_is_left_to_others(row):
    good = "3,1,2,3,0.5\n"
    text = (good + row + "\n" + good).encode("latin-1")
    assert csv_numbers.parsed(text, 1) is None
    assert csv_numbers.parsed((good + row).encode("latin-1"), 1) is None
    assert len(csv_numbers.parsed((good + good).encode(), 1)[0]) == 2
