"""Habits: how each type of neurite grows, in the order in which they come.

The first come are the thick ones, which take the room that they want; those
after fill what is left, so that the last run between, around and along the
others. `share` is the part of the world that a habit fills with its tubes;
the tubes then swell until they touch, so the numbers do not add up to one.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import numpy as np

Range = tuple[float, float]

TYPES = ("dendrite", "axon", "glia", "soma")

# How radius follows path length: s nm -> (radius nm, inside a bouton).
Profile = Callable[[float], tuple[float, bool]]


@dataclasses.dataclass(frozen=True)
class Habit:
    """One way to grow. Lengths in nm; per-length rates per micrometre.

    Attributes:
      kind: the type of neurite, one of TYPES.
      share: of the world, to be filled.
      radius: of a root, log-uniform.
      thinnest: where less room is left, the tip stops.
      wiggle: spread of the directions that a tip tries.
      stiffness: how much a tip prefers straight on to more room.
      length: of each of the two arms of a root.
      roughness: relative variation of the radius.
      gap: kept to the surface of others; it becomes membrane.
      room: a root needs this many of its smallest radii.
      branches: per micrometre, for `depth` generations.
      branch_radius: of a branch, relative to its parent.
      bouton_every, bouton_radius: swellings that hold vesicles.
      twigs: thin side processes per micrometre, most with a head (spines).
      hugs: how much a tip keeps to the surfaces of others (sheets).
    """

    kind: str
    share: float
    radius: Range
    thinnest: float
    wiggle: float
    stiffness: float
    length: Range
    roughness: float = 0.2
    gap: float = 10.0
    room: float = 1.0
    branches: float = 0.0
    branch_radius: Range = (0.7, 1.0)
    depth: int = 0
    bouton_every: float = 0.0
    bouton_radius: Range = (0.0, 0.0)
    twigs: float = 0.0
    hugs: float = 0.0

    @property
    def widest(self) -> float:
        """No tube of this habit is meant to be thicker, nm."""
        return max(self.radius[1], self.bouton_radius[1])


TRUNK = Habit(
    kind="dendrite",
    share=0.2,
    radius=(240, 560),
    thinnest=150,
    wiggle=0.2,
    stiffness=1.0,
    length=(4000, 9000),
    roughness=0.3,
    branches=0.3,
    branch_radius=(0.3, 0.6),
    depth=1,
    twigs=0.8,
)
DENDRITE = Habit(
    kind="dendrite",
    share=0.14,
    radius=(90, 220),
    thinnest=60,
    wiggle=0.3,
    stiffness=0.8,
    length=(2500, 6000),
    roughness=0.3,
    branches=0.5,
    branch_radius=(0.4, 0.8),
    depth=2,
    twigs=1.0,
)
AXON = Habit(
    kind="axon",
    share=0.16,
    radius=(55, 100),
    thinnest=32,
    wiggle=0.3,
    stiffness=0.8,
    length=(3000, 8000),
    roughness=0.15,
    room=1.2,
    branches=0.25,
    depth=1,
    bouton_every=1300,
    bouton_radius=(140, 330),
    hugs=0.25,
)
GLIA = Habit(
    kind="glia",
    share=0.045,
    radius=(35, 60),
    thinnest=22,
    wiggle=0.6,
    stiffness=0.3,
    length=(800, 2000),
    gap=8,
    branches=4.0,
    branch_radius=(0.8, 1.0),
    depth=4,
    hugs=0.5,
)
FINE_AXON = Habit(
    kind="axon",
    share=0.12,
    radius=(40, 75),
    thinnest=28,
    wiggle=0.35,
    stiffness=0.7,
    length=(3000, 8000),
    gap=8,
    room=1.9,
    branches=0.3,
    depth=1,
    bouton_every=1500,
    bouton_radius=(80, 170),
    hugs=0.25,
)
FINE_DENDRITE = Habit(
    kind="dendrite",
    share=0.12,
    radius=(35, 60),
    thinnest=26,
    wiggle=0.4,
    stiffness=0.7,
    length=(1000, 3000),
    roughness=0.35,
    gap=8,
    room=1.9,
    branches=0.6,
    branch_radius=(0.8, 1.0),
    depth=1,
)
HABITS = (TRUNK, DENDRITE, AXON, GLIA, FINE_AXON, FINE_DENDRITE)

# A cell body, as far as it fits; its trunks are others' affair.
SOMA = Habit(
    kind="soma",
    share=0.05,
    radius=(700, 1100),
    thinnest=400,
    wiggle=0.3,
    stiffness=1.0,
    length=(300, 700),
    roughness=0.1,
)

# A side process of a dendrite: a spine's neck, or a longer thin twig.
TWIG = Habit(
    kind="dendrite",
    share=0,
    radius=(35, 60),
    thinnest=26,
    wiggle=0.35,
    stiffness=0.5,
    length=(200, 1500),
    roughness=0.25,
    gap=8,
)
SPINE_HEAD: Range = (80, 180)
SPINE_SHARE = 0.7

_KNOT_NM = 220.0


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform between those of low and high."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def profile(
    habit: Habit, radius: float, length: float, rng: np.random.Generator
) -> Profile:
    """The radius that a path of `habit` would like to have along itself."""
    count = int(length / _KNOT_NM) + 4
    knots = np.arange(count) * _KNOT_NM
    rough = np.convolve(rng.uniform(-1, 1, count), (0.25, 0.5, 0.25), "same")
    rough = radius * (1 + 2 * habit.roughness * rough)
    if not habit.bouton_every:
        return lambda s: (float(np.interp(s, knots, rough)), False)
    every = habit.bouton_every
    number = 2 * int(length / every) + 3
    centers = np.cumsum(every * (0.3 + 0.7 * rng.exponential(size=number)))
    centers -= rng.uniform(0, every)
    bulges = rng.uniform(*habit.bouton_radius, number)
    widths = bulges * rng.uniform(1, 2, number)

    def with_boutons(s: float) -> tuple[float, bool]:
        plain = float(np.interp(s, knots, rough))
        u = np.abs(s - centers) / widths
        nearest = int(np.argmin(u))
        if u[nearest] >= 1:
            return plain, False
        bulge = float(bulges[nearest] * np.sqrt(1 - u[nearest] ** 2))
        return max(plain, bulge), bool(u[nearest] < 0.9)

    return with_boutons
