"""Tables: any damage is noticed."""

import numpy as np
import pytest

from segclr.embedding import places, table


def flipped(path, step):
    """The file with a bit turned, at each of some places in turn."""
    data = path.read_bytes()
    for at in range(4, len(data) - 8, step):
        changed = bytearray(data)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        yield at
    path.write_bytes(data)


def is_noticed(read, expected):
    """Whether a reader refuses, or gives what was written."""
    try:
        found = read()
    except ValueError as error:
        assert "damaged" in str(error) and "Delete it" in str(error)
        return True
    return all(np.array_equal(a, b) for a, b in zip(found, expected))


def test_nodes(tmp_path):
    rng = np.random.default_rng(0)
    nodes = table.Nodes(
        np.full(50, 7, np.uint64),
        np.arange(50),
        rng.normal(size=(50, 3)),
        np.ones(50, np.float32),
        np.ones(50, bool),
        rng.normal(size=(50, 8)).astype(np.float32),
    )
    path = table.part(tmp_path, 3)
    table.write_nodes(path, nodes)

    def read():
        found = table.read_nodes(tmp_path)
        return found.position_nm_zyx, found.embedding

    expected = read()
    # The data; what describes them, behind, has no checksum.
    pages = range(4, path.read_bytes().rfind(b"segment") - 400)
    wrong = [
        at
        for at in flipped(path, 37)
        if at in pages and not is_noticed(read, expected)
    ]
    assert not wrong and len(pages) > 1500
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-00003\.parquet: damaged"):
        table.read_nodes(tmp_path)


def test_edges(tmp_path):
    rng = np.random.default_rng(0)
    edges = places.Edges(
        np.full(200, 7, np.uint64),
        rng.integers(0, 200, (200, 2)),
        rng.normal(size=200).astype(np.float32),
    )
    table.write_edges(tmp_path, edges)

    def read():
        found = table.read_edges(tmp_path)
        return found.nodes, found.length_nm

    expected = read()
    path = tmp_path / "edges.parquet"
    pages = range(4, path.read_bytes().rfind(b"segment") - 400)
    wrong = [
        at
        for at in flipped(path, 23)
        if at in pages and not is_noticed(read, expected)
    ]
    assert not wrong and len(pages) > 1000
