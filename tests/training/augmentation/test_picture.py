"""The picture: its rows, its panels, and one of a phantom."""

from __future__ import annotations

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ffn_tf import phantom
from ffn_tf.training import augmentation
from ffn_tf.training.augmentation import picture

SIZE = (9, 15, 15)
OPTIONS = augmentation.AugmentOptions(
    rotation_probability=0.5,
    misalignment_probability=0.4,
    misalignment_slips=0.25,
    contrast_probability=0.6,
)


@pytest.fixture(scope="module")
def block():
    return phantom.generate(phantom.Options(seed=2, size_zyx=(64, 64, 64)))


def test_rows_are_the_operations_alone():
    found = {row.name: row for row in picture.rows(OPTIONS)}
    assert list(found) == [
        "permute, reflect",
        "rotation",
        "elastic warp",
        "slip",
        "translation",
        "out of focus",
        "contrast",
        "brightness",
        "gamma",
        "all three, by section",
        "missing section",
        "in part",
        "all that is on",
    ]
    assert found["rotation"].rate == "p = 0.5"
    assert found["slip"].rate == "p = 0.1"
    assert found["translation"].rate == "p = 0.3"
    assert found["contrast"].rate == "p = 0.3"
    assert found["gamma"].rate == "off"
    slip = found["slip"].options
    assert slip.misalignment_probability == slip.misalignment_slips == 1
    assert slip.permutable_axes == slip.reflectable_axes == ()
    assert slip.rotation_probability == slip.contrast_probability == 0
    assert found["all that is on"].options == OPTIONS


def test_a_phantom(block, tmp_path):
    def draw():
        return augmentation.draw(block.image, block.labels, OPTIONS, 1, SIZE)

    draw().save(tmp_path / "augment.png")
    with Image.open(tmp_path / "augment.png") as image:
        sheet = np.asarray(image)
    np.testing.assert_array_equal(sheet, draw())
    # Seven rows, of two operations each; the last has only one.
    assert sheet.shape[2] == 3
    rows = np.array_split(sheet[44:], 7)
    assert all(row.std() > 40 for row in rows)
    assert (rows[6][:, sheet.shape[1] // 2 :] == 255).all()
    colours = {tuple(colour) for colour in sheet.reshape(-1, 3)[::7]}
    assert (255, 200, 0) in colours and len(colours) > 100


def test_the_section_that_changed():
    before = np.zeros((5, 3, 3), np.float32)
    after = before.copy()
    after[1], after[4] = 1, 2

    def example(image):
        return augmentation.Example(*map(tf.constant, [image] * 3))

    assert picture._section(example(before), example(after)) == 4
    after[2] = 0.1
    assert picture._section(example(before), example(after)) == 2


def test_a_panel_shows_grey_values_and_outlines():
    image = np.full((1, 4, 6), 100, np.float32)
    labels = np.zeros((1, 4, 6), np.int64)
    labels[:, :, 3:] = 2**40
    example = augmentation.Example(*map(tf.constant, (image, labels, image)))
    panel = np.asarray(
        picture._panel(example, np.s_[0], OPTIONS, (12, 8))
    ).astype(int)
    assert panel.shape == (8, 12, 3)
    assert (panel[:, 6] == (255, 200, 0)).all()
    assert (np.delete(panel, 6, axis=1) == 100).all()


def test_too_small_an_image(block):
    needed = picture.input_size(SIZE, OPTIONS)
    assert needed == (9, 45, 45)
    with pytest.raises(ValueError, match=r"at least \(9, 45, 45\), found"):
        augmentation.draw(
            block.image[:, :44], block.labels[:, :44], OPTIONS, 1, SIZE
        )
