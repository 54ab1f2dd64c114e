"""Options: which phantom, how large, how sampled.

Tissue is made in nanometres; voxels come last. Two phantoms of one seed and
one size in nanometres are the same tissue at two samplings.
"""

from __future__ import annotations

import dataclasses

from ffn_tf import program, volume


@dataclasses.dataclass(frozen=True)
class Options:
    """A phantom. Equal options give equal bytes."""

    seed: int = program.option(0, help="which phantom")
    size_zyx: tuple[int, int, int] = program.option(
        (256, 256, 256), help="voxels along z, y, x"
    )
    voxel_size_nm: tuple[float, float, float] = program.option(
        (10.0, 10.0, 10.0),
        help="z, y, x; 10,10,10 is FIB-SEM, 33,8,8 serial sections",
    )
    noise: float = program.option(
        6.0, help="std of the detector noise, grey levels"
    )
    section_jitter: float = program.option(
        0.5, help="std of brightness from section to section, grey levels"
    )
    misalignment_nm: float = program.option(
        0.0, help="std of the in-plane shift of each section"
    )
    inverted: bool = program.option(
        False, help="membranes bright in dark cytoplasm, as a negative"
    )
    cell_types: int = program.option(
        1, help="of neurons, which differ inside; with 2, cell bodies, too"
    )

    def __post_init__(self) -> None:
        size = volume.box.triple(self.size_zyx, "size_zyx")
        object.__setattr__(self, "size_zyx", size)
        voxel = tuple(float(v) for v in self.voxel_size_nm)
        object.__setattr__(self, "voxel_size_nm", voxel)
        if min(size) < 1:
            raise ValueError(
                f"size_zyx: expected 3 positive numbers, found {size}."
            )
        if len(voxel) != 3 or not all(2 <= v <= 100 for v in voxel):
            raise ValueError(
                f"voxel_size_nm: expected 3 lengths from 2 to 100 nm, found "
                f"{voxel}."
            )
        for name in ("noise", "section_jitter", "misalignment_nm"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(
                    f"{name}: expected 0 to 100, found {getattr(self, name)}."
                )
        if self.cell_types not in (1, 2):
            raise ValueError(
                f"cell_types: expected 1 or 2, found {self.cell_types}."
            )
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, found {self.seed}.")

    @property
    def domain(self) -> volume.Box:
        """Every voxel of the phantom."""
        return volume.Box.from_shape(self.size_zyx)

    @property
    def size_nm(self) -> tuple[float, float, float]:
        """Edge lengths, zyx."""
        z, y, x = (n * v for n, v in zip(self.size_zyx, self.voxel_size_nm))
        return z, y, x
