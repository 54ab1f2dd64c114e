"""The whole path in minutes, with nothing but this package.

    python -m ffn_tf.demo --output_dir=out/demo
    python -m ffn_tf.demo --dataset=fib25 --output_dir=out/fib25-crop

The first makes two phantoms in inverted contrast, of which the network that
comes with this package knows nothing, trains it further on one of them, and
segments the other with both: labels -> partitions -> coordinates -> train ->
segment -> scores -> pictures. Each step is printed as the command that does
the same.

The second takes a crop of FlyEM's FIB-SEM volume, segments it with Google's
trained network, and scores the result against the ground truth.

Run again, both skip what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import pathlib

from ffn_tf import (
    build_coordinates,
    compute_partitions,
    evaluate,
    evaluation,
    make_phantom,
    model,
    phantom,
    program,
    run_inference,
    train,
    volume,
)
from ffn_tf.inference import box_text, engine, run_options, subvolume
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.program.progress import Line
from ffn_tf.training import curve, step
from ffn_tf.training.augmentation import AugmentOptions
from ffn_tf.training.options import TrainOptions
from ffn_tf.volume import dataset

DATASETS = ("phantom", "fib25")

Show = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """On what, and where the results go."""

    output_dir: str = program.option("out/demo", help="Folder of the results.")
    dataset: str = program.option(
        "phantom",
        help="phantom is made here; fib25 is real, and needs `make fetch`.",
        choices=DATASETS,
    )
    size_zyx: tuple[int, int, int] = program.option(
        (112, 112, 112), help="Voxels of the phantoms, or of the crop, z,y,x."
    )
    max_steps: int = program.option(
        1000, help="Of the training on the phantom."
    )
    data_dir: str = program.option(
        "",
        help="Folder that holds fib25/. Empty: $FFN_DATA_DIR, else "
        "../shared/data or ./data.",
    )


# -----------------------------------------------------------------------------
# A phantom
# -----------------------------------------------------------------------------

_SEEDS = {"train": 21, "unseen": 22}


def run_phantom(
    options: Options, show: Show = lambda line: None
) -> dict[str, evaluation.Comparison]:
    """Trains on a phantom, segments another; files go to `output_dir`.

    Returns:
      Scores on the other of the `shipped` network, and of the `trained` one.

    Raises:
      ValueError, OSError: see the programs.
    """
    root = pathlib.Path(options.output_dir)
    for name, seed in _SEEDS.items():
        tissue = phantom.Options(
            seed=seed, size_zyx=options.size_zyx, inverted=True
        )
        outputs = make_phantom.Outputs(output_dir=str(root / name))
        show(program.command_line("make_phantom", tissue, outputs))
        if not phantom.is_there(tissue, outputs.output_dir):
            make_phantom.run(tissue, outputs)
    scores = {"shipped": _scored(root, model.SHIPPED, "shipped", show)}
    trained = _trained(root, options.max_steps, show)
    scores["trained"] = _scored(root, str(trained), "trained", show)
    return scores


def _trained(root: pathlib.Path, max_steps: int, show: Show) -> pathlib.Path:
    """The checkpoint of the shipped network, trained further."""
    partitions = compute_partitions.Options(
        input_volume=f"{root}/train/labels.zarr",
        output_volume=f"{root}/partitions.zarr",
        thresholds=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        lom_radius=(8, 8, 8),
        min_size=1000,
        ignore_borders=True,
    )
    show(program.command_line("compute_partitions", partitions))
    compute_partitions.run(partitions)
    centers = build_coordinates.Options(
        partition_volumes=(f"v:{partitions.output_volume}",),
        coordinate_output=f"{root}/coordinates",
        margin=(18, 18, 18),
        max_per_class=10000,
    )
    show(program.command_line("build_coordinates", centers))
    build_coordinates.run(centers)
    _, dtype = engine.resolve("auto", "auto")
    training = TrainOptions(
        train_coords=centers.coordinate_output,
        data_volumes=(f"v:{root}/train/image.zarr",),
        label_volumes=(f"v:{root}/train/labels.zarr",),
        train_dir=f"{root}/training",
        init_checkpoint=model.SHIPPED,
        ignore_borders=True,
        batch_size=8,
        mix_num_batches=8,
        compute_dtype=dtype if dtype in step.DTYPES else "float32",
        max_steps=max_steps,
        summary_rate_secs=5,
    )
    optimizer = step.OptimizerOptions(
        optimizer="adam",
        learning_rate=0.001,
        learning_rate_schedule="cosine",
        warmup_steps=50,
        ema_decay=0.99,
    )
    augment = AugmentOptions(permutable_axes=(0, 1, 2))
    show(program.command_line("train", training, optimizer, augment))
    line = Line()
    try:
        summary = train.run(
            training,
            optimizer,
            augment,
            tell=lambda progress: line.show(train.as_line(progress)),
            tell_s=line.interval,
        )
    finally:
        line.end()
    with volume.files.atomic_path(root / "loss.png") as temporary:
        curve.draw(curve.read(training.train_dir, "loss"), "loss").save(
            temporary, "PNG"
        )
    return summary.checkpoint


def _scored(
    root: pathlib.Path, network: str, name: str, show: Show
) -> evaluation.Comparison:
    """Segments the unseen phantom, and compares that with its truth."""
    address = f"{root}/unseen/image.zarr"
    with volume.open(address) as image:
        mean, stddev = volume.grey.measured(image)
    request = request_lib.InferenceRequest(
        image=address,
        model_checkpoint=network,
        image_mean=round(mean),
        image_stddev=round(stddev),
        segmentation_output_dir=f"{root}/{name}/segmentation",
        options=options_lib.SHIPPED,
    )
    show(program.command_line("run_inference", request, request.options))
    summary = run_inference.run(request, run_options.RunOptions())
    if summary.timing.steps:
        print(run_inference.describe(summary))
    scoring = evaluate.Options(
        segmentation=request.segmentation_output_dir,
        truth=f"{root}/unseen/labels.zarr",
        image=address,
        output_dir=f"{root}/{name}/scores",
    )
    show(program.command_line("evaluate", scoring))
    return evaluate.run(scoring)


def as_table(scores: dict[str, evaluation.Comparison]) -> str:
    """Both networks' scores, to read."""
    lines = [
        "network    coverage   VOI    ARE   of what is covered: VOI    ARE",
    ]
    for name, one in scores.items():
        line = f"{name:<11}{one.coverage:8.3f}"
        for found, width in ((one.truth, 7), (one.both, 26)):
            if found is not None:
                line += f"{found.voi:{width}.3f}{found.adapted_rand_error:7.3f}"
        lines.append(line)
    return "\n".join(lines)


# -----------------------------------------------------------------------------
# A real crop
# -----------------------------------------------------------------------------


def find_data(data_dir: str) -> pathlib.Path:
    """The folder with the FIB-25 data.

    Raises:
      FileNotFoundError: it is nowhere, with how to get it.
    """
    root = pathlib.Path(data_dir) if data_dir else dataset.data_dir()
    folder = root / "fib25"
    if not (folder / "grayscale_maps.h5").exists():
        raise FileNotFoundError(
            f"This demo runs on real data (FlyEM's FIB-25 crop and Google's "
            f"network, 18 MB), which is not in {folder}. Fetch it with\n\n"
            f"    make fetch\n\n"
            f"(needs the internet), or set FFN_DATA_DIR to the folder that "
            f"holds fib25/, then run it again. `make demo` needs no data."
        )
    return folder


def run_fib25(
    options: Options, show: Show = lambda table: None
) -> evaluation.Comparison:
    """Segments and scores the crop; files go to `options.output_dir`.

    `show` is as in evaluate.run.

    Raises:
      FileNotFoundError: see `find_data`.
      ValueError, OSError: see run_inference and evaluate.
    """
    data = find_data(options.data_dir)
    image = f"{data}/grayscale_maps.h5:raw"
    output = pathlib.Path(options.output_dir)
    crop = _middle(image, options.size_zyx)
    request = dataclasses.replace(
        request_lib.parse(data / "inference_training_sample2.pbtxt"),
        image=image,
        model_checkpoint=f"{data}/model/model.ckpt-27465036",
        segmentation_output_dir=str(output / "segmentation"),
        checkpoint_interval=60,
    )
    print(f"Segmenting {crop} of {image} ...")
    summary = run_inference.run(
        request,
        run_options.RunOptions(bounding_box=box_text.formatted(crop)),
    )
    if summary.timing.steps:
        print(run_inference.describe(summary))
    return evaluate.run(
        evaluate.Options(
            segmentation=str(
                subvolume.path_for(
                    pathlib.Path(summary.output_dir), summary.boxes[0].start
                )
            ),
            truth=f"{data}/groundtruth.h5:stack",
            image=image,
            output_dir=str(output / "scores"),
        ),
        show,
    )


def _middle(address: str, size_zyx: Sequence[int]) -> volume.Box:
    """The box of `size_zyx` in the middle of a volume."""
    with volume.open(address) as opened:
        domain = opened.domain
    corner = [
        start + (n - m) // 2
        for start, n, m in zip(domain.start, domain.size, size_zyx, strict=True)
    ]
    return volume.Box.from_size(corner, size_zyx)


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    output = options.output_dir
    if options.dataset == "phantom":
        print(as_table(run_phantom(options, lambda line: print(f"$ {line}"))))
        program.finish(
            f"{output}/loss.png, {output}/shipped and {output}/trained",
            f"look at {output}/trained/scores/slices.png, then segment a "
            f"volume of yours, or train on it: see README.md",
        )
        return
    run_fib25(options, print)
    print(
        "The network sees 33^3 voxels, so no object can be started in the "
        "outer 16 of the crop; what is missed there lowers the coverage."
    )
    program.finish(
        f"{output}/segmentation and {output}/scores",
        f"look at {output}/scores/slices.png, then segment the whole volume: "
        f"see README.md",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
