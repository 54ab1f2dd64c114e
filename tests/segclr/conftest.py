"""A small world: two kinds of neurites that differ inside."""

import numpy as np
import pytest

from ffn_tf import skeletonize, volume
from ffn_tf.skeleton import blocks, tracing
from segclr import sample_pairs

NM = (10.0, 10.0, 10.0)
SHAPE = (24, 48, 160)


def make(path, array, voxel_size_nm=NM):
    info = volume.VolumeInfo(
        volume.Box.from_shape(array.shape), array.dtype, voxel_size_nm
    )
    with volume.create(str(path), info) as target:
        target.write(info.domain, array)
    return str(path)


def neurites():
    """(image, labels): four rods along x; odd ones are bright, with stripes."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 30, SHAPE).astype(np.uint8)
    labels = np.zeros(SHAPE, np.uint64)
    for i in range(4):
        rod = np.s_[8:16, 12 * i + 2 : 12 * i + 10, 2:158]
        labels[rod] = i + 1
        image[rod] += 90
        if i % 2:
            image[8:16, 12 * i + 2 : 12 * i + 10, 2:158:6] += 120
    return image, labels


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The flags of segclr's programs: image, segmentation, pairs."""
    folder = tmp_path_factory.mktemp("world")
    image, labels = neurites()
    found = {
        "image": make(folder / "image.zarr", image),
        "segmentation": make(folder / "labels.zarr", labels),
    }
    skeletonize.run(
        skeletonize.Options(found["segmentation"], f"{folder}/skeletons"),
        blocks.Options(),
        tracing.Options(const_nm=100.0),
    )
    sample_pairs.run(
        sample_pairs.Options(
            f"{folder}/skeletons",
            f"{folder}/pairs@2",
            NM,
            spacing_nm=50.0,
            buckets_um=(0.0, 0.5, 1.5),
        )
    )
    return found | {
        "pairs": f"{folder}/pairs@2",
        "skeletons": f"{folder}/skeletons",
    }
