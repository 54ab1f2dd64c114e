"""google/ffn's own outputs on real data, where they are (tests/conftest.py)."""

import json

import numpy as np
import pytest

from ffn_tf import model, run_inference, volume
from ffn_tf.inference import (
    calibration,
    intensity,
    run_options,
    seeds,
    subvolume,
)
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib

CORNER, SIZE = (60, 60, 60), (80, 80, 80)


@pytest.fixture(scope="module")
def network(fib25):
    return model.load(str(fib25 / "model" / "model.ckpt-27465036"))


@pytest.fixture(scope="module")
def image(fib25):
    with volume.open(f"{fib25}/grayscale_maps.h5:raw") as opened:
        yield opened


@pytest.fixture(scope="module")
def crop(golden):
    """google/ffn's segmentation of a crop: (voxels, options and origins)."""
    described = json.loads((golden / "inference_crop80.json").read_text())
    assert described["corner_xyz"] == list(CORNER[::-1])
    assert described["size_xyz"] == list(SIZE[::-1])
    with np.load(golden / "inference_crop80.npz") as file:
        return file["segmentation"], described


def normalised(raw):
    return intensity.normalised(raw, 128, 33)


def samples(fib25, image):
    path = str(fib25 / "inference_training_sample2.pbtxt")
    return calibration.samples(
        image, model.FieldOfView(), request_lib.parse(path)
    )


@pytest.mark.timeout(900)  # The calibration of int8, on a busy machine.
@pytest.mark.parametrize(
    ("name", "compute_dtype", "most"),
    [
        ("tensorflow", "float32", 1e-5),
        ("openvino", "float32", 1e-5),
        ("openvino", "bfloat16", 1e-2),
        ("openvino", "bfloat16_mixed", 2e-2),
        pytest.param("openvino", "int8", 1e-2, marks=pytest.mark.slow),
        ("tensorflow", "bfloat16", 1e-2),
    ],
)
def test_logits(network, image, fib25, golden, name, compute_dtype, most):
    """Two steps at each of three places."""
    with np.load(golden / "forward_fib25.npz") as file:
        centers, expected = file["centers_zyx"], file["logits"]
    engine = engine_lib.create(
        network, name, compute_dtype, samples=lambda: samples(fib25, image)
    )
    options = options_lib.InferenceOptions()
    view = network.view
    found = np.zeros_like(expected)
    for place, center in enumerate(centers):
        box = volume.Box.from_size(center - view.margin, view.size)
        field = normalised(image.read(box))
        logits = np.full(view.size, options.logit("pad_value"), np.float32)
        logits[view.margin] = options.logit("init_activation")
        for step in range(2):
            (logits,) = engine.predict([field], [logits])
            found[place, step] = logits
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error <= most


def test_seeds(image, crop):
    """Every object of google/ffn starts from one of ours, in their order."""
    _, described = crop
    raw = image.read(volume.Box.from_size(CORNER, SIZE))
    positions = seeds.find(
        "PolicyPeaks", normalised(raw), np.zeros(SIZE, bool), (16, 16, 16)
    ).tolist()
    origins = described["origins"]
    starts = [
        positions.index(origins[label]["start_zyx"])
        for label in sorted(origins, key=int)
    ]
    assert starts == sorted(starts)
    assert len(starts) == 16


# About 50 s on two idle cores; the one long test of this room.
@pytest.mark.timeout(900)
@pytest.mark.slow
def test_segmentation(fib25, crop, tmp_path):
    """The same voxels, origins and overlaps, in the same 294 steps."""
    expected, described = crop
    options = described["options"]
    request = request_lib.InferenceRequest(
        image=f"{fib25}/grayscale_maps.h5:raw",
        model_checkpoint=str(fib25 / "model" / "model.ckpt-27465036"),
        image_mean=options["image_mean"],
        image_stddev=options["image_stddev"],
        seed_policy=options["seed_policy"],
        options=options_lib.InferenceOptions(
            min_boundary_dist_zyx=tuple(options["min_boundary_dist"]),
            **{
                name: options[name]
                for name in (
                    "init_activation",
                    "pad_value",
                    "move_threshold",
                    "segment_threshold",
                    "min_segment_size",
                    "disco_seed_threshold",
                )
            },
        ),
        segmentation_output_dir=str(tmp_path),
    )
    summary = run_inference.run(
        request,
        run_options.RunOptions(
            bounding_box="start { x:60 y:60 z:60 } size { x:80 y:80 z:80 }",
            engine="openvino",
            compute_dtype="float32",
        ),
    )
    assert summary.timing.steps == 294
    assert summary.segments == 16

    found = subvolume.load(subvolume.path_for(tmp_path, CORNER))
    assert found.box == volume.Box.from_size(CORNER, SIZE)
    np.testing.assert_array_equal(found.segmentation, expected)
    assert {
        str(label): {"start_zyx": list(o.start_zyx), "iters": o.iters}
        for label, o in found.origins.items()
    } == described["origins"]
    assert {
        str(label): np.asarray(kept).tolist()
        for label, kept in found.overlaps.items()
    } == described["overlaps"]
    assert found.counters["steps"] == 294
