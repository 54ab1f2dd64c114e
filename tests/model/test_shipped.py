"""The network that comes with the package."""

import pathlib

import numpy as np

from ffn_tf import evaluation, model, phantom, volume
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import intensity, options
from ffn_tf.validation import checkpoint


def test_small_and_described():
    folder = pathlib.Path(model.SHIPPED)
    assert (folder / "model.weights.h5").stat().st_size < 500_000
    origin = model.origin(model.SHIPPED)
    assert origin["program"] == "ffn_tf.train"
    text = (folder / "README.md").read_text()
    assert "configs/shipped_network.sh" in text


def test_segments_a_phantom_that_it_has_never_seen():
    made = phantom.generate(phantom.Options(seed=7, size_zyx=(72, 64, 68)))
    network = model.load(model.SHIPPED)
    engine = engine_lib.create(network, *engine_lib.resolve("auto", "auto"))
    mean, stddev = volume.grey.measured(volume.from_array(made.image))
    found = checkpoint.segmented(
        network,
        engine,
        intensity.normalised(made.image, mean, stddev),
        options.SHIPPED,
    )
    scores = evaluation.compare(evaluation.count(made.labels, found))
    assert scores.coverage > 0.5
    assert scores.both.voi < 0.6
    assert scores.both.adapted_rand_error < 0.1
    assert np.unique(found).size > 5
