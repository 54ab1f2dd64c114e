"""Copies image stacks and volumes into a volume of any format, anywhere.

    python -m ffn_tf.ingest --input=slices/ --output=em.zarr \\
        --voxel_size_nm=40,4,4 --clahe

The input is a folder of PNG or TIFF slices, a multi-page TIFF, or the address
of any volume (docs/formats.md); the output is any address that can be written:
`em.h5:raw`, `em.npy`, `precomputed://em`, `zarr://em.zarr`, `zarr3://em.zarr`,
`n5://em.n5`, and folders in buckets, `precomputed://gs://bucket/em`, `s3://`.

Nothing is lost unless you ask for it (`--encoding=jpeg`). Coarser scales, which
viewers need, are made in the same pass where the format has scales.

The output appears when it is complete, and not before. Killed, the program goes
on where it was when it is run again with the same options; with others it
refuses. What exists is never overwritten.

On the sample data:

    python -m ffn_tf.ingest \\
        --input=../shared/data/fib25/grayscale_maps.h5:raw \\
        --output=precomputed://out/em --voxel_size_nm=10,10,10
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from typing import Any

import numpy as np
from skimage import exposure

from ffn_tf import program, volume
from ffn_tf.inference import box_text, extent
from ffn_tf.volume import attempt, conversion
from ffn_tf.volume.formats import codec as codec_lib
from ffn_tf.volume.streams import outcome, stream


@dataclasses.dataclass(frozen=True)
class Options:
    """What to turn into what; codec.Codec says how it is stored."""

    input: str = program.option(
        help="folder of PNG or TIFF slices, multi-page TIFF, or address of a "
        "volume"
    )
    output: str = program.option(help="address of the new volume")
    voxel_size_nm: tuple[float, float, float] | None = program.option(
        None,
        help="edge lengths of a voxel, z,y,x, in nanometres; by default what "
        "the input says",
    )
    kind: str = program.option(
        "auto",
        help="what the voxels are; decides how they are compressed and made "
        "coarser. auto: what the input says, else integers of more than 16 "
        "bits are a segmentation",
        choices=("auto", "image", "segmentation"),
    )
    bounding_box: str = program.option(
        "",
        help=f"Box to copy: {box_text.HELP}. Empty: the whole volume.",
    )
    clahe: bool = program.option(
        False,
        help="equalise the contrast of each section locally (CLAHE); the "
        "output is uint8",
    )
    chunk_zyx: tuple[int, int, int] = program.option(
        (64, 64, 64), help="chunk size of the output, z,y,x"
    )
    num_scales: int | None = program.option(
        None,
        help="how many scales the output has (precomputed, zarr, zarr3); by "
        "default, until one fits in a chunk",
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is at the output.

    Attributes:
      info: of its finest scale.
      was_there: it was complete before.
      reading: lines about how it was read this time: damaged chunks that were
        filled, cache hits.
    """

    info: volume.VolumeInfo
    was_there: bool
    reading: tuple[str, ...] = ()


def equalised(section: np.ndarray) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation of one section.

    Args:
      section: [y, x] of any real dtype.

    Returns:
      [y, x] uint8 that uses the whole range. A section of one single value
      has no contrast and becomes 0.

    Raises:
      ValueError: NaN or infinity in the section.
    """
    values = section.astype(np.float64)
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            "CLAHE needs finite values; found NaN or infinity. Replace them "
            "first."
        )
    if low == high:
        return np.zeros(section.shape, np.uint8)
    stretched = exposure.equalize_adapthist((values - low) / (high - low))
    return np.rint(stretched * 255).astype(np.uint8)


def _all_equalised(box: volume.Box, voxels: np.ndarray) -> stream.Item:
    """Whole sections [z, y, x] and the same with their contrast equalised."""
    result = np.empty(voxels.shape, np.uint8)
    for i, section in enumerate(voxels):
        try:
            result[i] = equalised(section)
        except ValueError as error:
            where = f"section z = {box.start[0] + i}"
            raise ValueError(f"{where}: {error}") from error
    return box, result


def _output_info(source: volume.Volume, options: Options) -> volume.VolumeInfo:
    size = options.voxel_size_nm or source.voxel_size_nm
    if not options.voxel_size_nm and size == (1, 1, 1):
        raise ValueError(
            f"{options.input}: does not say how large a voxel is; give "
            f"--voxel_size_nm=z,y,x."
        )
    kind: Any = None if options.kind == "auto" else options.kind
    if options.clahe and kind == "segmentation":
        raise ValueError(
            "--clahe changes grey values, and these are labels; leave out "
            "--clahe or --kind=segmentation."
        )
    return dataclasses.replace(
        source.info,
        domain=extent.asked(source, options.bounding_box),
        voxel_size_nm=size,
        dtype=np.dtype(np.uint8) if options.clahe else source.dtype,
        kind="image" if options.clahe else kind or source.info.kind,
        chunk_zyx=options.chunk_zyx,
    )


def run(options: Options, codec: codec_lib.Codec | None = None) -> Summary:
    """Copies the input to the output, or goes on with it.

    Raises:
      FileExistsError: something else is there.
      ValueError: the options, the input and the output do not go together.
      OSError: reading or writing failed.
    """
    codec = codec or codec_lib.Codec()
    made_by = {
        "program": "ffn_tf.ingest",
        "code": program.describe_code(),
        "options": dataclasses.asdict(options) | dataclasses.asdict(codec),
    }
    if attempt.look(options.output, made_by) == "complete":
        with volume.open(options.output) as found:
            return Summary(found.info, was_there=True)
    with volume.open(options.input) as source:
        plan = conversion.planned(
            source,
            options.output,
            _output_info(source, options),
            codec=codec,
            num_scales=options.num_scales,
            whole_sections=options.clahe,
            made_by=made_by,
        )
        function = _all_equalised if options.clahe else None
        with program.Progress("Copying", "voxels") as progress:

            def show(now: conversion.Progress) -> None:
                if now.done == now.before > 0:
                    share = f"{100 * now.before / now.total:.0f} %"
                    print(f"Going on: {share} was there.", file=sys.stderr)
                progress.update(now.done, now.total, now.before)

            try:
                conversion.execute(plan, source, function, show)
            except (outcome.StreamError, KeyboardInterrupt):
                _say_what_remains(options.output)
                raise
        return Summary(plan.info, False, tuple(source.report()))


def _say_what_remains(output: str) -> None:
    with contextlib.suppress(ValueError, OSError):
        done = conversion.num_done(output)
        if done:
            program.warn(
                f"{done} blocks of {output} are written and kept; run the "
                f"same command again to go on."
            )


def _next(output: str, info: volume.VolumeInfo) -> str:
    if info.kind == "segmentation":
        return f"python -m ffn_tf.info {output}"
    return (
        f"python -m ffn_tf.run_inference --image={output} "
        f"--model_checkpoint=NETWORK --segmentation_output_dir=out/segments"
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options, program.from_flags(codec_lib.Codec))
    for line in summary.reading:
        print(line)
    info = summary.info
    wrote = (
        f"{options.output}: {info.domain.size} voxels (z, y, x) of "
        f"{info.dtype}, {info.voxel_size_nm} nm"
    )
    if summary.was_there:
        wrote = (
            f"nothing: {options.output} is complete, made with the same "
            f"options before"
        )
    program.finish(wrote, _next(options.output, info))


if __name__ == "__main__":
    program.define_flags(Options)
    program.define_flags(codec_lib.Codec)
    program.start(main)
