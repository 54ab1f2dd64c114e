"""Probes tell what embeddings know, and draw fairly."""

import numpy as np
import pytest

from segclr.cutouts import reading
from segclr.training import probe, views


def test_lines_tell_what_is_in_line():
    rng = np.random.default_rng(0)
    of_place = np.arange(300) % 3
    is_test = np.arange(300) % 2 == 0
    known = np.eye(3)[of_place] + 0.1 * rng.normal(size=(300, 3))
    assert probe.line_f1(known, of_place, is_test, 3) > 0.98
    nothing = rng.normal(size=(300, 3))
    assert probe.line_f1(nothing, of_place, is_test, 3) < 0.5
    # What was fitted does not count.
    cheat = np.where(is_test[:, None], nothing, known)
    assert probe.line_f1(cheat, of_place, is_test, 3) < 0.55


@pytest.fixture
def settings(world):
    return views.Settings(
        tuple(f"{world['pairs'][:-2]}-{i:05d}-of-00002" for i in range(2)),
        (9, 9, 9),
        4,
        "masked_em",
        views.ViewOptions(),
    )


def labelled(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return str(path)


class Brightness:
    """An encoder that knows how bright a cutout is."""

    def __call__(self, cutouts):
        inside = cutouts > 0
        mean = cutouts.sum((1, 2, 3, 4)) / inside.sum((1, 2, 3, 4))
        return np.stack([mean, 0 * mean], axis=1)


def test_places_of_pairs(world, settings, tmp_path):
    path = labelled(tmp_path, "segment,label\n1,a\n2,b\n3,a\n4,b\n")
    with reading.Cutouts(
        world["image"], world["segmentation"], views.padded_size(settings)
    ) as opened:
        made = probe.drawn(opened, settings, path, 16)
        assert len(made) == 16
        # Odd neurites are brighter, by their stripes.
        assert made.macro_f1(Brightness()) > 0.8
        few = labelled(tmp_path, "segment,label\n1,a\n2,b\n")
        with pytest.raises(ValueError, match="two or more classes"):
            probe.drawn(opened, settings, few, 16)
