"""Numbers of CSV rows, as fast as a processor reads them.

    node id, x, y, z, e0, e1, ...     -> int64, 3 float64, float32 ...

Plain decimals, as the releases have them ("-0.12345678955316544", "17",
"3.5e-07"), become the nearest float64 or float32, exactly. Rows with anything
else (quotes, spaces, inf, twenty digits, a column too few), or whose rounding
takes more arithmetic than is done here, are left to a reader that takes its
time: `parsed` gives None for them.

A number is its digits, as an integer m < 10^19, times 10^k, |k| <= 37:

    float64    m 10^k as a sum of two floats, off by less than 2^-90 of it
    float32    m 10^k in float64, off by less than 2^-50 of it

and it is exact, if all numbers that near are rounded to the same.
"""

from __future__ import annotations

import numba
import numpy as np

LEADING = 4  # Columns before the embedding.

_TENS = np.array([float(f"1e{k}") for k in range(23)])  # Exact in float64.
_NEAR_32 = 2.0**-50
_NEAR_64 = 2.0**-36  # Of the smaller float of the two.
_SPLIT = 134217729.0  # 2^27 + 1 halves the digits of a float64.

_COMMA, _POINT, _MINUS, _PLUS = (ord(c) for c in ",.-+")
_LINE, _RETURN, _SMALL_E, _LARGE_E = (ord(c) for c in "\n\reE")
# By how many digits come: for a larger number an integer has no room.
_ROOM = np.array([10 ** (19 - n) for n in range(9)], np.uint64)
_WHOLE_TENS = np.array([10**n for n in range(9)], np.uint64)
# Eight characters at once.
_ALL_01, _ALL_06, _ALL_30, _ALL_F0 = (
    np.uint64(n * 0x0101010101010101) for n in (0x01, 0x06, 0x30, 0xF0)
)
_ONE = np.uint64(1)
_PAIRS = np.uint64(0x000000FF000000FF)
_LEFT, _RIGHT = np.uint64(100 + (10**6 << 32)), np.uint64(1 + (10**4 << 32))


def parsed(
    text: bytes, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The numbers of whole lines.

    Args:
      text: lines; empty ones are skipped.
      columns: of the embedding.

    Returns:
      [n] int64 ids, [n, 3] float64 positions, [n, columns] float32; or None,
      see the module.
    """
    ended = text + b"\n" * 32
    characters = np.frombuffer(ended, np.uint8)
    # The eight characters from each one on.
    words = np.ndarray((len(text) + 25,), "<u8", ended, 0, (1,))
    most = text.count(b"\n") + 1
    ids = np.empty(most, np.int64)
    positions = np.empty((most, LEADING - 1), np.float64)
    vectors = np.empty((most, columns), np.float32)
    count = _rows(characters, words, len(text), ids, positions, vectors)
    if count < 0:
        return None
    return ids[:count], positions[:count], vectors[:count]


@numba.njit(cache=True, nogil=True)
def _rows(text, words, size, ids, positions, vectors):
    """Fills the rows; how many there are, or -1."""
    columns = 3 + vectors.shape[1]
    at, row = 0, 0
    while at < size:
        if text[at] == _LINE or text[at] == _RETURN:
            at += 1
            continue
        mantissa, ten, sign, at = _decimal(text, words, at)
        if at < 0 or ten != 0 or mantissa >= _ROOM[1]:
            return -1
        ids[row] = sign * np.int64(mantissa)
        for column in range(columns):
            if text[at] != _COMMA:
                return -1
            mantissa, ten, sign, at = _field(text, words, at + 1)
            if column < 3:
                value = _float64(mantissa, ten)
                positions[row, column] = sign * value
            else:
                value = _float32(mantissa, ten)
                vectors[row, column - 3] = sign * value
            if value < 0 or at < 0:
                return -1
        at += text[at] == _RETURN
        if text[at] != _LINE:
            return -1
        row += 1
    return row


@numba.njit(cache=True, nogil=True, inline="always")
def _field(text, words, at):
    """As `_decimal`; quicker of 17 to 19 digits, a point after the first.

    Where these are is known, so that one does not wait for the other.
    """
    sign = 1 - 2 * (text[at] == _MINUS)
    start = at + (sign < 0)
    if text[start + 1] == _POINT:
        head = np.uint64(text[start]) ^ np.uint64(0x30)
        first = words[start + 2] ^ _ALL_30
        second = words[start + 10] ^ _ALL_30
        rest = words[start + 18] ^ _ALL_30
        odd = (first | (first + _ALL_06)) | (second | (second + _ALL_06))
        end = (rest | (rest + _ALL_06)) & _ALL_F0
        # How many bytes are below the first odd one, and that.
        end = (((end & (~end + _ONE)) - _ONE) & _ALL_01) * _ALL_01
        more = np.int64(end >> np.uint64(56)) - 1
        end = start + 18 + more
        is_digits = odd & _ALL_F0 == 0 and head <= np.uint64(9)
        is_end = text[end] == _COMMA or text[end] == _LINE
        if is_digits and more <= 2 and is_end:
            rest = (rest << np.uint64(8)) << np.uint64(56 - 8 * more)
            mantissa = head * _WHOLE_TENS[8] + _eight(first)
            mantissa = mantissa * _WHOLE_TENS[8] + _eight(second)
            mantissa = mantissa * _WHOLE_TENS[more] + _eight(rest)
            return mantissa, -16 - more, sign, end
    return _decimal(text, words, at)


@numba.njit(cache=True, nogil=True, inline="always")
def _eight(word):
    """The number of eight digits, of which the first is the lowest byte."""
    # Neighbours are joined: pairs, fours, eights.
    word = word * np.uint64(10) + (word >> np.uint64(8))
    left = (word & _PAIRS) * _LEFT
    right = ((word >> np.uint64(16)) & _PAIRS) * _RIGHT
    return (left + right) >> np.uint64(32)


@numba.njit(cache=True, nogil=True)
def _decimal(text, words, at):
    """(m, k, sign, where it ends): of sign m 10^k; the end -1 if odd."""
    sign = 1 - 2 * (text[at] == _MINUS)
    at += sign < 0
    mantissa, end = _digits(words, at, np.uint64(0))
    count, ten = end - at, np.int64(0)
    if end > 0 and text[end] == _POINT:
        at = end + 1
        mantissa, end = _digits(words, at, mantissa)
        ten = at - end
        count -= ten
    if count <= 0 or end < 0:
        return mantissa, 0, sign, -1
    if text[end] == _SMALL_E or text[end] == _LARGE_E:
        at = end + 1
        is_small = text[at] == _MINUS
        at += is_small or text[at] == _PLUS
        power, end = _digits(words, at, np.uint64(0))
        if end <= at or power > np.uint64(999):
            return mantissa, 0, sign, -1
        ten += -np.int64(power) if is_small else np.int64(power)
    return mantissa, ten, sign, end


@numba.njit(cache=True, nogil=True)
def _digits(words, at, mantissa):
    """The mantissa with the digits that follow, and where they end, or -1.

    Eight characters at a time, without a branch for each: where they vary in
    number, a processor cannot know it beforehand.
    """
    while True:
        word = words[at] ^ _ALL_30  # Digits become 0 to 9.
        odd = (word | (word + _ALL_06)) & _ALL_F0
        is_end = odd != 0
        # How many bytes are below the first odd one.
        below = (odd & (~odd + _ONE)) - _ONE
        count = ((below & _ALL_01) * _ALL_01) >> np.uint64(56)
        if is_end:
            count -= _ONE
        if mantissa >= _ROOM[count]:
            return mantissa, -1
        bits = count << np.uint64(3)
        if is_end:  # Those after it go, and zeros come before it.
            word = (word << np.uint64(8)) << (np.uint64(56) - bits)
        mantissa = mantissa * _WHOLE_TENS[count] + _eight(word)
        at += np.int64(count)
        if is_end:
            return mantissa, at


@numba.njit(cache=True, nogil=True)
def _float32(mantissa, ten):
    """The nearest float32, as a float64; -1.0 if that is not certain."""
    if mantissa == 0:
        return 0.0
    if not -37 <= ten <= 19:
        return -1.0
    value = float(mantissa)
    if ten < -22:
        value = value / _TENS[-ten - 15] / _TENS[15]
    elif ten < 0:
        value /= _TENS[-ten]
    else:
        value *= _TENS[ten]
    low = np.float32(value * (1 - _NEAR_32))
    if low != np.float32(value * (1 + _NEAR_32)) or low < 1e-37 or low > 1e38:
        return -1.0
    return float(low)


@numba.njit(cache=True, nogil=True)
def _float64(mantissa, ten):
    """The nearest float64; -1.0 if that is not certain."""
    if not -22 <= ten <= 22:
        return 0.0 if mantissa == 0 else -1.0
    high = float(mantissa)
    if mantissa < np.uint64(2**53):  # Then one operation rounds once.
        return high / _TENS[-ten] if ten < 0 else high * _TENS[ten]
    if high >= 1.8e19:
        return -1.0
    nearest = np.uint64(high)
    if mantissa >= nearest:
        low = float(mantissa - nearest)
    else:
        low = -float(nearest - mantissa)
    if ten < 0:
        first = high / _TENS[-ten]
        product, error = _product(first, _TENS[-ten])
        second = ((high - product) - error + low) / _TENS[-ten]
    else:
        first, error = _product(high, _TENS[ten])
        second = error + low * _TENS[ten]
    found = first + second * (1 - _NEAR_64)
    return found if found == first + second * (1 + _NEAR_64) else -1.0


@numba.njit(cache=True, nogil=True)
def _product(one, other):
    """A product as the sum of two floats, exactly (Dekker, 1971)."""
    scaled = _SPLIT * one
    one_high = scaled - (scaled - one)
    one_low = one - one_high
    scaled = _SPLIT * other
    other_high = scaled - (scaled - other)
    other_low = other - other_high
    product = one * other
    error = one_high * other_high - product
    error += one_high * other_low + one_low * other_high
    return product, error + one_low * other_low
