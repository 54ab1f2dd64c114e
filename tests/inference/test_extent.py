"""Which pieces a run is cut into: those that can be put together again."""

import numpy as np
import pytest
import subvolumes

from ffn_tf import volume
from ffn_tf.assembly import pieces as pieces_lib
from ffn_tf.inference import extent
from ffn_tf.model import fov

VIEW = fov.FieldOfView((5, 7, 9), (1, 1, 1))
BOX = volume.Box.from_size((1, 2, 3), (20, 30, 40))


def test_pieces_that_overlap_enough(capsys):
    found = extent.subvolumes(BOX, (12, 30, 40), (4, 0, 0), VIEW)
    assert found == (
        volume.Box((1, 2, 3), (13, 32, 43)),
        volume.Box((9, 2, 3), (21, 32, 43)),
    )
    assert capsys.readouterr().err == ""


def test_one_piece_overlaps_with_none(capsys):
    assert extent.subvolumes(BOX, (20, 30, 40), (0, 0, 0), VIEW) == (BOX,)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("axis", "size", "overlap", "least"),
    [
        ("z 12", (12, 30, 40), (1, 0, 0), 2),
        ("y 20", (20, 20, 40), (0, 2, 0), 3),
        ("x 25", (20, 30, 25), (0, 0, 3), 4),
    ],
)
def test_too_little_overlap(axis, size, overlap, least):
    with pytest.raises(ValueError) as error:
        extent.subvolumes(BOX, size, overlap, VIEW)
    said = str(error.value)
    assert said == (
        f"The subvolumes that meet at {axis} overlap by {max(overlap)} voxels; "
        f"expected at least half a field of view, {least}, for objects to be "
        f"recognised, and better twice that. Give a larger --overlap_zyx."
    )


def test_as_reconcile_says_it(tmp_path):
    """Whoever has such pieces all the same hears the same words."""
    made = {**subvolumes.MADE, "fov_size_zyx": VIEW.size}
    labels = np.zeros(BOX.size, np.uint8)
    cut = {"size": (20, 20, 40), "overlap": (0, 2, 0)}
    subvolumes.cut(tmp_path, labels, **cut, start=BOX.start, made=made)
    with pytest.raises(ValueError) as theirs:
        pieces_lib.found(str(tmp_path))
    with pytest.raises(ValueError) as ours:
        extent.subvolumes(BOX, cut["size"], cut["overlap"], VIEW)
    words = str(ours.value).removeprefix("The ").split(". Give")[0]
    assert words in str(theirs.value)


def test_little_overlap_is_told(capsys):
    extent.subvolumes(BOX, (12, 20, 40), (3, 3, 0), VIEW)
    assert capsys.readouterr().err == (
        "warning: between neighbouring subvolumes no field of view will be "
        "centred on (1, 3, 0) voxels (z, y, x): objects there are of lower "
        "quality. A larger --overlap_zyx avoids it.\n"
    )
