"""Turns image stacks and volumes into a volume of any format.

    python -m ffn_tf.ingest --input=slices/ --output=em.zarr \\
        --voxel_size_nm=40,4,4 --clahe

The input is a folder of PNG or TIFF slices, a multi-page TIFF, or the address
of any volume (docs/formats.md); the output is any address that can be written:
`em.h5:raw`, `em.npy`, `precomputed://em`, `zarr://em.zarr`, `zarr3://em.zarr`,
`n5://em.n5`. The voxels are copied block by block, in bounded memory.

The output appears when it is complete, and not before. An output that exists
is never overwritten.

On the sample data:

    python -m ffn_tf.ingest \\
        --input=../shared/data/fib25/grayscale_maps.h5:raw \\
        --output=precomputed://out/em --voxel_size_nm=10,10,10
"""

from __future__ import annotations

import dataclasses

import numpy as np
from skimage import exposure
import tqdm

from ffn_tf import program, volume

# Voxels in memory at a time; CLAHE takes about 40 bytes for each voxel of a
# section, copying 1 to 8 for each voxel of a block.
_BLOCK_VOXELS = 2**26


@dataclasses.dataclass(frozen=True)
class Options:
    """What to turn into what."""

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
    clahe: bool = program.option(
        False,
        help="equalise the contrast of each section locally (CLAHE); the "
        "output is uint8",
    )
    chunk_zyx: tuple[int, int, int] = program.option(
        (64, 64, 64), help="chunk size of the output, z,y,x"
    )


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


def block_size(
    source: volume.VolumeInfo, chunk_zyx: tuple[int, int, int], clahe: bool
) -> tuple[int, int, int]:
    """How much to copy at a time, zyx: whole chunks of the output.

    A source of whole sections is read by slabs of them, because to read a
    part costs as much as the whole. If a slab as thick as a chunk is larger
    than `_BLOCK_VOXELS`, it becomes thinner, and chunks are written in parts.
    """
    domain = source.domain.size
    sections = clahe or source.chunk_zyx[1:] == domain[1:]
    if sections:
        fits = max(1, _BLOCK_VOXELS // max(1, domain[1] * domain[2]))
        thick = max(1, fits // chunk_zyx[0]) * chunk_zyx[0]
        return min(thick, fits), max(1, domain[1]), max(1, domain[2])
    edge = round(_BLOCK_VOXELS ** (1 / 3))
    z, y, x = (max(1, edge // c) * c for c in chunk_zyx)
    return z, y, x


def _output_info(source: volume.Volume, options: Options) -> volume.VolumeInfo:
    size = options.voxel_size_nm or source.voxel_size_nm
    if not options.voxel_size_nm and size == (1, 1, 1):
        raise ValueError(
            f"{options.input}: does not say how large a voxel is; give "
            f"--voxel_size_nm=z,y,x."
        )
    return dataclasses.replace(
        source.info,
        voxel_size_nm=size,
        dtype=np.dtype(np.uint8) if options.clahe else source.dtype,
        kind="image" if options.clahe else source.info.kind,
        chunk_zyx=options.chunk_zyx,
    )


def _processed(
    source: volume.Volume, box: volume.Box, clahe: bool
) -> np.ndarray:
    voxels = source.read(box)
    if not clahe:
        return voxels
    result = np.empty(voxels.shape, np.uint8)
    for i, section in enumerate(voxels):
        try:
            result[i] = equalised(section)
        except ValueError as error:
            raise ValueError(
                f"{source.address}: section z = {box.start[0] + i}: {error}"
            ) from error
    return result


def run(options: Options) -> volume.VolumeInfo:
    """Copies the input to the output; says what the output is."""
    volume.refuse_existing(options.output)
    with volume.open(options.input) as source:
        info = _output_info(source, options)
        size = block_size(source.info, info.chunk_zyx, options.clahe)
        made_by = {
            "program": "ffn_tf.ingest",
            "code": program.describe_code(),
            "options": dataclasses.asdict(options),
        }
        boxes = tqdm.tqdm(
            volume.grid.tile(info.domain, size),
            total=volume.grid.count(info.domain, size),
            desc="ingest",
            unit="block",
            disable=None,
        )
        with volume.staged(options.output, info, attributes=made_by) as filling:
            for box in boxes:
                filling.write(box, _processed(source, box, options.clahe))
    return info


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    info = run(options)
    program.finish(
        f"{options.output}: {info.domain.size} voxels (z, y, x) of "
        f"{info.dtype}, {info.voxel_size_nm} nm",
        f"python -m ffn_tf.run_inference --image={options.output} "
        f"--model_checkpoint=NETWORK --segmentation_output_dir=out/segments",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
