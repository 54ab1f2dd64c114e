"""From segments to types in minutes, with nothing but this package.

    python -m segclr.demo --output_dir=out/phantom/segclr

Makes a phantom of two cell types that differ inside; traces its segments,
trains a narrow encoder on pairs of places, embeds all places, takes means along
the neurites, learns the types of some and tells those of others, looks for
merges, and writes it all on one page, report.html. Each step is printed as the
command that does the same. Run again, it skips what is there.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import pathlib

from ffn_tf import make_phantom, phantom, program, skeletonize
from ffn_tf.program.progress import Line
from ffn_tf.skeleton import blocks, tracing
from segclr import (
    aggregate,
    classify,
    detect_merges,
    embed,
    report,
    sample_pairs,
    train,
)
from segclr.classification import fitting
from segclr.embedding import run as embedding
from segclr.training import step

Show = Callable[[str], None]

_VOXEL_NM = (20.0, 20.0, 20.0)
_SPACING_NM = 150.0


@dataclasses.dataclass(frozen=True)
class Options:
    """How much, and where the results go."""

    output_dir: str = program.option(
        "out/segclr", help="Folder of the results."
    )
    size_zyx: tuple[int, int, int] = program.option(
        (160, 160, 160), help="Voxels of the phantom, z,y,x."
    )
    max_steps: int = program.option(300, help="Of the training.")


def run(options: Options, show: Show = lambda line: None) -> classify.Summary:
    """Does all of it; files go to `output_dir`.

    Raises:
      ValueError, OSError: see the programs.
    """
    root = pathlib.Path(options.output_dir)
    image, labels = f"{root}/phantom/image.zarr", f"{root}/phantom/labels.zarr"
    _phantom(root, options, show)

    tracings = skeletonize.Options(labels, f"{root}/skeletons")
    which = blocks.Options(dust_threshold=300)
    how = tracing.Options(const_nm=60.0)
    show(program.command_line("skeletonize", tracings, which, how))
    skeletonize.run(tracings, which, how)

    drawing = sample_pairs.Options(
        tracings.output_dir,
        f"{root}/pairs",
        _VOXEL_NM,
        spacing_nm=_SPACING_NM,
        buckets_um=(0.0, 0.5, 1.5, 5.0),
    )
    show(program.command_line("segclr.sample_pairs", drawing))
    sample_pairs.run(drawing)

    checkpoint = _trained(root, image, labels, options.max_steps, show)
    embeddings = embedding.Options(
        str(checkpoint),
        image,
        labels,
        f"{root}/embeddings",
        tracings.output_dir,
        spacing_nm=_SPACING_NM,
        skip_empty=True,
    )
    show(program.command_line("segclr.embed", embeddings))
    embed.run(embeddings)

    means = aggregate.Options(embeddings.output_dir, f"{root}/means", 2.0)
    show(program.command_line("segclr.aggregate", means))
    aggregate.run(means)
    return _typed(root, image, labels, show)


def _phantom(root: pathlib.Path, options: Options, show: Show) -> None:
    tissue = phantom.Options(
        seed=31,
        size_zyx=options.size_zyx,
        voxel_size_nm=_VOXEL_NM,
        cell_types=2,
    )
    outputs = make_phantom.Outputs(output_dir=f"{root}/phantom")
    show(program.command_line("make_phantom", tissue, outputs))
    if not phantom.is_there(tissue, outputs.output_dir):
        make_phantom.run(tissue, outputs)


def _trained(
    root: pathlib.Path, image: str, labels: str, max_steps: int, show: Show
) -> pathlib.Path:
    """The checkpoint of an encoder."""
    training = train.Options(
        f"{root}/pairs",
        image,
        labels,
        f"{root}/training",
        max_steps=max_steps,
        batch_size=32,
    )
    encoder = train.EncoderOptions(
        network="resnet10", width=12, size_zyx=(33, 33, 33)
    )
    optimizer = step.OptimizerOptions(
        optimizer="adamw", learning_rate=0.002, warmup_steps=30
    )
    show(program.command_line("segclr.train", training, encoder, optimizer))
    line = Line()
    try:
        return train.run(
            training,
            encoder,
            optimizer,
            tell=lambda progress: line.show(train.as_line(progress)),
            tell_s=line.interval,
        ).checkpoint
    finally:
        line.end()


def _typed(
    root: pathlib.Path, image: str, labels: str, show: Show
) -> classify.Summary:
    """Types, merges, and the page."""
    typing = classify.Options(
        f"{root}/means",
        f"{root}/types",
        labels=f"{root}/phantom/types.csv",
        skip_rare=True,
    )
    head = fitting.Options()
    show(program.command_line("segclr.classify", typing, head))
    summary = classify.run(typing, head)
    merges = detect_merges.Options(
        f"{root}/embeddings",
        f"{root}/merges",
        typing.output_dir,
        radius_um=1.0,
    )
    show(program.command_line("segclr.detect_merges", merges))
    detect_merges.run(merges)
    page = report.Options(
        typing.embeddings,
        typing.output_dir,
        f"{root}/report.html",
        merges.output_dir,
        image,
        labels,
    )
    show(program.command_line("segclr.report", page))
    report.run(page)
    return summary


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options, lambda line: print(f"$ {line}"))
    print(classify.as_table(summary.scores))
    page = f"{options.output_dir}/report.html"
    program.finish(page, f"open it in a browser: {page}")


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
