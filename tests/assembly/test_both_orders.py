"""Two runs in one folder, and what they agree on."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.assembly import both_orders
from ffn_tf.inference import subvolume

CORNER = (4, 5, 6)


def save(folder, labels, **provenance):
    labels = np.array(labels, np.uint8).reshape(1, 2, -1)
    ids = [label for label in np.unique(labels).tolist() if label]
    return subvolume.save(
        folder,
        subvolume.Subvolume(
            volume.Box.from_size(CORNER, labels.shape),
            labels,
            {i: subvolume.OriginInfo((0, 0, i), i) for i in ids},
            provenance={"start_zyx": CORNER} | provenance,
        ),
    )


@pytest.fixture
def folder(tmp_path):
    """1 has run into 2, which the other run has not; 3 is not found again."""
    forward = [1, 1, 1, 1, 1, 1, 3, 3, 3, 0, 0, 0]
    reverse = [7, 7, 7, 7, 2, 2, 0, 0, 0, 2, 2, 2]
    save(tmp_path / "forward", forward, image_mean=3)
    save(tmp_path / "reverse", reverse)
    return tmp_path


def test_what_both_agree_on(folder):
    found = both_orders.agree(folder, CORNER, min_size=2)
    made = subvolume.load(subvolume.path_for(folder, CORNER))
    expected = [1, 1, 1, 1, 3, 3, 2, 2, 2, 0, 0, 0]
    np.testing.assert_array_equal(made.segmentation.ravel(), expected)
    assert made.box == volume.Box.from_size(CORNER, (1, 2, 6))
    # Objects begin where they began forward; the new one, where that did.
    starts = {i: origin.start_zyx[2] for i, origin in made.origins.items()}
    assert starts == {1: 1, 2: 3, 3: 1}
    assert made.provenance["image_mean"] == 3
    assert made.provenance["consensus"]["split_min_size"] == 2
    assert found == both_orders.Agreement(3, 9, 2)
    assert list(subvolume.find(folder)) == [CORNER]


def test_small_agreements_are_dropped(folder):
    found = both_orders.agree(folder, CORNER, min_size=3)
    assert found == both_orders.Agreement(2, 7, 2)


def test_again_it_does_nothing(folder):
    first = both_orders.agree(folder, CORNER, min_size=2)
    path = subvolume.path_for(folder, CORNER)
    before = path.stat().st_mtime_ns
    assert both_orders.agree(folder, CORNER, min_size=2) == first
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="made with other options"):
        both_orders.agree(folder, CORNER, min_size=3)


def test_a_damaged_one_is_made_anew(folder, caplog):
    first = both_orders.agree(folder, CORNER, min_size=2)
    path = subvolume.path_for(folder, CORNER)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert both_orders.agree(folder, CORNER, min_size=2) == first
    assert path.read_bytes() == whole
    assert f"{path}: " in caplog.text
    assert "made anew" in caplog.text


def test_a_missing_half(folder):
    subvolume.path_for(folder / "reverse", CORNER).unlink()
    with pytest.raises(FileNotFoundError, match="reverse"):
        both_orders.agree(folder, CORNER, min_size=2)
