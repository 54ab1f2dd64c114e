"""Meshes: a ball and a ring whose measures are known, across many blocks."""

import json
import os
import pathlib
import shutil

import cloudvolume
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.assembly import meshing
from ffn_tf.volume import place

# z, y, x. The volume does not begin at 0.
SIZE_NM = (30.3, 12.1, 7.3)
START = (5, 11, 23)
SHAPE = (40, 70, 90)
BALL, RING, DUST, WALL = 2**40 + 7, 3, 12, 5
BALL_NM = (BALL, 230.0, np.array([470.0, 400.0, 430.0]))  # Radius; x, y, z.
# Radius of the ring, of its tube; its axis is z.
RING_NM = (140.0, 80.0, np.array([470.0, 720.0, 1015.0]))
OPTIONS = meshing.Options(
    dust_threshold=30, block_zyx=(13, 29, 37), max_error_nm=6.0
)


def labels():
    grid = np.indices(SHAPE).astype(float)
    z, y, x = ((g + s + 0.5) * nm for g, s, nm in zip(grid, START, SIZE_NM))
    found = np.zeros(SHAPE, np.uint64)
    _, radius, (cx, cy, cz) = BALL_NM
    found[(x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < radius**2] = BALL
    large, small, (cx, cy, cz) = RING_NM
    away = np.hypot(x - cx, y - cy) - large
    found[away**2 + (z - cz) ** 2 < small**2] = RING
    found[0, 0, :10] = DUST
    found[:, :, -3:] = WALL  # Meets five faces of the volume.
    return found


@pytest.fixture
def segments(tmp_path):
    return made(tmp_path / "segments")


def made(folder):
    address = f"precomputed://{folder}"
    info = volume.VolumeInfo(
        volume.Box.from_size(START, SHAPE),
        np.dtype(np.uint64),
        SIZE_NM,
        chunk_zyx=(16, 16, 16),
        kind="segmentation",
    )
    with volume.create(address, info) as target:
        target.write(info.domain, labels())
    return address


def mesh(address, options=OPTIONS):
    job = meshing.Meshing(address, options)
    for box in job.begin():
        job.make(box)
    return job.finish()


def read(address, segment):
    """Vertices [n, 3] x, y, z nm and triangles, as CloudVolume reads them."""
    path = address.removeprefix("precomputed://")
    found = cloudvolume.CloudVolume(
        f"precomputed://file://{path}", progress=False
    ).mesh.get(segment)
    return found.vertices.astype(np.float64), found.faces.astype(np.int64)


def edges(triangles):
    pairs = np.concatenate(
        [triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]
    )
    return np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)


def enclosed(vertices, triangles):
    """Volume, and its centre of mass."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    six = np.einsum("ij,ij->i", a, np.cross(b, c))
    centre = (six[:, np.newaxis] * (a + b + c) / 4).sum(0) / six.sum()
    return six.sum() / 6, centre


def area(vertices, triangles):
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def check_closed(vertices, triangles, handles):
    pairs, counts = edges(triangles)
    assert set(counts.tolist()) == {2}
    euler = len(np.unique(triangles)) - len(pairs) + len(triangles)
    assert euler == 2 - 2 * handles


def test_ball(segments):
    mesh(segments)
    vertices, triangles = read(segments, BALL)
    check_closed(vertices, triangles, handles=0)
    _, radius, centre = BALL_NM
    inside, middle = enclosed(vertices, triangles)
    assert inside == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)
    np.testing.assert_allclose(middle, centre, atol=3)
    away = np.linalg.norm(vertices - centre, axis=1)
    assert abs(away - radius).max() < 30
    # Voxels have steps.
    assert 1 < area(vertices, triangles) / (4 * np.pi * radius**2) < 1.2


def test_ring(segments):
    mesh(segments)
    vertices, triangles = read(segments, RING)
    check_closed(vertices, triangles, handles=1)
    large, small, centre = RING_NM
    inside, middle = enclosed(vertices, triangles)
    assert inside == pytest.approx(2 * np.pi**2 * large * small**2, rel=0.04)
    np.testing.assert_allclose(middle, centre, atol=3)
    extent = vertices.max(0) - vertices.min(0)
    np.testing.assert_allclose(
        extent, [440, 440, 160], atol=30
    )  # Wide in x and y, flat in z.


def test_faces_of_the_volume_are_closed(segments):
    mesh(segments)
    vertices, triangles = read(segments, WALL)
    check_closed(vertices, triangles, handles=0)
    low = np.array([START[2] + SHAPE[2] - 3, START[1], START[0]])
    high = np.array(
        [START[2] + SHAPE[2], START[1] + SHAPE[1], START[0] + SHAPE[0]]
    )
    size = np.array(SIZE_NM[::-1])
    np.testing.assert_allclose(vertices.min(0), low * size, atol=1)
    np.testing.assert_allclose(vertices.max(0), high * size, atol=1)
    inside, _ = enclosed(vertices, triangles)
    # Edges and corners of the box are cut.
    assert inside == pytest.approx(((high - low) * size).prod(), rel=0.03)


def test_blocks_make_no_difference_to_the_surface(segments, tmp_path):
    exact = meshing.Options(
        dust_threshold=30, block_zyx=(13, 29, 37), max_error_nm=0
    )
    mesh(segments, exact)
    whole = made(tmp_path / "whole")
    mesh(whole, meshing.Options(dust_threshold=30, max_error_nm=0))
    for segment in (BALL, RING, WALL):
        one, other = (
            {
                tuple(sorted(map(tuple, vertices[triangle].tolist())))
                for triangle in triangles
            }
            for vertices, triangles in (
                read(segments, segment),
                read(whole, segment),
            )
        )
        assert one == other


def test_fewer_triangles(segments, tmp_path):
    mesh(segments)
    exact = made(tmp_path / "exact")
    mesh(exact, meshing.Options(dust_threshold=30, max_error_nm=0))
    few, many = (len(read(a, BALL)[1]) for a in (segments, exact))
    assert few < many / 2


def test_dust_has_no_mesh(segments):
    assert mesh(segments)[0] == 3
    folder = segments.removeprefix("precomputed://") + "/mesh"
    assert not [name for name in os.listdir(folder) if name.startswith("12:")]
    assert f"{RING}:0" in os.listdir(folder)


def files(address):
    folder = address.removeprefix("precomputed://")
    found = {}
    for path, _, names in os.walk(f"{folder}/mesh"):
        for name in names:
            with open(f"{path}/{name}", "rb") as file:
                found[os.path.relpath(f"{path}/{name}", folder)] = file.read()
    return found


def test_interrupted(segments, tmp_path):
    straight = made(tmp_path / "straight")
    mesh(straight)
    job = meshing.Meshing(segments, OPTIONS)
    todo = job.begin()
    assert len(todo) == 4 * 3 * 3
    for box in todo[5:9]:
        job.make(box)
    with pytest.raises(FileNotFoundError, match="is not done"):
        job.finish()
    info = pathlib.Path(segments.removeprefix("precomputed://")) / "info"
    assert "mesh" not in json.loads(info.read_text())
    again = meshing.Meshing(segments, OPTIONS)
    assert not again.folder.is_complete
    left = again.begin()
    assert left == todo[:5] + todo[9:]
    for box in left:
        again.make(box)
    again.finish()
    assert files(segments) == files(straight)
    assert ".partial" not in os.listdir(f"{info.parent}/mesh")
    assert meshing.Meshing(segments, OPTIONS).folder.is_complete


def test_other_options(segments):
    meshing.Meshing(segments, OPTIONS).begin()
    other = meshing.Options(dust_threshold=31, block_zyx=(13, 29, 37))
    with pytest.raises(FileExistsError, match="dust_threshold: 30, now 31"):
        meshing.Meshing(segments, other)
    mesh(segments)
    with pytest.raises(FileExistsError, match="dust_threshold: 30, now 31"):
        meshing.Meshing(segments, other)


def test_deleted(segments):
    mesh(segments)
    shutil.rmtree(segments.removeprefix("precomputed://") + "/mesh")
    other = meshing.Options(dust_threshold=31, block_zyx=(40, 70, 90))
    assert mesh(segments, other) == (3, 3)


def test_in_a_bucket(segments, gcs_bucket):
    address = made(f"gs://{gcs_bucket}/segments")
    assert mesh(address) == mesh(segments)
    assert meshing.Meshing(address, OPTIONS).folder.is_complete
    where = place.Place(f"gs://{gcs_bucket}/segments")
    assert where.read("mesh", f"{BALL}:0") == files(segments)[f"mesh/{BALL}:0"]
    assert where.read("mesh/.partial/job.json") is None


def test_meshes_of_others(segments):
    path = pathlib.Path(segments.removeprefix("precomputed://")) / "info"
    info = json.loads(path.read_text()) | {"mesh": "mesh_mip_2_err_40"}
    path.write_text(json.dumps(info))
    with pytest.raises(FileExistsError, match="mesh_mip_2_err_40"):
        meshing.Meshing(segments, OPTIONS)


def test_what_has_no_meshes(tmp_path):
    with volume.create(
        f"{tmp_path}/labels.h5:raw",
        volume.VolumeInfo(
            volume.Box.from_shape((2, 3, 4)), np.dtype(np.uint8), (1, 1, 1)
        ),
    ):
        pass
    with pytest.raises(ValueError, match="only precomputed volumes"):
        meshing.Meshing(f"{tmp_path}/labels.h5:raw", OPTIONS)


def test_no_segment(tmp_path):
    address = made(tmp_path / "segments")
    options = meshing.Options(dust_threshold=10**6)
    assert mesh(address, options) == (0, 0)
    assert meshing.Meshing(address, options).folder.is_complete
