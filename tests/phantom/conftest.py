"""One small phantom, made once, in whole."""

from __future__ import annotations

import pytest

from ffn_tf import phantom

SMALL = phantom.Options(seed=6, size_zyx=(32, 56, 64))
# Thick sections, moved: every axis and every step of its own size.
SECTIONS = phantom.Options(
    seed=6,
    size_zyx=(12, 50, 60),
    voxel_size_nm=(33.0, 9.0, 8.0),
    section_jitter=3.0,
    misalignment_nm=12.0,
)


@pytest.fixture(scope="session", params=["small", "sections"])
def options(request: pytest.FixtureRequest) -> phantom.Options:
    """Both phantoms, one after the other."""
    return SMALL if request.param == "small" else SECTIONS


@pytest.fixture(scope="session")
def whole(options: phantom.Options) -> phantom.Phantom:
    """All of the phantom `options`."""
    return phantom.generate(options)


@pytest.fixture(scope="session")
def truth(options: phantom.Options) -> phantom.Truth:
    """The truth about it."""
    return phantom.truth(options)
