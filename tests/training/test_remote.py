"""Training reads image and labels from a bucket, as it does from files."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np

from ffn_tf import model, train, volume
from ffn_tf.sampling import records
from ffn_tf.training.options import TrainOptions

ARGS = {"depth": 2, "features": 4, "fov_size": [7, 7, 7], "deltas": [2, 2, 2]}


def _write(address: str, array: np.ndarray) -> str:
    domain = volume.Box.from_shape(array.shape)
    info = volume.VolumeInfo(domain, array.dtype, (8, 8, 8), (8, 8, 8))
    with volume.create(address, info) as made:
        made.write(domain, array)
    return address


def test_same_weights_as_from_files(
    tmp_path: pathlib.Path, gcs_bucket: str
) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (5, 6, 7)).astype(np.uint64)
    labels = labels.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    image = rng.integers(0, 256, labels.shape).astype(np.uint8)
    centers = rng.integers(6, 14, (50, 3))
    data = records.encoded(centers, np.zeros(50, int), ["v"])
    (tmp_path / "coords").write_bytes(records.compressed(data))

    def trained(name: str, root: str) -> list[np.ndarray]:
        options = TrainOptions(
            train_coords=f"{tmp_path}/coords",
            data_volumes=(f"v:{_write(f'precomputed://{root}/em', image)}",),
            label_volumes=(f"v:{_write(f'zarr://{root}/truth', labels)}",),
            train_dir=f"{tmp_path}/{name}",
            model_args=json.dumps(ARGS),
            max_steps=6,
        )
        first = train.run(dataclasses.replace(options, max_steps=3))
        assert first.steps == 3
        return model.load(train.run(options).checkpoint).get_weights()

    near = trained("near", str(tmp_path))
    far = trained("far", f"gs://{gcs_bucket}")
    for one, other in zip(near, far, strict=True):
        np.testing.assert_array_equal(one, other)
