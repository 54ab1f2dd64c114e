"""A server of Neuroglancer's, one in a process, and files that it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools

import pytest

from ffn_tf.viewer import server as server_lib

_numbers = itertools.count()


@pytest.fixture(scope="module")
def running() -> Iterator[server_lib.Server]:
    pytest.importorskip("neuroglancer")
    with server_lib.Server() as server:
        yield server


@pytest.fixture
def served(running) -> Callable[[server_lib.Files], str]:
    """served(files): the URL at which they are."""

    def serve(files: server_lib.Files) -> str:
        name = f"files{next(_numbers)}"
        running.serve({name: files})
        return running.url_of(name)

    return serve
