"""The input of training: patches per second, and how long the device waits.

    python benchmarks/bench_input.py [--quick]

Pairs of image and labels of 49^3 voxels at random centres of real EM (FIB-25,
mirrored to a larger volume), as train reads them: coordinates in TFRecords, one
py_function for a batch of centres with all its reads at once, augmented (axes
permuted and reflected) and normalised. Against a py_function for each centre
that reads image, then labels, and the next centre after that. From local
precomputed and zarr, and over HTTP with 20 ms a request. Then some training
steps over each: which share of their time the device waits for examples, with
27 fields of view in each, and with one, as in a training's first hours. The
largest share is device_wait_share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools
import json
from typing import Any

from absl import app, flags
import machine
import numpy as np
from volumes import table, turns, workplace

from ffn_tf import train, volume
from ffn_tf.program import quiet
from ffn_tf.sampling import records
from ffn_tf.training import augmentation, pace, patches, pipeline
from ffn_tf.training.options import TrainOptions

_QUICK = flags.DEFINE_bool("quick", False, "About a minute: less of all.")

_EDGE = 49
_LATENCY_MS = 20
_OURS, _SINGLE = "a batch at once", "one read at a time"
# The network of fib25, whose steps are slow on a processor, and a small one.
_NETWORKS = {
    "fib25's network": {"depth": 12, "features": 32},
    "a small network": {"depth": 4, "features": 8},
}
# The least probability that is moved to, of a network that knows nothing.
_THRESHOLDS = {27: 0.04, 1: 0.9}


def _coordinates(place: workplace.Workplace) -> str:
    rng = np.random.default_rng(0)
    centers = rng.integers(_EDGE, place.edge - _EDGE, (20_000, 3))
    path = place.folder / "coordinates"
    data = records.encoded(centers, np.zeros(len(centers)), ["v"])
    path.write_bytes(records.compressed(data))
    return str(path)


def _settings(coordinates: str) -> pipeline.Settings:
    return pipeline.Settings(
        (coordinates,),
        (_EDGE,) * 3,
        augmentation.AugmentOptions(),
        {"v": pipeline.Normalisation(128, 33)},
    )


def _opened(image: str, labels: str) -> patches.Patches:
    return patches.Patches({"v": image}, {"v": labels})


def _one_at_a_time(image: str, labels: str, coordinates: str) -> Iterator[Any]:
    """What a py_function that is written without much thought does."""
    import tensorflow as tf

    em, truth = volume.open(image), volume.open(labels)

    def read(center_xyz: Any) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = center_xyz.numpy().tolist()
        half = _EDGE // 2
        box = volume.Box.from_size((z - half, y - half, x - half), _EDGE)
        found = em.read(box).astype(np.float32), truth.read(box)
        return found[0], (found[1] == found[1][half, half, half])

    centers = pipeline.centers(_settings(coordinates))
    dataset = centers.map(
        lambda center, name: tf.py_function(
            read, [center], (tf.float32, tf.bool)
        )
    )
    return dataset.prefetch(4).as_numpy_iterator()


def _rates(
    place: workplace.Workplace,
    what: str,
    addresses: Callable[[], tuple[str, str]],
    coordinates: str,
) -> dict[str, turns.Times]:
    table.heading(f"pairs of {_EDGE}^3, {what}")

    def ours() -> turns.Work:
        examples = pipeline.Examples(
            _opened(*addresses()), _settings(coordinates)
        )
        return _first_then(iter(examples), counts[_OURS])

    def single() -> turns.Work:
        return _first_then(
            _one_at_a_time(*addresses(), coordinates), counts[_SINGLE]
        )

    counts = {
        _OURS: place.pick(512, 160),
        _SINGLE: place.pick(96, 24),
    }
    times = turns.taken(
        {
            _OURS: turns.Side(ours, counts[_OURS]),
            _SINGLE: turns.Side(single, counts[_SINGLE]),
        },
        place.pick(5, 2),
    )
    for name, side in times.items():
        note = f"{times[_OURS].rate / side.rate:.2g}x"
        table.times(name, side, "patches/s", note if name != _OURS else "")
    return times


def _first_then(examples: Iterator[Any], count: int) -> turns.Work:
    """The pipeline is made and runs before the clock starts."""
    next(examples)
    return lambda: sum(1 for _ in itertools.islice(examples, count))


def _wait_share(
    place: workplace.Workplace,
    name: str,
    fovs: int,
    addresses: tuple[str, str],
    coordinates: str,
) -> float:
    """Of the steps after the first ten, with `fovs` in each example."""
    folder = place.folder / place.unused("train")
    seen: list[pace.Progress] = []
    steps = place.pick(400, 40) if "small" in name else 40
    options = TrainOptions(
        train_coords=coordinates,
        data_volumes=(f"v:{addresses[0]}",),
        label_volumes=(f"v:{addresses[1]}",),
        train_dir=str(folder),
        model_args=json.dumps(_NETWORKS[name]),
        image_mean=128,
        image_stddev=33,
        max_steps=steps,
        checkpoint_interval=1e9,
        summary_rate_secs=1e9,
        threshold=_THRESHOLDS[fovs],
    )
    train.run(options, tell=seen.append, tell_s=0)
    later = seen[10:]
    seconds = sum(1 / p.steps_per_s for p in later)
    waited = sum(p.wait_share / p.steps_per_s for p in later)
    share = waited / seconds
    table.rate(
        f"training, {name}, {fovs} FOV an example",
        options.batch_size * len(later) / seconds,
        "FOVs/s",
        f"waits {share:.1%}",
    )
    return share


def main(argv: list[str]) -> None:
    del argv
    quiet.import_tensorflow()
    print(machine.name())
    result: dict[str, Any] = {"machine": machine.name()}
    waits: list[float] = []
    with workplace.opened(_QUICK.value) as place:
        coordinates = _coordinates(place)
        _write(place)
        for case, what, base, end in (
            ("local", "local precomputed", f"precomputed://{place.folder}", ""),
            ("zarr", "local zarr", f"zarr://{place.folder}", ".zarr"),
            (
                "http",
                f"over HTTP, {_LATENCY_MS} ms per request",
                f"precomputed://{place.server.url}",
                "",
            ),
        ):

            def anew(base: str = base, end: str = end) -> tuple[str, str]:
                em, labels = place.anew(f"em{end}"), place.anew(f"labels{end}")
                return f"{base}/{em}", f"{base}/{labels}"

            if case == "http":
                place.server.set(latency_ms=_LATENCY_MS)
            times = _rates(place, what, anew, coordinates)
            speedup = times[_OURS].rate / times[_SINGLE].rate
            result[f"patches_{case}_speedup"] = round(speedup, 1)
            result[f"patches_{case}_per_s"] = round(times[_OURS].rate, 1)
            names = list(_NETWORKS)
            if place.quick:
                names = ["a small network"] if case == "http" else []
            for name in names:
                for fovs in _THRESHOLDS:
                    share = _wait_share(place, name, fovs, anew(), coordinates)
                    waits.append(share)
        place.server.reset()
    result["device_wait_share"] = round(max(waits), 3)
    print(json.dumps(result))


def _write(place: workplace.Workplace) -> None:
    """`labels`, the truth of `em`, mirrored as well; and both in zarr."""
    import fib25

    with volume.open(fib25.TRUTH) as source:
        real = source.read()
    beyond = [(0, max(0, place.edge - n)) for n in real.shape]
    labels = np.pad(real, beyond, mode="symmetric")
    labels = labels[: place.edge, : place.edge, : place.edge]
    assert place.em == "em"
    for address, array in (
        (f"precomputed://{place.folder}/labels", labels),
        (f"zarr://{place.folder}/labels.zarr", labels),
        (f"zarr://{place.folder}/em.zarr", place.voxels),
    ):
        domain = volume.Box.from_shape(array.shape)
        info = volume.VolumeInfo(
            domain, array.dtype, (10, 10, 10), (workplace.CHUNK,) * 3
        )
        with volume.create(address, info) as made:
            made.write(domain, array)


if __name__ == "__main__":
    app.run(main)
