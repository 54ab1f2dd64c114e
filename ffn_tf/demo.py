"""The whole path on a real crop, in minutes.

    python -m ffn_tf.demo --output_dir=out/demo

Takes a crop of FlyEM's FIB-SEM volume, segments it with Google's trained
network, scores the result against the ground truth, and draws both. Run again,
it skips what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import pathlib

from ffn_tf import evaluate, evaluation, program, run_inference, volume
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import runner, subvolume
from ffn_tf.volume import dataset


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the data is and where the results go."""

    output_dir: str = program.option("out/demo", help="Folder of the results.")
    data_dir: str = program.option(
        "",
        help="Folder that holds fib25/. Empty: $FFN_DATA_DIR, else "
        "../shared/data or ./data.",
    )
    size_zyx: tuple[int, int, int] = program.option(
        (96, 96, 96), help="Size of the crop, z,y,x."
    )


def find_data(data_dir: str) -> pathlib.Path:
    """The folder with the FIB-25 data.

    Raises:
      FileNotFoundError: it is nowhere, with how to get it.
    """
    root = pathlib.Path(data_dir) if data_dir else dataset.data_dir()
    folder = root / "fib25"
    if not (folder / "grayscale_maps.h5").exists():
        raise FileNotFoundError(
            f"The demo runs on real data (FlyEM's FIB-25 crop and Google's "
            f"network, 18 MB), which is not in {folder}. Fetch it with\n\n"
            f"    make fetch\n\n"
            f"(needs the internet), or set FFN_DATA_DIR to the folder that "
            f"holds fib25/, then run `make demo` again."
        )
    return folder


def run(
    options: Options, show: Callable[[str], None] = lambda table: None
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
        runner.RunOptions(bounding_box=request_lib.format_bounding_box(crop)),
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
    run(options, print)
    print(
        "The network sees 33^3 voxels, so no object can be started in the "
        "outer 16 of the crop; what is missed there lowers the coverage."
    )
    program.finish(
        f"{options.output_dir}/segmentation and {options.output_dir}/scores",
        f"look at {options.output_dir}/scores/slices.png, then segment the "
        f"whole volume: see README.md",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
