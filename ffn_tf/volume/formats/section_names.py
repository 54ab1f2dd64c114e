"""Which files of a folder are the sections of a stack, and in which order.

    em_008.png  em_009.png  em_010.png     one number counts, from any on

What would put a section in a wrong place without a word is refused:

    a name that differs in more than its numbers    thumbnail.png
    two names with one number                       em_1.png, em_01.png
    a number that is missing                        em_002.png, em_004.png

Where several numbers vary (wafer_1_slice_9.png, wafer_2_slice_1.png) the order
is by the first, then by the second, and missing ones are not noticed.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
import itertools
import pathlib
import re

from ffn_tf.volume import address

_MOST_NAMED = 5


def in_order(folder: pathlib.Path) -> list[pathlib.Path]:
    """The sections in a folder.

    Raises:
      ValueError: files that are not one stack, or not all of it.
    """
    paths = [p for p in sorted(folder.iterdir()) if address.is_slice(p.name)]
    if len({path.suffix.lower()[:4] for path in paths}) > 1:
        raise ValueError(
            f"{folder}: holds both PNG and TIFF files, so it is unclear which "
            f"are the sections; leave one kind in it."
        )
    _refuse_other_names(paths)
    paths.sort(key=_numbers)
    for one, other in itertools.pairwise(paths):
        if _numbers(one) == _numbers(other):
            raise ValueError(
                f"{other}: the same number as {one.name}; leave one of the two."
            )
    _refuse_missing(folder, paths)
    return paths


def _numbers(path: pathlib.Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", path.stem)))


def _words(path: pathlib.Path) -> tuple[str, ...]:
    """What is around the numbers."""
    return tuple(re.split(r"\d+", path.stem))


def _refuse_other_names(paths: Sequence[pathlib.Path]) -> None:
    ((usual, _),) = collections.Counter(map(_words, paths)).most_common(1)
    others = [path for path in paths if _words(path) != usual]
    if others:
        like = next(path for path in paths if _words(path) == usual)
        raise ValueError(
            f"{others[0]}: {len(others)} of {len(paths)} names differ from "
            f"{like.name} in more than numbers, so that it is unclear which "
            f"are the sections, and in which order. Leave nothing else in the "
            f"folder, and name sections alike: em_001{like.suffix}."
        )


def _refuse_missing(
    folder: pathlib.Path, paths: Sequence[pathlib.Path]
) -> None:
    places = [sorted(set(found)) for found in zip(*map(_numbers, paths))]
    varying = [found for found in places if len(found) > 1]
    if len(varying) != 1:
        return
    (found,) = varying
    gaps = [(a + 1, b - 1) for a, b in itertools.pairwise(found) if b > a + 1]
    if not gaps:
        return
    named = ", ".join(
        f"{a}" if a == b else f"{a} to {b}" for a, b in gaps[:_MOST_NAMED]
    )
    more = ", ..." if len(gaps) > _MOST_NAMED else ""
    raise ValueError(
        f"{folder}: sections are missing: the names count from {found[0]} to "
        f"{found[-1]} without {named}{more}. All that follow would move up. "
        f"Put them there, a black one for what is lost; or rename the files "
        f"so that they count one by one."
    )
