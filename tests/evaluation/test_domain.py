"""Where two volumes can be compared, and at which voxel size."""

import numpy as np
import pytest

from ffn_tf import evaluation, volume


def labels(shape, start=(0, 0, 0), voxel_size_nm=(1, 1, 1)):
    return volume.from_array(
        np.ones(shape, np.uint32), start=start, voxel_size_nm=voxel_size_nm
    )


def test_shared_box_is_the_intersection():
    whole = labels((10, 20, 30), start=(100, 0, 0))
    part = labels((3, 40, 5), start=(105, 5, 28))
    expected = volume.Box((105, 5, 28), (108, 20, 30))
    assert evaluation.shared_box(whole, part) == expected
    assert evaluation.shared_box(part, whole) == expected


def test_volumes_that_only_touch_share_nothing():
    with pytest.raises(ValueError, match=r"share no voxel.*\(0, 0, 4\)"):
        evaluation.shared_box(
            labels((4, 4, 4)), labels((4, 4, 4), start=(0, 0, 4))
        )


def test_voxel_size_is_that_of_the_volume_that_knows_it(capsys):
    unknown, known = labels((1, 1, 1)), labels((1, 1, 1), (0, 0, 0), (40, 4, 4))
    assert evaluation.shared_voxel_size([unknown, unknown]) == (1, 1, 1)
    assert evaluation.shared_voxel_size([known, known]) == (40, 4, 4)
    assert not capsys.readouterr().err
    for mixed in ([unknown, known], [known, unknown]):
        assert evaluation.shared_voxel_size(mixed) == (40, 4, 4)
        said = capsys.readouterr().err
        assert said.count("warning") == 1
        assert "voxel size is not known" in said
        assert "(40.0, 4.0, 4.0) nm" in said


def test_two_voxel_sizes_are_refused():
    fine = labels((1, 1, 1), (0, 0, 0), (40, 4, 4))
    coarse = labels((1, 1, 1), (0, 0, 0), (40, 8, 8))
    with pytest.raises(ValueError, match=r"\(40.0, 8.0, 8.0\) nm at"):
        evaluation.shared_voxel_size([fine, coarse])
