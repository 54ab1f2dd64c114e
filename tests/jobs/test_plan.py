"""Plans: arithmetic, by hand and against lists of boxes."""

from __future__ import annotations

import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.jobs import plan
from ffn_tf.volume import grid, tissue


def planned(domain, size=(10, 20, 30), overlap=(2, 4, 6), **changes):
    values = {
        "itemsize": 1,
        "margin_zyx": (1, 2, 3),
        "deltas_zyx": (2, 2, 2),
        "fovs_per_cell": 1.5,
        "fovs_per_s": 10,
    }
    return plan.planned(
        domain=domain,
        size_zyx=size,
        overlap_zyx=overlap,
        **values | changes,
    )


@hypothesis.settings(deadline=None)
@hypothesis.given(
    shape=st.tuples(*[st.integers(1, 60)] * 3),
    size=st.tuples(*[st.integers(5, 30)] * 3),
    overlap=st.tuples(*[st.integers(0, 4)] * 3),
)
def test_it_counts_what_a_run_would_list(shape, size, overlap):
    domain = volume.Box.from_size((3, 4, 5), shape)
    boxes = list(grid.tile(domain, size, overlap=overlap))
    found = planned(domain, size, overlap, itemsize=2)
    assert found.subvolumes == len(boxes)
    assert found.voxels == sum(box.num_voxels for box in boxes)
    assert found.read_bytes == 2 * found.voxels
    assert found.empty == 0


def test_time_by_hand():
    found = planned(volume.Box.from_shape((100, 100, 100)), (200, 200, 200))
    cells = 98 * 96 * 94 / 8
    assert found.fovs == pytest.approx(1.5 * cells)
    assert found.device_hours == pytest.approx(found.fovs / 36000)
    # An axis that is not moved along has one position for each voxel.
    flat = planned(
        volume.Box.from_shape((100, 100, 100)),
        (200, 200, 200),
        deltas_zyx=(0, 8, 8),
    )
    assert flat.fovs == pytest.approx(1.5 * cells / 8)


def test_subvolumes_without_tissue_are_left_out():
    coarse = np.zeros((4, 4, 4), np.uint8)
    coarse[0] = 1
    mask = volume.from_array(coarse, voxel_size_nm=(10, 10, 10))
    domain = volume.Box.from_shape((40, 40, 40))
    found = planned(
        domain,
        (10, 20, 40),
        (0, 0, 0),
        tissue=tissue.Tissue(mask, (1, 1, 1)),
    )
    assert (found.subvolumes, found.empty) == (2, 6)
    assert found.voxels == 10 * 40 * 40
    assert found.tissue == pytest.approx(1)
    assert found.fovs == pytest.approx(1.5 * 2 * 8 * 16 * 34 / 8)


def test_a_plan_of_a_petavoxel():
    h01 = volume.Box.from_shape((5293, 712_800, 1_031_784))
    found = planned(h01, (512, 512, 512), (64, 64, 64))
    assert found.subvolumes == 12 * 1591 * 2303
    assert found.as_text()[0].startswith(
        "volume      5,293 x 712,800 x 1,031,784 voxels"
    )


def test_it_is_json():
    found = planned(volume.Box.from_shape((100, 100, 100)))
    values = json.loads(json.dumps(found.as_json()))
    assert values["domain"]["size_zyx"] == [100, 100, 100]
    assert values["device_hours"] == found.device_hours
