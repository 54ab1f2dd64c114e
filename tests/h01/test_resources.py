"""What of the small release is no volume: skeletons, embeddings, tables."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from ffn_tf import info, volume
from ffn_tf.volume import dataset, verification
from h01 import layout, release, tissue

FOLDER = layout.VOLUMES["c3"].path


def archive_of(h01, name, segment):
    described = dataset.load(tissue.DATASET).resources[name]
    folder = described.address.removeprefix("gs://h01-release/")
    path = f"{folder}/{release.shard_of(segment)}.zip"
    data = h01.server.get(release.BUCKET, path)
    return zipfile.ZipFile(io.BytesIO(data))


@pytest.mark.parametrize(
    "segment, shards",
    [
        (1014493630, (4378, 2187, 2187)),
        (864691135293126156, (8617, 5645, 25645)),
        (864691135591041291, (885, 7443, 7443)),
    ],
)
def test_archives_are_numbered_as_in_the_release(segment, shards):
    assert shards == (
        release.shard_of(segment),
        release.shard_of(segment, 8),
        release.shard_of(segment, 8, 50_000),
    )


def test_embeddings_are_where_their_segment_is(h01):
    assert tissue.FIRST_ID in h01.embeddings
    with volume.open(f"{tissue.DATASET}#c3") as labels:
        for segment, expected in h01.embeddings.items():
            with archive_of(h01, "segclr_embeddings_nm", segment) as archive:
                lines = archive.read(f"{segment}.csv").decode().splitlines()
            rows = np.array([line.split(",") for line in lines], float)
            np.testing.assert_array_equal(rows[:, 4:], expected)
            for x, y, z in rows[:, 1:4]:
                at = (int(z / 33), int(y / 8), int(x / 8))
                box = volume.Box.from_size(at, (1, 1, 1))
                assert labels.read(box) == segment


def test_embeddings_in_voxels_are_those_in_nm(h01):
    for segment in h01.embeddings:
        rows = []
        for name in ("segclr_embeddings", "segclr_embeddings_nm"):
            with archive_of(h01, name, segment) as archive:
                text = archive.read(f"{segment}.csv").decode()
            rows.append(
                np.array([row.split(",") for row in text.splitlines()], float)
            )
        voxels, nm = (found[:, 1:4] for found in rows)
        assert np.abs(voxels * (32, 32, 33) - nm).max() <= 33
        np.testing.assert_array_equal(rows[0][:, 4:], rows[1][:, 4:])


def test_skeletons_by_cloudvolume(h01):
    cloudvolume = pytest.importorskip("cloudvolume")
    # Without a look for credentials, as ffn_tf reads it.
    with volume.open(f"{tissue.DATASET}#c3?access=cloudvolume"):
        pass
    seen = cloudvolume.CloudVolume(
        f"precomputed://gs://h01-release/{FOLDER}", progress=False
    )
    first = h01.tissue.blocks["neuropil"].start
    for segment, expected in h01.tissue.skeletons.items():
        found = seen.skeleton.get(segment)
        np.testing.assert_array_equal(
            found.vertices[:, ::-1], expected.vertices_nm
        )
        np.testing.assert_array_equal(found.radius, expected.radius_nm)
        ends = np.sort(expected.edges, 1)
        np.testing.assert_array_equal(
            np.unique(np.sort(found.edges, 1), axis=0), np.unique(ends, axis=0)
        )
        at = np.floor(expected.vertices_nm.astype(float) / tissue.SIZE_NM)
        z, y, x = (at - first).astype(int).T
        assert (h01.tissue.labels[z, y, x] == segment).mean() > 0.95
    assert len(h01.tissue.skeletons) > 5


def test_proofread_neurons(h01):
    path = "data/20210601/proofread_104/skeletons/104_proofread_neurons_swc.zip"
    data = h01.server.get(release.BUCKET, path)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 3
        for name in archive.namelist():
            rows = np.loadtxt(archive.read(name).decode().splitlines(), ndmin=2)
            segment = int(name.removesuffix(".swc"))
            expected = h01.tissue.skeletons[segment]
            parents = rows[:, 6].astype(int)
            assert (parents < rows[:, 0]).all() and -1 in parents
            assert (parents > 0).sum() == len(expected.edges)
            assert len(rows) == len(expected.vertices_nm)


def test_types_of_segments(h01):
    path = f"{FOLDER}/segment_properties/info"
    inline = json.loads(h01.server.get(release.BUCKET, path))["inline"]
    kinds = dict(zip(inline["ids"], inline["properties"][0]["values"]))
    assert kinds[f"{tissue.FIRST_ID}"] == h01.tissue.types[tissue.FIRST_ID]
    ids = {f"{segment}" for segment in np.unique(h01.tissue.labels)}
    assert ids <= set(kinds)


def test_every_resource_is_there(h01):
    described = dataset.load(tissue.DATASET).resources
    for name, item in described.items():
        check = verification.resource(name, item.address, set())
        assert check.passed, check
        assert check.detail.startswith(
            "a file of " * item.address.endswith("p")
        )
        told = info.run(f"{tissue.DATASET}#{name}")
        assert told["address"] == item.address and told["kind"]
    gone = verification.resource("gone", "gs://h01-release/data/nothing", set())
    assert gone.passed is False
    assert gone.detail == "gs://h01-release/data/nothing: nothing is there."
    elsewhere = verification.resource("page", "https://example.org", set())
    assert elsewhere.passed is None
    assert not h01.server.state().statuses.get(500)
