"""The input of training: patches per second, and how long the device waits.

    python benchmarks/bench_input.py [--quick]

Pairs of image and labels of 49^3 voxels at random centres of real EM (FIB-25,
mirrored to a larger volume), as train reads them: coordinates in TFRecords, one
py_function for a batch of centres with all its reads at once, augmented (axes
permuted and reflected) and normalised. Against a py_function for each centre
that reads image, then labels, and the next centre after that. From local
precomputed and zarr, and over HTTP with 20 ms a request. Then some training
steps over each: which share of their time the device waits for examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools
import json
import pathlib
from typing import Any

from absl import app, flags
import machine
import numpy as np
from volumes import table, turns, workplace

from ffn_tf import train, volume
from ffn_tf.program import quiet
from ffn_tf.sampling import records
from ffn_tf.training import augmentation, loop, patches, pipeline
from ffn_tf.training.options import TrainOptions

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: less of all.")

_EDGE = 49
_LATENCY_MS = 20
_OURS, _SINGLE = "a batch at once", "one read at a time"
# The network of fib25, whose steps are slow on a processor, and a small one.
_NETWORKS = {
    "fib25's network": {"depth": 12, "features": 32},
    "a small network": {"depth": 4, "features": 8},
}


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
    address: Callable[[str], str],
    coordinates: str,
) -> dict[str, turns.Times]:
    table.heading(f"pairs of {_EDGE}^3, {what}")

    def addresses() -> tuple[str, str]:
        return address(place.anew("em")), address(place.anew("labels"))

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
    addresses: tuple[str, str],
    coordinates: str,
) -> float:
    """Of the steps after the first ten."""
    folder = place.folder / place.unused("train")
    seen: list[loop.Progress] = []
    steps = place.pick(60, 20) if "small" not in name else place.pick(800, 150)
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
        # Walks over the examples from the beginning, as in a later stage.
        threshold=0.04,
    )
    train.run(options, tell=seen.append, tell_s=0)
    later = seen[10:]
    seconds = sum(1 / p.steps_per_s for p in later)
    waited = sum(p.wait_share / p.steps_per_s for p in later)
    fovs = options.batch_size * len(later) / seconds
    share = waited / seconds
    table.rate(f"training steps, {name}", fovs, "FOVs/s", f"waits {share:.1%}")
    return share


def main(argv: list[str]) -> None:
    del argv
    quiet.import_tensorflow()
    print(machine.name())
    result: dict[str, Any] = {"machine": machine.name()}
    waits: list[float] = []
    with workplace.opened(_QUICK.value) as place:
        coordinates = _coordinates(place)
        _write_labels(place)
        cases = {
            "local": lambda name: f"precomputed://{place.folder / name}",
            "http": lambda name: f"precomputed://{place.url(name)}",
        }
        for case, address in cases.items():
            what = "local precomputed"
            if case == "http":
                what = f"over HTTP, {_LATENCY_MS} ms per request"
                place.server.set(latency_ms=_LATENCY_MS)
            times = _rates(place, what, address, coordinates)
            speedup = times[_OURS].rate / times[_SINGLE].rate
            result[f"patches_{case}_speedup"] = round(speedup, 1)
            result[f"patches_{case}_per_s"] = round(times[_OURS].rate, 1)
            for name in _NETWORKS if not place.quick else ["a small network"]:
                pair = (
                    address(place.anew("em")),
                    address(place.anew("labels")),
                )
                waits.append(_wait_share(place, name, pair, coordinates))
        place.server.reset()
    result["device_wait_share"] = round(max(waits), 3)
    print(json.dumps(result))


def _write_labels(place: workplace.Workplace) -> None:
    """`em` and `labels`: the truth of the same place, mirrored as well."""
    import fib25

    assert place.em == "em"
    with volume.open(fib25.TRUTH) as source:
        real = source.read()
    beyond = [(0, max(0, place.edge - n)) for n in real.shape]
    labels = np.pad(real, beyond, mode="symmetric")
    labels = labels[: place.edge, : place.edge, : place.edge]
    domain = volume.Box.from_shape(labels.shape)
    info = volume.VolumeInfo(
        domain, labels.dtype, (10, 10, 10), (workplace.CHUNK,) * 3
    )
    target = pathlib.Path(place.folder) / "labels"
    with volume.create(f"precomputed://{target}", info) as made:
        made.write(domain, labels)


if __name__ == "__main__":
    app.run(main)
