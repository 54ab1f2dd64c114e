"""Curve: what a training has told TensorBoard, as a picture.

curve.draw(curve.read("out/train", "loss"), "loss")
"""

from __future__ import annotations

from collections.abc import Mapping
import os

from PIL import Image

from ffn_tf.program import panel


def read(train_dir: str | os.PathLike[str], tag: str) -> dict[int, float]:
    """{step: value} of a scalar in all event files of a folder.

    Raises:
      FileNotFoundError: there is none of that name.
    """
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    found = event_accumulator.EventAccumulator(
        os.fspath(train_dir), {event_accumulator.TENSORS: 0}
    )
    found.Reload()
    if tag not in found.Tags()[event_accumulator.TENSORS]:
        raise FileNotFoundError(f"{train_dir}: no event file has {tag!r}.")
    return {
        event.step: float(tensor_util.make_ndarray(event.tensor_proto))
        for event in found.Tensors(tag)
    }


def draw(values: Mapping[int, float], name: str) -> Image.Image:
    """Values over steps, at least one."""
    steps = sorted(values)
    line = [values[step] for step in steps]
    page = Image.new("RGB", (panel.WIDTH, panel.HEIGHT), panel.PAPER)
    drawn = panel.Panel(page, 0, steps, max(line) or 1.0)
    drawn.frame()
    drawn.plot([(name, line)])
    return page
