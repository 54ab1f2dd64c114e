"""aggregate: means along neurites, from table to table."""

import dataclasses
import pathlib

import numpy as np
import pytest

from ffn_tf.volume import files
from segclr import aggregate
from segclr.aggregation import geodesic
from segclr.embedding import places, table


@pytest.fixture
def embeddings(tmp_path):
    """Two neurites, in parts of any order; node 3 of one was left out."""
    rng = np.random.default_rng(0)
    ids = np.array([2**63 + 7, 5], np.uint64)
    segment = np.repeat(ids, [9, 6])
    node = np.concatenate([np.arange(9), [0, 1, 2, 4, 5, 6]])
    order = rng.permutation(15)
    vectors = rng.normal(size=(15, 4)).astype(np.float32)
    for number, some in enumerate(np.split(order, [4, 9])):
        table.write_nodes(
            table.part(tmp_path, number),
            table.Nodes(
                segment[some],
                node[some],
                np.full((len(some), 3), 7.0),
                np.ones(len(some), np.float32),
                np.ones(len(some), bool),
                vectors[some],
            ),
        )
    chain = np.stack([np.arange(1, 9), np.arange(8)], axis=1)
    table.write_edges(
        tmp_path,
        places.Edges(
            np.repeat(ids[[1, 0]], [6, 8]),
            np.concatenate([chain[:6], chain]),
            np.full(14, 1000, np.float32),
        ),
    )
    (tmp_path / "embed.json").write_text('{"options": {"spacing_nm": 1500}}')
    (tmp_path / "places").mkdir()
    np.save(tmp_path / "places" / "starts.npy", [0, 4, 9, 15])
    return tmp_path


def options(embeddings, tmp_path, radius=2.0):
    return aggregate.Options(str(embeddings), f"{tmp_path}/means", radius)


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_means(embeddings, tmp_path, monkeypatch, size):
    monkeypatch.setattr(aggregate, "_PART", size)
    summary = aggregate.run(options(embeddings, tmp_path))
    assert (summary.nodes, summary.segments) == (15, 2)
    before = table.read_nodes(embeddings)
    after = table.read_nodes(tmp_path / "means")
    np.testing.assert_array_equal(before.segment, after.segment)
    np.testing.assert_array_equal(before.node, after.node)
    large = before.segment == 2**63 + 7
    chain = np.stack([np.arange(8), np.arange(1, 9)], axis=1)
    expected = geodesic.means(
        before.embedding[large], chain, np.full(8, 1000.0), 2000.0
    )
    np.testing.assert_allclose(after.embedding[large], expected)
    # Of the other: 0-1-2 and 4-5-6 are apart.
    rest = before.embedding[~large]
    np.testing.assert_allclose(
        after.embedding[~large][[0, 3]],
        [rest[:3].mean(0), rest[3:].mean(0)],
        rtol=1e-6,
    )
    assert len(list((tmp_path / "means" / "nodes").iterdir())) == (
        2 if size == 1 else 1
    )
    edges = table.read_edges(tmp_path / "means")
    assert len(edges.segment) == 14


def test_again(embeddings, tmp_path):
    first = options(embeddings, tmp_path)
    aggregate.run(first)
    assert aggregate.run(first).nodes is None
    with pytest.raises(FileExistsError, match="radius_um"):
        aggregate.run(dataclasses.replace(first, radius_um=3.0))


def test_other_embeddings_and_unfinished_ones(embeddings, tmp_path):
    aggregate.run(options(embeddings, tmp_path))
    (tmp_path / "embed.json").write_text('{"options": {"spacing_nm": 900}}')
    with pytest.raises(FileExistsError, match="spacing_nm"):
        aggregate.run(options(embeddings, tmp_path))
    table.part(tmp_path, 1).unlink()
    with pytest.raises(ValueError, match="1 of 3 parts are still to be made"):
        aggregate.run(options(embeddings, tmp_path))
    (tmp_path / "embed.json").write_text("{")
    with pytest.raises(ValueError, match=r"embed\.json: damaged"):
        aggregate.run(options(embeddings, tmp_path))


def test_somebody_else_is_at_it(embeddings, tmp_path):
    (tmp_path / "means").mkdir()
    with files.locked(tmp_path / "means", "averaging into it"):
        with pytest.raises(BlockingIOError, match="averaging into it"):
            aggregate.run(options(embeddings, tmp_path))


def test_radius_0_is_the_node(embeddings, tmp_path):
    aggregate.run(options(embeddings, tmp_path, 0.0))
    np.testing.assert_array_equal(
        table.read_nodes(tmp_path / "means").embedding,
        table.read_nodes(embeddings).embedding,
    )


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="--radius_um: expected 0 or more"):
        options(tmp_path, tmp_path, -1.0)
    with pytest.raises(
        FileNotFoundError, match=r"make them with segclr\.embed"
    ):
        aggregate.run(options(tmp_path / "nothing", tmp_path))


def test_command_line(embeddings, tmp_path, command):
    ran = command(
        "aggregate",
        f"--embeddings={embeddings}",
        f"--output_dir={tmp_path}/means",
        "--radius_um=1",
        package="segclr",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Wrote means of 15 nodes of 2 segments in ")
    assert pathlib.Path(tmp_path / "means" / "edges.parquet").exists()
