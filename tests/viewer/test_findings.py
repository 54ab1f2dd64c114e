"""Findings: objects counted in files and in canvases."""

import numpy as np
import pytest
import subvolumes

from ffn_tf import model, volume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import subvolume
from ffn_tf.viewer import findings

START = (2, 30, 400)


def labels():
    found = np.zeros((4, 5, 6), np.uint8)
    found[0] = 1  # 30 voxels.
    found[1, :2, :5] = 2  # 10.
    found[3, 4, 5] = 3  # 1.
    return found


def saved(folder, start=START):
    box = volume.Box.from_size(start, labels().shape)
    origins = {
        1: subvolume.OriginInfo((0, 1, 2), 9),
        2: subvolume.OriginInfo((1, 0, 0), 1),
        3: subvolume.OriginInfo((3, 4, 5), 100),
    }
    one = subvolume.Subvolume(
        box, labels(), origins, counters={"steps": 111, "seeds-weak": 4}
    )
    return subvolume.save(folder, one)


def test_histogram():
    values = np.array([0, 1, 1, 9, 10, 11, 99, 1000, 10**15])
    found = findings.histogram(values)
    assert found.sum() == len(values)
    # Classes begin at 0, 1, 1.8, 3.2, 5.6, 10, ...
    assert found[:6].tolist() == [1, 2, 0, 0, 1, 2]
    assert found[1 + 3 * findings.PER_DECADE] == 1
    assert found[-1] == 1


def test_file(tmp_path):
    found = findings.of_file(subvolume.load(saved(tmp_path)))
    assert (found.objects, found.voxels, found.all_voxels) == (3, 41, 120)
    assert (
        found.sizes.tolist()
        == findings.histogram(np.array([30, 10, 1])).tolist()
    )
    assert (
        found.steps.tolist()
        == findings.histogram(np.array([9, 1, 100])).tolist()
    )
    assert found.largest[0] == findings.Object(30, 9, (2, 31, 402))
    assert [one.voxels for one in found.largest] == [30, 10, 1]
    assert found.counters == {"steps": 111, "seeds-weak": 4}


def test_folder_reads_each_file_once(tmp_path, monkeypatch):
    known = findings.Folder(tmp_path)
    assert known.read()[0] == 0
    assert known.middle() is None
    saved(tmp_path)
    assert known.read()[0] == 1
    monkeypatch.setattr(
        subvolume, "load", lambda path, load=subvolume.load: opened(path, load)
    )
    seen = []

    def opened(path, load):
        seen.append(path)
        return load(path)

    saved(tmp_path, (2, 30, 500))
    done, found = known.read()
    assert (done, found.objects, found.voxels) == (2, 6, 82)
    assert found.counters == {"steps": 222, "seeds-weak": 8}
    assert len(found.largest) == 6
    assert len(seen) == 1
    assert known.middle().domain.start == (2, 30, 500)


def test_only_ten_are_listed(tmp_path):
    for x in range(4):
        saved(tmp_path, (0, 0, 10 * x))
    _, found = findings.Folder(tmp_path).read()
    assert [one.voxels for one in found.largest] == [30] * 4 + [10] * 4 + [
        1
    ] * 2


def test_canvas():
    """Rejected seeds are no voxels; what was there before is no object."""
    view = model.FieldOfView((3, 3, 3), (1, 1, 1))
    canvas = canvas_lib.Canvas(
        np.zeros((4, 5, 6), np.float32),
        view,
        options_lib.InferenceOptions(),
        np.zeros((0, 3), np.int64),
        corner_zyx=START,
        initial=(labels() == 1).astype(np.int32),
    )
    canvas.segmentation[labels() == 2] = 2
    canvas.segmentation[3] = -1
    canvas.origins[2] = canvas_lib.Origin((1, 0, 0), 7)
    found = findings.of_canvas(canvas)
    assert (found.objects, found.voxels, found.all_voxels) == (1, 10, 120)
    assert found.largest == (findings.Object(10, 7, (3, 30, 400)),)


def test_nothing(tmp_path):
    path = subvolumes.save(tmp_path, (0, 0, 0), np.zeros((2, 3, 4), np.uint8))
    found = findings.of_file(subvolume.load(path))
    assert (found.objects, found.voxels, found.all_voxels) == (0, 0, 24)
    assert found.sizes.sum() == 0


@pytest.mark.parametrize("first", [True, False])
def test_sum_with_nothing(tmp_path, first):
    one = findings.of_file(subvolume.load(saved(tmp_path)))
    total = findings.Findings() + one if first else one + findings.Findings()
    assert total.largest == one.largest
    assert total.counters == one.counters
    assert total.sizes.tolist() == one.sizes.tolist()
