"""Results of a run, and which voxels each of them gives."""

import hashlib
import shutil

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import subvolumes

from ffn_tf import volume
from ffn_tf.assembly import pieces as pieces_lib
from ffn_tf.inference import archive, pickles, subvolume, tiling
from ffn_tf.inference import request as request_lib

LABELS = np.arange(1, 1 + 11 * 14 * 9).reshape(11, 14, 9)


def corners(found):
    return [piece.box.start for piece in found.all]


def test_by_hand(tmp_path):
    """Two along z, three along y; overlaps of 3 (odd) and 4."""
    subvolumes.cut(tmp_path, LABELS, (7, 8, 9), (3, 4, 2), start=(2, 3, 5))
    found = pieces_lib.found(str(tmp_path))
    assert corners(found) == [
        (2, 3, 5),
        (2, 7, 5),
        (2, 11, 5),
        (6, 3, 5),
        (6, 7, 5),
        (6, 11, 5),
    ]
    assert [piece.core for piece in found.all[:3]] == [
        volume.Box((2, 3, 5), (7, 9, 14)),
        volume.Box((2, 9, 5), (7, 13, 14)),
        volume.Box((2, 13, 5), (7, 17, 14)),
    ]
    assert found.all[4].core == volume.Box((7, 9, 5), (13, 13, 14))
    assert found.domain == volume.Box.from_size((2, 3, 5), LABELS.shape)
    assert found.voxel_size_nm == (40, 8, 4)
    assert found.missing == ()
    assert found.gap_zyx == (1, 0, 0)
    assert found.made_by["model_checkpoint"] == "sha256:1"
    assert "start_zyx" not in found.made_by
    assert list(found.neighbours(0)) == [1, 3, 4]
    assert list(found.neighbours(1)) == [2, 3, 4, 5]
    assert list(found.neighbours(5)) == []


def test_one_piece(tmp_path):
    subvolumes.save(tmp_path, (4, 5, 6), LABELS)
    found = pieces_lib.found(str(tmp_path))
    (piece,) = found.all
    assert piece.box == piece.core == found.domain
    assert found.gap_zyx == (0, 0, 0)


def test_a_piece_that_is_nearly_within_its_neighbour(tmp_path):
    """The last one adds one plane; three lie over each other."""
    line = np.arange(1, 14).reshape(13, 1, 1)
    subvolumes.cut(tmp_path, line, (8, 1, 1), (6, 0, 0))
    found = pieces_lib.found(str(tmp_path))
    boxes = [(p.box.start[0], p.box.end[0]) for p in found.all]
    cores = [(p.core.start[0], p.core.end[0]) for p in found.all]
    assert boxes == [(0, 8), (2, 10), (4, 12), (6, 13)]
    assert cores == [(0, 5), (5, 7), (7, 9), (9, 13)]
    assert list(found.neighbours(0)) == [1, 2, 3]


SIDES = st.tuples(*[st.integers(1, 40)] * 3)


@hypothesis.settings(max_examples=25)
@hypothesis.given(SIDES, SIDES, SIDES, SIDES)
def test_cores_tile_the_domain(tmp_path_factory, domain, size, overlap, start):
    size = tuple(max(5, n) for n in size)
    overlap = tuple(min(max(2, o), s - 1) for o, s in zip(overlap, size))
    labels = np.zeros(tuple(n % 12 + 1 for n in domain), np.uint8)
    folder = tmp_path_factory.mktemp("run")
    subvolumes.cut(folder, labels, size, overlap, start=start)
    found = pieces_lib.found(str(folder))
    shutil.rmtree(folder)
    assert found.domain == volume.Box.from_size(start, labels.shape)
    for piece in found.all:
        assert piece.box.contains(piece.core) and not piece.core.is_empty
        labels[piece.core.relative_to(start).slices] += 1
    assert (labels == 1).all()


def test_the_digest_is_of_voxels_not_of_paths(tmp_path):
    for name in ("a", "b"):
        subvolumes.cut(tmp_path / name, LABELS, (7, 8, 9), (3, 4, 2))
    digests = [
        pieces_lib.found(str(tmp_path / name)).digest for name in ("a", "b")
    ]
    assert digests[0] == digests[1]
    other = LABELS.copy()
    other[0, 0, 0] = 7
    subvolumes.cut(tmp_path / "a", other, (7, 8, 9), (3, 4, 2))
    assert pieces_lib.found(str(tmp_path / "a")).digest != digests[0]


def test_a_network_that_lies_elsewhere_now_is_the_same(tmp_path):
    """A run that goes on after its network was moved is one run."""
    for z, path in ((0, "net"), (4, "moved/net")):
        made = {**subvolumes.MADE, "model": {"path": path, "digest": "1"}}
        made["code"] = f"0.1.{z}"
        subvolumes.save(tmp_path, (z, 0, 0), LABELS[:7], made=made)
    assert len(pieces_lib.found(str(tmp_path)).all) == 2


def test_voxels_of_unknown_size(tmp_path):
    made = {**subvolumes.MADE, "voxel_size_nm": (1, 1, 1)}
    subvolumes.save(tmp_path, (0, 0, 0), LABELS, made=made)
    assert pieces_lib.found(str(tmp_path)).voxel_size_nm == (1, 1, 1)


# -----------------------------------------------------------------------------
# google/ffn's
# -----------------------------------------------------------------------------


def google(folder, corner, labels, request=b""):
    """A file without provenance, as google/ffn writes it."""
    archive.write(
        subvolume.path_for(folder, corner),
        {
            "segmentation": labels.astype(np.uint16),
            "origins": pickles.origins_member({}),
            "request": np.array(request),
        },
    )


@pytest.fixture
def request_of():
    """request_of(size): a serialized request of a field of view, xyz."""

    def make(fov_xyz=(9, 7, 5)):
        return request_lib.serialized(
            request_lib.InferenceRequest(
                image="em.h5:raw",
                model_checkpoint="net",
                segmentation_output_dir="out",
                model_args={"depth": 9, "fov_size": fov_xyz},
            )
        )

    return make


def test_of_google(tmp_path, request_of):
    """The field of view is in its request: z 5, y 7, x 9."""
    google(tmp_path, (0, 0, 0), LABELS[:7], request_of())
    google(tmp_path, (4, 0, 0), LABELS[4:], request_of())
    found = pieces_lib.found(str(tmp_path))
    assert found.gap_zyx == (1, 0, 0)
    assert found.voxel_size_nm == (1, 1, 1)
    assert found.made_by == {
        "request": hashlib.sha256(request_of()).hexdigest()
    }


def test_of_two_requests_of_google(tmp_path, request_of):
    google(tmp_path, (0, 0, 0), LABELS[:7], request_of())
    google(tmp_path, (4, 0, 0), LABELS[4:], request_of((3, 3, 3)))
    with pytest.raises(ValueError, match=r"not of one run \(request: "):
        pieces_lib.found(str(tmp_path))


def test_of_google_without_a_request(tmp_path):
    google(tmp_path, (0, 0, 0), LABELS[:7])
    google(tmp_path, (6, 0, 0), LABELS[6:])
    assert pieces_lib.found(str(tmp_path)).gap_zyx == (0, 0, 0)


def test_the_overlap_of_google_is_refused(tmp_path, request_of):
    google(tmp_path, (0, 0, 0), LABELS[:, :, :7], request_of())
    google(tmp_path, (0, 0, 4), LABELS[:, :, 4:], request_of())
    with pytest.raises(ValueError, match=r"at x 4 overlap by 3 .* view, 4,"):
        pieces_lib.found(str(tmp_path))


def test_a_real_one_of_google(tmp_path, fib25):
    """Its request asks for what we could not do."""
    path = fib25 / "sample-training2.npz"
    for z in (9, 9 + 250 - 16):
        shutil.copy(path, tmp_path / f"seg-7_8_{z}.npz")
    found = pieces_lib.found(str(tmp_path))
    assert found.all[0].box == volume.Box.from_size((9, 8, 7), (250, 250, 250))
    assert found.gap_zyx == (16, 0, 0)  # Half of 33 is 16.


# -----------------------------------------------------------------------------
# Bad input
# -----------------------------------------------------------------------------


def test_no_pieces(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(FileNotFoundError) as error:
            pieces_lib.found(str(folder))
        assert str(error.value) == (
            f"{folder}: no seg-<x>_<y>_<z>.npz in it; expected the "
            f"--segmentation_output_dir of run_inference."
        )


@pytest.mark.parametrize(("overlap", "ok"), [(0, 0), (1, 0), (2, 1), (4, 1)])
def test_an_overlap_below_half_a_field_of_view(tmp_path, overlap, ok):
    subvolumes.cut(tmp_path, LABELS, (11, 8, 9), (0, overlap, 0))
    if ok:
        found = pieces_lib.found(str(tmp_path))
        assert found.gap_zyx == (0, 4 - overlap, 0)
        return
    with pytest.raises(ValueError) as error:
        pieces_lib.found(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path}: the subvolumes that meet at y {8 - overlap} overlap by "
        f"{overlap} voxels; expected at least half a field of view, 2, for "
        f"objects to be recognised, and better twice that. Run run_inference "
        f"with a larger --overlap_zyx (or with what is missing in between)."
    )


def test_a_missing_one(tmp_path):
    paths = subvolumes.cut(tmp_path, LABELS, (7, 8, 9), (3, 4, 2))
    paths[4].unlink()
    with pytest.raises(FileNotFoundError) as error:
        pieces_lib.found(str(tmp_path))
    assert str(error.value).startswith(
        f"{tmp_path}: 1 of 6 subvolumes are missing, at zyx (4, 4, 0). Run "
    )
    found = pieces_lib.found(str(tmp_path), allow_missing=True)
    assert found.missing == ((4, 4, 0),)
    assert len(found.all) == 5
    assert found.all[0].core == volume.Box((0, 0, 0), (5, 6, 9))


def test_missing_or_without_tissue(tmp_path):
    """As the folder says it, also of planes that have nothing."""
    paths = subvolumes.cut(tmp_path, LABELS, (5, 8, 9), (3, 4, 2))
    files = subvolume.find(tmp_path)
    boxes = [subvolume.header(path).box for path in paths]
    assert {box.start[0] for box in boxes} == {0, 2, 4, 6}
    axes = volume.grid.intervals(
        volume.Box.from_shape(LABELS.shape), (5, 8, 9), overlap=(3, 4, 2)
    )
    tissue = frozenset(b.start for b in boxes if b.start[0] != 2)
    for box in boxes:
        if box.start[0] in (2, 6):
            files[box.start].unlink()
    with pytest.raises(ValueError, match="meet at z 4 overlap by 1 voxels"):
        pieces_lib.found(str(tmp_path))
    tiling.write(tmp_path, tiling.Tiling(axes, tissue))
    with pytest.raises(FileNotFoundError, match="3 of 9 subvolumes are mis"):
        pieces_lib.found(str(tmp_path))
    found = pieces_lib.found(str(tmp_path), allow_missing=True)
    assert found.missing == ((6, 0, 0), (6, 4, 0), (6, 8, 0))
    assert found.empty == 3
    assert found.all[0].core == volume.Box((0, 0, 0), (3, 6, 9))
    # Of another run: what is there counts.
    tiling.write(tmp_path, tiling.Tiling(axes, frozenset({(0, 0, 0)})))
    with pytest.raises(ValueError, match="meet at z 4 overlap by 1 voxels"):
        pieces_lib.found(str(tmp_path))


def test_many_missing_ones(tmp_path):
    """Of a plane without any, nothing is known but the gap."""
    paths = subvolumes.cut(tmp_path, LABELS, (3, 4, 9), (2, 2, 0))
    for path in paths[1:-1]:
        path.unlink()
    with pytest.raises(ValueError, match="meet at z 8 overlap by -5 voxels"):
        pieces_lib.found(str(tmp_path), allow_missing=True)


@pytest.mark.parametrize("name", ["model_checkpoint", "move_threshold"])
def test_of_two_runs(tmp_path, name):
    first = subvolumes.save(tmp_path, (0, 0, 0), LABELS[:7])
    made = {**subvolumes.MADE, name: "other"}
    second = subvolumes.save(tmp_path, (4, 0, 0), LABELS[4:], made=made)
    was = subvolumes.MADE.get(name)
    with pytest.raises(ValueError) as error:
        pieces_lib.found(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path}: {first.name} and {second.name} are not of one run "
        f"({name}: {was!r} and 'other'), so their objects cannot be compared. "
        f"Expected the results of one run_inference."
    )


def test_of_ours_and_of_google(tmp_path, request_of):
    """The message stays short, however much there is to tell."""
    made = {**subvolumes.MADE, "origin": {"options": "long " * 999}}
    subvolumes.save(tmp_path, (0, 0, 0), LABELS[:7], made=made)
    google(tmp_path, (4, 0, 0), LABELS[4:], request_of())
    with pytest.raises(ValueError, match="are not of one run") as error:
        pieces_lib.found(str(tmp_path))
    assert len(str(error.value)) < 1000


def test_not_a_grid(tmp_path):
    """One begins where the other does, but ends elsewhere; one in another."""
    subvolumes.save(tmp_path, (0, 0, 0), LABELS[:7])
    subvolumes.save(tmp_path, (0, 7, 0), LABELS[:6, 7:])
    with pytest.raises(ValueError, match="z 0 to 6 and at 0 to 7; expected"):
        pieces_lib.found(str(tmp_path))
    subvolumes.save(tmp_path, (0, 0, 0), LABELS[:6, 2:5])
    with pytest.raises(ValueError, match="overlap by"):
        pieces_lib.found(str(tmp_path))
    subvolumes.save(tmp_path, (0, 0, 0), LABELS[:6])
    subvolumes.save(tmp_path, (0, 7, 0), LABELS[:6, 7:9])
    with pytest.raises(ValueError, match="none lies within another"):
        pieces_lib.found(str(tmp_path))


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_truncated_file(tmp_path, size):
    path = subvolumes.save(tmp_path, (0, 0, 0), LABELS)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        ValueError, match=r"seg-0_0_0\.npz: cannot be read as a"
    ):
        pieces_lib.found(str(tmp_path))


def test_a_file_of_another_name(tmp_path):
    path = subvolumes.save(tmp_path, (0, 0, 0), LABELS)
    path.rename(path.with_name("seg-1_2_3.npz"))
    with pytest.raises(ValueError, match="the name says corner zyx"):
        pieces_lib.found(str(tmp_path))
