"""The picture: who has which colour, and that errors stand out."""

import numpy as np
from PIL import Image
import pytest

from ffn_tf import evaluation
from ffn_tf.evaluation import matching, picture, slices

# Body 1 on the left is split in two; bodies 2 and 3 on the right are merged;
# segment 9 lies where there is no truth; the last row of body 1 is missed.
TRUTH = np.zeros((12, 16), np.uint64)
TRUTH[:10, :8] = 1
TRUTH[:6, 8:] = 2
TRUTH[6:10, 8:] = 3
SEGMENTATION = np.zeros((12, 16), np.uint64)
SEGMENTATION[:6, :8] = 5
SEGMENTATION[6:9, :8] = 6
SEGMENTATION[:10, 8:] = 7
SEGMENTATION[10:] = 9


@pytest.fixture
def match():
    return matching.Matching.of(evaluation.count(TRUTH, SEGMENTATION))


def view(image=None):
    return slices.Slice("z = 3", "yx", (1, 1), TRUTH, SEGMENTATION, image)


def test_a_segment_has_the_colour_of_its_body(match):
    bodies = picture.body_colours(TRUTH, match)
    segments = picture.segment_colours(SEGMENTATION, match)

    right = SEGMENTATION == 5
    np.testing.assert_array_equal(segments[right], bodies[right])
    # The merged segment keeps the colour of its larger body throughout.
    assert (segments[SEGMENTATION == 7] == bodies[0, 8]).all()
    assert (bodies[TRUTH == 3] != bodies[0, 8]).any(axis=1).all()


def test_a_second_piece_is_a_tint_of_its_body(match):
    body = picture.body_colours(TRUTH, match)[0, 0]
    piece = picture.segment_colours(SEGMENTATION, match)[6, 0]
    np.testing.assert_allclose(piece, 0.5 * body + 0.5 * 255)


def test_a_segment_without_body_is_grey(match):
    colour = picture.segment_colours(SEGMENTATION, match)[11, 0]
    assert len(set(colour)) == 1


def test_bodies_keep_their_colours_with_another_segmentation(match):
    other = matching.Matching.of(evaluation.count(TRUTH, TRUTH + 77))
    np.testing.assert_array_equal(
        picture.body_colours(TRUTH, match), picture.body_colours(TRUTH, other)
    )


def test_many_bodies_have_different_colours():
    ids = np.arange(1, 200, dtype=np.uint64)
    match = matching.Matching.of(evaluation.count(ids, ids))
    colours = picture.body_colours(ids, match).round()
    assert len(np.unique(colours, axis=0)) == len(ids)


@pytest.mark.parametrize("with_image", [True, False])
def test_drawn_panels(match, with_image):
    image = np.full(TRUTH.shape, 100, np.uint8) if with_image else None

    drawn = picture.draw([view(image)] * 3, match)

    assert isinstance(drawn, Image.Image) and drawn.mode == "RGB"
    pixels = np.asarray(drawn).astype(int)
    # Panels are 448 x 336; the last column is the errors.
    columns = 4 if with_image else 3
    left = picture._ROW_TITLE + (columns - 1) * (448 + picture._GAP)
    panel = pixels[picture._HEADING :][:336, left : left + 448]
    rows = slice(14, None, 28), slice(14, None, 28)  # Centres of voxels.
    reddish = panel[..., 0] - panel[..., 2]
    assert (reddish[rows][6:10, 8:] > 80).all()  # merge
    assert (reddish[rows][6:9, :8] < -80).all()  # split
    assert (reddish[rows][9, :8] > 80).all()  # missed, in yellow
    assert (panel[rows][9, :8, 1] > 100).all()
    assert (reddish[rows][:6] == 0).all()  # right: plain EM
    assert (reddish[rows][10:] == 0).all()  # no truth


def test_outlines_divide_pieces(match):
    drawn = np.asarray(picture.draw([view()], match)).astype(int)
    left = picture._ROW_TITLE + 448 + picture._GAP  # The segmentation.
    column = drawn[picture._HEADING :][:336, left + 100].sum(axis=1)
    border = 6 * 28 - 1
    assert column[border] < 0.5 * min(column[border - 9], column[border + 9])


def test_a_thin_volume_still_has_room_for_its_captions(match):
    thin = slices.Slice(
        "z = 3", "yx", (1, 1), TRUTH[:1], SEGMENTATION[:1], None
    )
    drawn = picture.draw([thin, thin], match)
    assert drawn.width >= 1000
    assert drawn.height >= 2 * 70


@pytest.mark.parametrize(
    ("pixel_nm", "length"), [(1, 100), (5, 500), (0.5, 50), (16, 1000)]
)
def test_scale_bar_is_a_round_length(pixel_nm, length):
    assert picture._round_length(120 * pixel_nm) == pytest.approx(length)
