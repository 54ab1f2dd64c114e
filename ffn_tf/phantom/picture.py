"""Picture: a phantom beside a real volume, to look at and to measure.

Columns are the planes xy, xz, yz through the middle; rows are the phantom,
the real volume (if one is given) at the same scale and contrast, and the
phantom with its labels. A caption below says so.
"""

from __future__ import annotations

from collections.abc import Sequence
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ffn_tf import volume
from ffn_tf.phantom import options as options_lib
from ffn_tf.phantom import voxels

_ZOOM = 2
_RULE = 4
_LARGEST = 400

# Edges of the bands of spatial frequency, cycles per voxel.
_BANDS = (0.004, 0.02, 0.045, 0.08, 0.13, 0.22, 0.5)

Planes = list[np.ndarray]


def phantom_planes(
    options: options_lib.Options,
) -> tuple[Planes, Planes]:
    """Middle planes of image and labels: three arrays [n, n] each."""
    blocks = [voxels.generate(options, box) for box in _middle(options.domain)]
    return (
        [block.image.squeeze() for block in blocks],
        [block.labels.squeeze() for block in blocks],
    )


def real_planes(opened: volume.Volume) -> Planes:
    """Middle planes of a uint8 volume: three arrays [n, n]."""
    if opened.dtype != np.uint8:
        raise ValueError(
            f"{opened.address}: only uint8 images are compared, found "
            f"{opened.dtype}."
        )
    return [
        plane.squeeze() for plane in opened.read_many(_middle(opened.domain))
    ]


def _middle(domain: volume.Box) -> list[volume.Box]:
    """The planes xy, xz, yz through the middle, square."""
    edge = min(*domain.size, _LARGEST)
    start = [c - edge // 2 for c in domain.center]
    cube = volume.Box.from_size(start, edge)
    planes = []
    for axis in range(3):
        low, high = list(cube.start), list(cube.end)
        low[axis] = domain.center[axis]
        high[axis] = low[axis] + 1
        planes.append(
            volume.Box(volume.box.triple(low), volume.box.triple(high))
        )
    return planes


def draw(image: Planes, labels: Planes, real: Planes | None) -> Image.Image:
    """The picture. All planes [n, n] uint8 (labels: uint64)."""
    rows = [image, [_coloured(i, k) for i, k in zip(image, labels)]]
    if real is not None:
        edge = min(len(image[0]), len(real[0]))
        rows.insert(1, real)
        rows = [[plane[:edge, :edge] for plane in row] for row in rows]
    rule = ((_RULE, _RULE), (_RULE, _RULE), (0, 0))
    sheet = np.concatenate(
        [
            np.concatenate(
                [np.pad(_rgb(p), rule, constant_values=255) for p in row], 1
            )
            for row in rows
        ]
    )
    height, width = sheet.shape[:2]
    enlarged = Image.fromarray(sheet).resize(
        (width * _ZOOM, height * _ZOOM), Image.Resampling.BICUBIC
    )
    return _captioned(enlarged, caption(real is not None))


def caption(has_real: bool) -> str:
    """What is in the columns and rows."""
    real = "the real volume at the same scale; " if has_real else ""
    return (
        f"Columns: planes xy, xz, yz (down: y, z, z; right: x, x, y). Rows: "
        f"the phantom; {real}the phantom with its labels, a colour for each "
        f"cell."
    )


def _captioned(sheet: Image.Image, text: str) -> Image.Image:
    lines = textwrap.wrap(text, max(16, sheet.width // 8))
    height = sheet.height + 20 * len(lines) + 12
    page = Image.new("RGB", (sheet.width, height), "white")
    page.paste(sheet)
    place, font = (2 * _RULE, sheet.height + 4), ImageFont.load_default(15)
    ImageDraw.Draw(page).text(place, "\n".join(lines), "black", font)
    return page


def _rgb(plane: np.ndarray) -> np.ndarray:
    return plane if plane.ndim == 3 else np.repeat(plane[..., None], 3, 2)


def _coloured(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    number = labels.astype(np.int64)
    paint = np.stack([number * 97, number * 59 + 80, number * 151 + 160], -1)
    paint = 70 + paint % 160
    return (0.6 * image[..., None] + 0.4 * paint).astype(np.uint8)


def spectrum_db(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Mean power in each band of spatial frequency, dB."""
    power = [_band_power(plane.astype(np.float64)) for plane in planes]
    return 10 * np.log10(np.mean(power, 0))


def _band_power(plane: np.ndarray) -> np.ndarray:
    edge = min(plane.shape)
    window = np.hanning(edge)[:, None] * np.hanning(edge)
    plane = plane[:edge, :edge]
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    frequency = np.fft.fftfreq(edge)
    radius = np.hypot(frequency[:, None], frequency)
    band = np.digitize(radius.ravel(), _BANDS)
    total = np.bincount(band, power.ravel(), len(_BANDS) + 1)
    count = np.bincount(band, minlength=len(_BANDS) + 1)
    return (total / np.maximum(count, 1) / edge**2 + 1e-9)[1:-1]


def describe(image: Planes, real: Planes | None) -> str:
    """Grey levels and spectra, in a few lines."""
    lines = [f"bands (cycles per voxel)  {_BANDS}"]
    for name, planes in (("phantom", image), ("real", real)):
        if planes is None:
            continue
        grey = np.concatenate([plane.ravel() for plane in planes])
        spectrum = " ".join(f"{v:5.1f}" for v in spectrum_db(planes))
        lines.append(
            f"{name:8} grey {grey.mean():.1f} +- {grey.std():.1f}, "
            f"spectrum dB {spectrum}"
        )
    return "\n".join(lines)
