"""embed: what comes out, whoever works; killed; bad input; the program."""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from ffn_tf import skeletonize, volume
from ffn_tf.jobs import run as jobs
from ffn_tf.skeleton import Skeleton, swc
from segclr import embed, model
from segclr.cutouts import reading
from segclr.embedding import csvzip, engine, table
from segclr.embedding import run as run_lib


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Not trained, and of small cutouts."""
    keras.utils.set_random_seed(3)
    made = model.Encoder(
        "resnet10",
        width=2,
        embedding=6,
        size_zyx=(9, 9, 9),
        voxel_size_nm=(10.0, 10.0, 10.0),
    )
    made.build()
    rng = np.random.default_rng(0)
    for weight in made.weights:  # As far from 0 as trained ones.
        if "variance" not in weight.path and "gamma" not in weight.path:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    folder = tmp_path_factory.mktemp("encoder")
    model.save(made, folder, {})
    return str(folder)


@pytest.fixture
def options(world, encoder, tmp_path):
    return run_lib.Options(
        encoder,
        world["image"],
        world["segmentation"],
        f"{tmp_path}/out",
        world["skeletons"],
        spacing_nm=60.0,
        compute_dtype="float32",
    )


@pytest.fixture
def small_tasks(monkeypatch):
    monkeypatch.setattr(run_lib, "_MOST", 5)


def read(options):
    return table.read_nodes(pathlib.Path(options.output_dir))


def assert_same(one, other):
    for field in dataclasses.fields(table.Nodes):
        np.testing.assert_array_equal(
            getattr(one, field.name), getattr(other, field.name)
        )


def test_places_of_a_table_and_skeletons_beside(options, world, tmp_path):
    path = tmp_path / "nodes.csv"
    path.write_text("segment,z_nm,y_nm,x_nm\n2,125,185,405\n1,125,65,805\n")
    embed.run(dataclasses.replace(options, skeletons="", nodes=str(path)))
    found = read(options)
    assert found.segment.tolist() == [1, 2]
    assert found.position_nm_zyx.tolist() == [[125, 65, 805], [125, 185, 405]]
    with pytest.raises(ValueError, match="not both"):
        embed.run(dataclasses.replace(options, nodes=str(path)))
    other = dataclasses.replace(options, output_dir=f"{tmp_path}/other")
    with pytest.raises(ValueError, match="no skeletons in its folder"):
        embed.run(dataclasses.replace(other, skeletons=""))
    labels = f"precomputed://{tmp_path}/labels"
    with (
        volume.open(world["segmentation"]) as source,
        volume.create(labels, source.info) as target,
    ):
        target.write(source.domain, source.read())
    skeletonize.run(skeletonize.Options(labels))
    beside = dataclasses.replace(other, segmentation=labels, skeletons="")
    assert embed.run(beside).nodes > 10


@pytest.mark.usefixtures("small_tasks")
def test_each_node_has_its_cutout_s_embedding(options, encoder):
    summary = embed.run(options)
    found = read(options)
    assert summary.nodes == len(found) == summary.made > 80
    assert summary.segments == 4
    assert found.is_inside.all() and not summary.empty
    assert (np.diff(found.node)[np.diff(found.segment) == 0] == 1).all()
    loaded = model.load(encoder)
    with reading.Cutouts(
        options.image, options.segmentation, (9, 9, 9)
    ) as opened:
        seen = opened.read(
            opened.voxels_zyx(found.position_nm_zyx), found.segment
        )
    expected = np.asarray(loaded(seen.cutouts("masked_em")[..., None]))
    np.testing.assert_allclose(found.embedding, expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 1e-3


@pytest.mark.usefixtures("small_tasks")
def test_edges_lead_along_the_neurites(options):
    embed.run(options)
    found = read(options)
    edges = table.read_edges(pathlib.Path(options.output_dir), np.array([2]))
    assert set(edges.segment.tolist()) == {2}
    mine = found.segment == 2
    assert len(edges.nodes) == mine.sum() - 1
    place = found.position_nm_zyx[mine]
    straight = np.linalg.norm(
        place[edges.nodes[:, 0]] - place[edges.nodes[:, 1]], axis=1
    )
    np.testing.assert_allclose(edges.length_nm, straight, rtol=0.3)


def test_the_released_layout(options, tmp_path):
    more = embed.Options(f"{tmp_path}/zips", num_shards=3, bytewidth=8)
    embed.run(options, more)
    found = read(options)
    reader = csvzip.Reader(f"{tmp_path}/zips", csvzip.Layout(3, 8), 6)
    for segment in range(1, 5):
        rows = reader.get(segment)
        mine = found.segment == segment
        np.testing.assert_array_equal(rows.node_ids, found.node[mine])
        np.testing.assert_array_equal(rows.vectors, found.embedding[mine])
        np.testing.assert_allclose(
            rows.positions_xyz[:, 0], found.position_nm_zyx[mine][:, 2]
        )


@pytest.mark.usefixtures("small_tasks")
def test_processes_shards_and_a_second_run(options, tmp_path):
    embed.run(options)
    expected = read(options)
    shared = dataclasses.replace(options, output_dir=f"{tmp_path}/shared")
    first = embed.run(shared, who=jobs.Options(shard="0/2"))
    assert first.missing > 0 and first.nodes == 0
    second = embed.run(
        shared,
        who=jobs.Options(executor="processes", workers=2, shard="1/2"),
    )
    assert second.missing == 0 and second.nodes == len(expected)
    assert_same(read(shared), expected)
    assert embed.run(shared).made == 0
    other = dataclasses.replace(shared, spacing_nm=50.0)
    with pytest.raises(FileExistsError, match=r"other options \(spacing_nm"):
        embed.run(other)


@pytest.mark.usefixtures("small_tasks")
def test_what_was_read(options, tmp_path):
    """Of all workers, over all attempts."""
    shared = dataclasses.replace(options, output_dir=f"{tmp_path}/shared")
    who = jobs.Options(executor="processes", workers=2, shard="0/2")
    half = embed.run(shared, who=who)
    assert half.chunks_touched == 0
    assert 0 < half.statistics.nodes == half.made
    whole = embed.run(
        shared, who=jobs.Options("processes", workers=1, shard="1/2")
    )
    read = whole.statistics
    assert read.nodes == whole.nodes == half.made + whole.made
    # The neurites go through all chunks.
    with reading.Cutouts(
        options.image, options.segmentation, (9, 9, 9)
    ) as opened:
        sizes = [
            -(-np.array(one.domain.size) // one.info.chunk_zyx)
            for one in (opened.image, opened.segmentation)
        ]
    assert whole.chunks_touched == sum(int(np.prod(n)) for n in sizes)
    # Each of three workers has read each chunk once at most.
    assert whole.chunks_touched <= read.chunk_reads <= 3 * whole.chunks_touched
    assert read.chunks_wanted >= 2 * read.nodes
    assert read.bytes_read > 1000
    assert (
        min(read.storage_seconds, read.host_seconds, read.network_seconds) > 0
    )
    assert read.waiting_seconds + read.network_seconds <= read.seconds
    assert embed.run(shared).statistics == read


def test_killed_and_run_again(options, tmp_path):
    """No node twice, none missing."""
    program = (
        "import sys\n"
        "from segclr import embed\n"
        "from segclr.embedding import run\n"
        "run._MOST = 3\n"
        "embed.run(run.Options(*sys.argv[1:6], spacing_nm=60.0, "
        "compute_dtype='float32'))\n"
    )
    arguments = list(dataclasses.astuple(options)[:5])
    nodes = tmp_path / "out" / "nodes"
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stderr=subprocess.DEVNULL,
    ) as process:
        while len(list(nodes.glob("*.parquet"))) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    before = {p: p.stat().st_mtime_ns for p in nodes.glob("*.parquet")}
    summary = embed.run(options)
    assert 0 < summary.made < summary.nodes
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    whole = dataclasses.replace(options, output_dir=f"{tmp_path}/whole")
    embed.run(whole)
    assert_same(read(options), read(whole))


def test_engines(options, tmp_path):
    found = {}
    for name in ("tensorflow", "openvino"):
        one = dataclasses.replace(
            options, engine=name, output_dir=f"{tmp_path}/{name}", batch_size=3
        )
        embed.run(one)
        found[name] = read(one).embedding
    np.testing.assert_allclose(*found.values(), rtol=1e-3, atol=1e-4)


def test_float16(options):
    embed.run(dataclasses.replace(options, dtype="float16"))
    assert read(options).embedding.dtype == np.float16


def test_command_line(options, command):
    ran = command(
        "embed",
        *(
            f"--{name}={getattr(options, name)}"
            for name in (
                "encoder",
                "image",
                "segmentation",
                "skeletons",
                "output_dir",
            )
        ),
        "--spacing_nm=300",
        package="segclr",
    )
    assert ran.returncode == 0, ran.stderr
    assert "\nWrote embeddings of " in ran.stdout
    assert re.match(
        r"Reading: \d+ chunks read 1\.00 times each \(\d", ran.stdout
    )
    assert "of 4 segments" in ran.stdout


def lines(folder, id_, place):
    """A skeleton of two vertices, z, y, x nm."""
    vertices = np.array([place, place], float) + [[0, 0, 0], [0, 0, 30]]
    one = Skeleton(id_, vertices, np.array([[0, 1]]))
    folder.mkdir(exist_ok=True)
    (folder / f"{id_}.swc").write_bytes(swc.encode(one))
    return str(folder)


def test_an_empty_mask(options, tmp_path):
    """Skeletons of another segmentation, or of a segment that is gone."""
    folder = lines(tmp_path / "swc", 77, (120, 60, 500))
    lines(tmp_path / "swc", 1, (120, 60, 500))
    wrong = dataclasses.replace(options, skeletons=folder)
    with pytest.raises(ValueError, match=r"No voxel of segment 77 .*--skip_em"):
        embed.run(wrong)
    shutil.rmtree(options.output_dir)
    summary = embed.run(dataclasses.replace(wrong, skip_empty=True))
    assert (summary.nodes, summary.empty) == (1, 1)


def test_a_node_outside_of_its_segment(options, tmp_path):
    near = lines(tmp_path / "swc", 1, (120, 105, 500))  # In the gap.
    summary = embed.run(dataclasses.replace(options, skeletons=near))
    assert summary.outside == summary.nodes == 1


def test_a_node_outside_of_the_volume(options, tmp_path):
    far = lines(tmp_path / "swc", 1, (120, 60, 5000))
    with pytest.raises(ValueError, match=r"Place 0 is z, y, x = .* another"):
        embed.run(dataclasses.replace(options, skeletons=far))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "nothing"}, "No encoder in nothing"),
        ({"engine": "torch"}, "Expected an engine of"),
        (
            {"engine": "tensorflow", "compute_dtype": "bfloat16"},
            "needs --engine=openvino",
        ),
        ({"batch_size": 0}, "--batch_size: expected 1"),
        ({"skeletons": "nothing"}, "no such file or folder"),
    ],
)
def test_bad_input(options, changes, message):
    with pytest.raises((ValueError, OSError), match=message):
        embed.run(dataclasses.replace(options, **changes))


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_part(options, damage):
    """It is named, and made anew when it is deleted."""
    embed.run(options)
    expected = read(options)
    part = table.part(pathlib.Path(options.output_dir), 2)
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:50])
    else:
        flip(part, 60)  # In the first page.
    with pytest.raises(
        ValueError, match=r"part-00002\.parquet: damaged.*Delete it, and run"
    ):
        read(options)
    part.unlink()
    assert 0 < embed.run(options).made <= 5
    assert_same(read(options), expected)


def test_damaged_edges(options):
    embed.run(options)
    folder = pathlib.Path(options.output_dir)
    expected = table.read_edges(folder)
    flip(folder / "edges.parquet", 60)
    with pytest.raises(
        ValueError, match=r"edges\.parquet: damaged.*Delete it and .*`places`"
    ):
        table.read_edges(folder)
    (folder / "edges.parquet").unlink()
    shutil.rmtree(folder / "places")
    assert embed.run(options).made == 0
    found = table.read_edges(folder)
    np.testing.assert_array_equal(found.nodes, expected.nodes)


def test_no_processor_s_bfloat16(monkeypatch):
    from ffn_tf.inference import engine_openvino

    monkeypatch.setattr(engine_openvino, "capabilities", lambda: ["FP32"])
    assert engine.resolved("openvino", "auto") == ("openvino", "float32")
    with pytest.raises(ValueError, match="has no such arithmetic"):
        engine.resolved("openvino", "bfloat16")
