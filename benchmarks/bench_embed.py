"""Embeddings: how fast the encoder is, and how often each chunk is read.

    python benchmarks/bench_embed.py [--quick]

(1) The paper's ResNet-18 on 129^3 voxels: TensorFlow in float32, as the public
code runs it, beside our engines, in turns; medians (`embed_speedup`). The
arithmetic of a cutout over the time, as a share of what the processor does in
a large matrix product of bfloat16 in this run (`bf16_peak_share`). The error
is the largest of an embedding's numbers over their standard deviation.

(2) A phantom in chunks of 64^3, nodes along its skeletons: chunks of image and
labels that `embed` reads over those that nodes touch (`chunk_amplification`),
and in a loop that reads node by node, without a cache.

`--quick`: fewer repetitions, a smaller phantom.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags
import machine
import numpy as np
from volumes import table

from ffn_tf import phantom, skeletonize, volume
from ffn_tf.program import quiet
from ffn_tf.skeleton import blocks, tracing
from segclr import model
from segclr.embedding import engine as engine_lib
from segclr.embedding import places as places_lib
from segclr.embedding import statistics as statistics_lib

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: small parts.")

_GMAC = 37.4  # Of a cutout (shared/reference/segclr_behaviour.md 1.1).


def _bf16_gflops() -> float | None:
    """Of a large matrix product, by OpenVINO; None without bfloat16."""
    import openvino
    from openvino import opset13 as ops

    core = openvino.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    size = 4096
    left = ops.parameter([size, size], np.float32)
    right = ops.constant(np.ones((size, size), np.float32))
    whole = openvino.Model([ops.matmul(left, right, False, False)], [left], "")
    compiled = core.compile_model(
        whole, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"}
    )
    request = compiled.create_infer_request()
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        request.infer([np.ones((size, size), np.float32)])
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


def _speed() -> dict[str, object]:
    table.heading("ResNet-18, 129^3")
    encoder = model.Encoder()
    encoder.build()
    _, best = engine_lib.resolved("openvino", "auto")
    kinds = [("tensorflow", "float32"), ("openvino", "float32")]
    kinds += [("openvino", best)] if best != "float32" else []
    engines = [engine_lib.create(encoder, *kind, 1) for kind in kinds]
    rng = np.random.default_rng(0)
    cutout = rng.random((1, *encoder.size_zyx), np.float32)
    seconds: list[list[float]] = [[] for _ in engines]
    found = [one.embed(cutout) for one in engines]
    for _ in range(3 if _QUICK.value else 15):
        for one, times in zip(engines, seconds):
            start = time.perf_counter()
            one.embed(cutout)
            times.append(time.perf_counter() - start)
    medians = [statistics.median(times) for times in seconds]
    spread = float(found[0].std())
    for (name, dtype), median, seen in zip(kinds, medians, found):
        error = float(np.abs(seen - found[0]).max()) / spread
        print(
            f"{name:<12}{dtype:<10}{1e3 * median:8.1f} ms  "
            f"{1 / median:6.2f}/s  {medians[0] / median:5.2f} x  "
            f"error {error:.4f}"
        )
    peak = _bf16_gflops()
    share = None
    if peak:
        share = round(2 * _GMAC / medians[-1] / peak, 3)
        print(f"a matrix product in bfloat16: {peak:,.0f} GFLOP/s")
    return {
        "embed_speedup": round(medians[0] / medians[-1], 2),
        "bf16_peak_share": share,
    }


def _amplification(root: pathlib.Path) -> dict[str, object]:
    table.heading("chunks")
    edge = 128 if _QUICK.value else 320
    size = (33, 33, 33)
    chunk = 32 if _QUICK.value else 64
    options = phantom.Options(seed=5, size_zyx=(edge, edge, edge))
    made = phantom.generate(options)
    addresses = {}
    for name, array in (("image", made.image), ("labels", made.labels)):
        info = volume.VolumeInfo(
            volume.Box.from_shape(array.shape),
            array.dtype,
            (10.0, 10.0, 10.0),
            chunk_zyx=(chunk,) * 3,
        )
        addresses[name] = f"{root}/{name}.zarr"
        with volume.create(addresses[name], info) as created:
            created.write(info.domain, array)
    skeletonize.run(
        skeletonize.Options(addresses["labels"], f"{root}/skeletons"),
        blocks.Options(),
        tracing.Options(),
    )
    encoder = model.Encoder(
        width=2, size_zyx=size, voxel_size_nm=(10.0, 10.0, 10.0)
    )
    encoder.build()
    model.save(encoder, root / "encoder", {})
    given = {
        "encoder": f"{root}/encoder",
        "image": addresses["image"],
        "segmentation": addresses["labels"],
        "skeletons": f"{root}/skeletons",
        "output_dir": f"{root}/out",
        "spacing_nm": 300,
        "skip_empty": True,
    }
    # In a process of its own, whose memory does not know what was written.
    subprocess.run(
        [sys.executable, "-m", "segclr.embed"]
        + [f"--{name}={value}" for name, value in given.items()],
        cwd=pathlib.Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    places = places_lib.load(root / "out" / "places")
    assert places is not None
    touched, alone = _touched(places.position, size, edge, chunk)
    read = statistics_lib.read(root / "out")
    ours = read.reads_per_chunk(2 * touched)
    print(
        f"{read.nodes:,} nodes in {edge}^3, chunks of {chunk}^3, cutouts of "
        f"{size[0]}^3; node by node each chunk is read {alone / touched:.1f} "
        f"times\n{read.described(2 * touched)}"
    )
    return {"chunk_amplification": round(ours, 3)}


def _touched(
    position: np.ndarray, size: tuple[int, ...], edge: int, chunk: int
) -> tuple[int, int]:
    """Chunks of one volume that nodes touch: once each, and all in all."""
    middle = np.trunc(position / 10.0).astype(int)
    low = np.maximum(middle - np.array(size) // 2, 0) // chunk
    high = np.minimum(middle + np.array(size) // 2, edge - 1) // chunk
    seen = set()
    alone = 0
    for first, last in zip(low, high):
        box = [range(a, b + 1) for a, b in zip(first, last)]
        cells = {(z, y, x) for z in box[0] for y in box[1] for x in box[2]}
        seen |= cells
        alone += len(cells)
    return len(seen), alone


def main(argv: list[str]) -> None:
    del argv
    quiet.import_tensorflow()
    print(machine.name())
    start = time.perf_counter()
    result: dict[str, object] = {"machine": machine.name()} | _speed()
    with tempfile.TemporaryDirectory() as temporary:
        result |= _amplification(pathlib.Path(temporary))
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
