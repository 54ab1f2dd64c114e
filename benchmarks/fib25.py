"""The data of the benchmarks: FIB-25 as third_party/fetch.py lays it out."""

from __future__ import annotations

import pathlib
import sys

from ffn_tf.volume import dataset

FOLDER = dataset.data_dir() / "fib25"
IMAGE = f"{FOLDER}/grayscale_maps.h5:raw"
TRUTH = f"{FOLDER}/groundtruth.h5:stack"
PUBLISHED = f"{FOLDER}/sample-training2.npz:segmentation"
CHECKPOINT = f"{FOLDER}/model/model.ckpt-27465036"
REQUEST = f"{FOLDER}/inference_training_sample2.pbtxt"


def require() -> None:
    """Ends the program with what to do if the data is not there."""
    if not pathlib.Path(CHECKPOINT + ".index").exists():
        sys.exit(
            f"error: no FIB-25 data in {FOLDER}. Fetch it with `make fetch`, "
            f"or set FFN_DATA_DIR to the folder that holds fib25/."
        )
