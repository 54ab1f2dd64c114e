"""A phantom, where the named regions of h01.yaml begin.

It is made at 33 x 8 x 8 nm and grown by reflection, labels and image alike, so
that it fills chunks in a second. Its skeletons are those of the part that
was made. The EM of 4 nm has each voxel twice along y and x.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
import pathlib

import numpy as np

from ffn_tf import phantom, volume
from ffn_tf.volume import dataset

DATASET = pathlib.Path(__file__).parents[2] / "configs/datasets/h01.yaml"
SIZE_NM = (33.0, 8.0, 8.0)
MADE_ZYX = (32, 64, 64)
BLOCK_ZYX = (64, 128, 128)
# The first is one whose shard of embeddings is known; others exceed 32 bits.
FIRST_ID = 1_014_493_630
_NEXT_ID = 42_203_823_840
_SUBCOMPARTMENTS = {"axon": 100, "dendrite": 101, "glia": 102}
_NEUROPIL, _FISSURE = 1, 7
_PROOFREAD = 3  # How many neurites.


@dataclasses.dataclass(frozen=True, eq=False)
class Tissue:
    """What is in the bucket; voxels are of 33 x 8 x 8 nm.

    Attributes:
      blocks: where, by region: up to BLOCK_ZYX voxels.
      image, labels: [z, y, x] of a whole block.
      types: axon, dendrite or glia, by id.
      skeletons: by id, in nm of the release, in the first block.
    """

    blocks: Mapping[str, volume.Box]
    image: np.ndarray
    labels: np.ndarray
    types: Mapping[int, str]
    skeletons: Mapping[int, phantom.Skeleton]

    def voxels(self, name: str) -> np.ndarray:
        """A whole block of a volume of h01.yaml, of voxels of 33 x 8 x 8 nm."""
        if name in ("em", "em_8nm"):
            return self.image
        if name in ("c3", "c2"):
            return self.labels
        ids, places = np.unique(self.labels, return_inverse=True)
        made = np.array([self._of_id(name, i) for i in ids.tolist()], np.uint64)
        found = made[places.reshape(self.labels.shape)]
        if name == "synapses":
            found[4::16, 8:12, 8:12], found[9::16, 40:44, 20:24] = 1, 2
        return found

    def _of_id(self, name: str, segment: int) -> int:
        if name == "subcompartments":
            return _SUBCOMPARTMENTS[self.types[segment]]
        if name == "tissue":
            return _FISSURE if self.types[segment] == "glia" else _NEUROPIL
        if name == "proofread_104":
            return segment if segment in self.proofread else 0
        return 0  # No cell bodies, vessels or synapses here.

    @property
    def proofread(self) -> list[int]:
        """The neurites that somebody has looked at."""
        return sorted(self.skeletons)[:_PROOFREAD]

    def of_block(self, region: str, voxels: np.ndarray) -> np.ndarray:
        """The part of a whole block that a region has."""
        return voxels[tuple(slice(n) for n in self.blocks[region].size)]


@functools.cache
def grown() -> Tissue:
    """The tissue; always the same."""
    options = phantom.Options(
        seed=1, size_zyx=MADE_ZYX, voxel_size_nm=SIZE_NM, section_jitter=3.0
    )
    made, truth = phantom.generate(options), phantom.truth(options)
    ids = {label: _NEXT_ID + 7919 * label for label in truth.types}
    ids[min(truth.skeletons)] = FIRST_ID
    table = np.zeros(max(ids) + 1, np.uint64)
    table[list(ids)] = list(ids.values())
    blocks = _blocks()
    first = next(iter(blocks.values())).start
    return Tissue(
        blocks,
        _reflected(made.image),
        table[_reflected(made.labels).astype(np.int64)],
        {ids[label]: kind for label, kind in truth.types.items()},
        {
            ids[label]: dataclasses.replace(
                skeleton,
                vertices_nm=(
                    skeleton.vertices_nm + np.multiply(first, SIZE_NM)
                ).astype(np.float32),
            )
            for label, skeleton in truth.skeletons.items()
        },
    )


def _reflected(voxels: np.ndarray) -> np.ndarray:
    more = [(0, n - m) for n, m in zip(BLOCK_ZYX, MADE_ZYX)]
    return np.pad(voxels, more, "symmetric")


def _blocks() -> dict[str, volume.Box]:
    """Where each named region begins."""
    regions = dataset.load(DATASET).regions
    return {
        name: volume.Box.from_size(
            region.in_voxels(SIZE_NM).start,
            np.minimum(BLOCK_ZYX, region.in_voxels(SIZE_NM).size).tolist(),
        )
        for name, region in regions.items()
    }
