import shutil

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import subvolume
from ffn_tf.inference.seeds import origins

CORNER, SHAPE = (4, 5, 6), (7, 8, 9)
STARTS = {3: (1, 2, 3), 11: (6, 0, 1), 2: (4, 7, 8)}
IMAGE = np.zeros(SHAPE, np.float32)


@pytest.fixture
def earlier(tmp_path):
    """A run with origins, and its neighbour, without."""
    for corner, starts in ((CORNER, STARTS), ((4, 5, 13), {})):
        subvolume.save(
            tmp_path,
            subvolume.Subvolume(
                volume.Box.from_size(corner, SHAPE),
                np.zeros(SHAPE, np.uint8),
                {k: subvolume.OriginInfo(v, 5) for k, v in starts.items()},
            ),
        )
    return str(tmp_path)


def test_the_last_segment_is_first(earlier):
    found = origins.invert_origins(IMAGE, earlier, CORNER)
    assert found.dtype == np.int64
    assert found.tolist() == [list(STARTS[key]) for key in (11, 3, 2)]


def test_a_run_without_segments(earlier):
    found = origins.invert_origins(IMAGE, earlier, (4, 5, 13))
    assert found.shape == (0, 3)


def test_files_may_lie_flat(earlier, tmp_path):
    nested = subvolume.path_for(earlier, CORNER)
    shutil.move(nested, tmp_path / nested.name)
    found = origins.invert_origins(IMAGE, earlier, CORNER)
    assert len(found) == 3


def test_no_such_subvolume(earlier):
    expected = r"seg-0_0_0.npz: PolicyInvertOrigins needs .* zyx \(0, 0, 0\)"
    with pytest.raises(FileNotFoundError, match=expected):
        origins.invert_origins(IMAGE, earlier)


def test_a_subvolume_of_another_size(earlier):
    expected = r"expected a subvolume of zyx \(7, 8, 10\), found \(7, 8, 9\)"
    with pytest.raises(ValueError, match=expected):
        origins.invert_origins(np.zeros((7, 8, 10)), earlier, CORNER)
