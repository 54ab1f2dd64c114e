"""Records: what TensorFlow reads of them."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.sampling import records


def _read(path: pathlib.Path) -> list[tuple[list[int], bytes]]:
    found = []
    for record in tf.data.TFRecordDataset(str(path), "GZIP"):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        assert sorted(features) == ["center", "label_volume_name"]
        found.append(
            (
                list(features["center"].int64_list.value),
                features["label_volume_name"].bytes_list.value[0],
            )
        )
    return found


def test_tensorflow_reads_them(tmp_path: pathlib.Path) -> None:
    centers = np.array(
        [
            [0, 127, 128],
            [-1, -(2**63), 2**63 - 1],
            [16383, 16384, 2**31],
            [1, 2, 3],
        ]
    )
    names = ["a", "ünï", "x" * 50]
    data = records.encoded(centers, np.array([0, 2, 1, 2]), names)
    # Members one after another are one file.
    again = records.encoded(centers[:1], np.array([2]), names)
    path = tmp_path / "records.gz"
    path.write_bytes(records.compressed(data) + records.compressed(again))
    assert _read(path) == [
        ([0, 127, 128], b"a"),
        ([-1, -(2**63), 2**63 - 1], b"x" * 50),
        ([16383, 16384, 2**31], "ünï".encode()),
        ([1, 2, 3], b"x" * 50),
        ([0, 127, 128], b"x" * 50),
    ]


def test_as_tensorflow_writes_them(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 5000, (50, 3))
    path = tmp_path / "theirs"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for center in centers:
            example = tf.train.Example()
            feature = example.features.feature
            feature["center"].int64_list.value.extend(center.tolist())
            feature["label_volume_name"].bytes_list.value.append(b"volume")
            writer.write(example.SerializeToString(deterministic=True))
    ours = records.encoded(centers, np.zeros(50, int), ["volume"])
    assert ours == path.read_bytes()


def test_same_bytes_again() -> None:
    data = records.encoded(np.ones((3, 3), int), np.zeros(3, int), ["v"])
    assert records.compressed(data) == records.compressed(data)


@pytest.mark.parametrize("name", ["", "x" * 51])
def test_names_that_do_not_fit(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 50 bytes"):
        records.encoded(np.zeros((0, 3)), np.zeros(0), [name])
