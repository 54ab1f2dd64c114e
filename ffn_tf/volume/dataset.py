"""Datasets: a YAML file that names volumes and regions of one specimen.

    name: fib25
    description: FIB-SEM of the Drosophila medulla
    volumes:
      image:
        address: ${FFN_DATA_DIR}/fib25/grayscale_maps.h5:raw
        voxel_size_nm: [10, 10, 10]
        kind: image
      grey:
        of: image
        view:
          - downsample: {factors_zyx: [1, 2, 2]}
    resources:
      paper:
        address: https://doi.org/10.1073/pnas.1509820112
    regions:
      crop:
        start_zyx: [60, 60, 60]
        size_zyx: [80, 80, 80]
        voxel_size_nm: [10, 10, 10]
    known_issues:
      - volume: image
        note: what is wrong with it

A volume has an `address`, or is `of` another one; a `view` changes it on the
way (description.py). Resources are what belongs to the specimen and is no
volume: skeletons, tables, models. A region is a box of voxels of its own
`voxel_size_nm`, so that it can be found in every scale of every volume;
without, of the voxels of the volume that it is used with. Sizes and bounds of
the volumes are never written here: they are read from the volumes. `licence`,
`source` and any `note` are texts for people.

`voxel_size_nm` and `kind` may be left out where the volume knows them; a size
that both say must be the same. With a `view`, they are those of what it is made
of: what the view does to them follows. `${NAME}` in an address is an
environment variable; HERE is the folder of the dataset file, and FFN_DATA_DIR,
where unset, what `data_dir` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import graphlib
import math
import os
import pathlib
import re
from typing import Any

import numpy as np
import yaml

from ffn_tf.volume import checks, store
from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE
from ffn_tf.volume.views import description, index

_KEYS = (
    "name",
    "description",
    "licence",
    "source",
    "volumes",
    "resources",
    "regions",
    "known_issues",
)
_ENTRY_KEYS = ("address", "of", "view", "voxel_size_nm", "kind", "note")
_KINDS = ("image", "segmentation")
_RESOURCE_KEYS = ("address", "kind", "note")
_REGION_KEYS = ("start_zyx", "size_zyx", "voxel_size_nm", "note")
_ISSUE_KEYS = ("volume", "note")
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def data_dir() -> pathlib.Path:
    """Where the real data is, if anywhere.

    $FFN_DATA_DIR, else `../shared/data` beside the checkout if `fib25` is in
    it, else `data` in the checkout, where `make fetch` writes.
    """
    shared = _ROOT.parent / "shared" / "data"
    default = shared if (shared / "fib25").exists() else _ROOT / "data"
    return pathlib.Path(os.environ.get("FFN_DATA_DIR") or default)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One volume of a dataset, as its YAML describes it.

    Attributes:
      address: of the volume; or else
      of: the volume of the dataset that it is a view of.
      view: steps that make it of that.
    """

    address: str
    of: str = ""
    view: tuple[description.Step, ...] = ()
    voxel_size_nm: tuple[float, float, float] | None = None
    kind: str | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Resource:
    """Something of a specimen that is no volume."""

    address: str
    kind: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Region:
    """A named box; in voxels of `voxel_size_nm`, or of any volume if None."""

    box: Box
    voxel_size_nm: tuple[float, float, float] | None = None
    note: str = ""

    def in_voxels(self, voxel_size_nm: Sequence[float]) -> Box:
        """The least box of voxels of another size that covers it."""
        if self.voxel_size_nm is None:
            return self.box
        ratios = [o / n for o, n in zip(self.voxel_size_nm, voxel_size_nm)]
        # A millionth of a voxel is rounding, not tissue.
        return Box(
            triple(
                math.floor(s * r + 1e-6) for s, r in zip(self.box.start, ratios)
            ),
            triple(
                math.ceil(e * r - 1e-6) for e, r in zip(self.box.end, ratios)
            ),
        )


@dataclasses.dataclass(frozen=True)
class Issue:
    """Something that is known to be wrong with a volume."""

    volume: str
    note: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A parsed dataset file.

    Attributes:
      name: of the specimen.
      volumes: by role: image, truth, ...
      description: a sentence about it.
      regions, resources: by name.
      known_issues: of the volumes.
      licence, source: texts.
    """

    name: str
    volumes: Mapping[str, Entry]
    description: str = ""
    regions: Mapping[str, Region] = dataclasses.field(default_factory=dict)
    resources: Mapping[str, Resource] = dataclasses.field(default_factory=dict)
    known_issues: tuple[Issue, ...] = ()
    licence: str = ""
    source: str = ""

    def open(
        self, role: str, query: str = "", region: str = ""
    ) -> store.Volume:
        """Opens the volume of a role.

        Args:
          role: its name.
          query: what an address may have after its question mark; beside what
            that of the volume says, and in its stead.
          region: the part of it to open; empty: all.

        Raises:
          ValueError: no such role or region, or the volume contradicts the
            dataset.
          FileNotFoundError: the data is not there.
        """
        where = f"dataset {self.name}"
        entry = self.volumes[checks.one_of(role, where, self.volumes, "volume")]
        if entry.view and ("mip=" in query or "resolution_nm=" in query):
            below = entry.of or "its address"
            raise ValueError(
                f"{where}: {role} is a view, whose steps count voxels of one "
                f"scale; choose the scale of {below} in the dataset file, not "
                f"by {query!r}."
            )
        if entry.of:
            opened = self.open(entry.of, query)
        else:
            mark = "&" if "?" in entry.address else "?"
            opened = store.open(entry.address + (mark + query if query else ""))
        opened = self._described(role, entry, opened, query)
        if entry.view:
            opened = description.applied(opened, entry.view, self.open)
        if not region:
            return opened
        found = self.regions[
            checks.one_of(region, where, self.regions, "region")
        ]
        return index.cropped(opened, found.in_voxels(opened.voxel_size_nm))

    def _described(
        self, role: str, entry: Entry, opened: store.Volume, query: str
    ) -> store.Volume:
        """`opened` with what the dataset says of it, if they agree."""
        size = opened.voxel_size_nm
        chooses_scale = "mip=" in query or "resolution_nm=" in query
        stated = None if chooses_scale else entry.voxel_size_nm
        if (
            stated
            and size != UNKNOWN_VOXEL_SIZE
            and not np.allclose(size, stated)
        ):
            opened.close()
            raise ValueError(
                f"dataset {self.name}: voxel_size_nm of {role} is {stated}, "
                f"but {entry.address or entry.of} says {size}; correct one of "
                f"them."
            )
        return opened.described(
            voxel_size_nm=stated or size, kind=entry.kind or opened.info.kind
        )


def load(path: str | os.PathLike[str]) -> Dataset:
    """Reads a dataset file.

    Raises:
      FileNotFoundError: it does not exist.
      ValueError: it is not YAML, or a key or a value is wrong.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such dataset file.")
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
        _refuse_twice(yaml.compose(text, yaml.SafeLoader))
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    top = checks.keyed(found, f"{path}", ("name", "volumes"), _KEYS)
    here = str(pathlib.Path(path).resolve().parent)
    known = os.environ | {"FFN_DATA_DIR": str(data_dir()), "HERE": here}
    volumes = {
        role: _entry(value, f"{path}: volumes.{role}", known)
        for role, value in checks.mapping(top["volumes"], str(path)).items()
    }
    _refuse_circles(volumes, f"{path}")
    issues = top.get("known_issues", [])
    if not isinstance(issues, list):
        raise ValueError(
            f"{path}: known_issues: expected a list, found {issues!r}."
        )
    return Dataset(
        name=str(top["name"]),
        description=str(top.get("description", "")),
        volumes=volumes,
        regions={
            name: _region(value, f"{path}: regions.{name}")
            for name, value in checks.mapping(
                top.get("regions", {}), str(path)
            ).items()
        },
        resources={
            name: Resource(
                **_texts(value, f"{path}: resources.{name}", _RESOURCE_KEYS)
            )
            for name, value in checks.mapping(
                top.get("resources", {}), str(path)
            ).items()
        },
        known_issues=tuple(
            Issue(**_texts(value, f"{path}: known_issues", _ISSUE_KEYS, 2))
            for value in issues
        ),
        licence=str(top.get("licence", "")),
        source=str(top.get("source", "")),
    )


def _refuse_twice(node: yaml.Node | None) -> None:
    """Keys must differ; YAML would take the last one, silently."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if str(key.value) in seen:
                raise yaml.YAMLError(
                    f"{key.value!r} stands there twice, the second time in "
                    f"line {key.start_mark.line + 1}."
                )
            seen.add(str(key.value))
            _refuse_twice(value)


def _refuse_circles(volumes: Mapping[str, Entry], where: str) -> None:
    """A volume must not be made of itself."""
    made_of = {
        role: [entry.of] * bool(entry.of)
        + [name for step in entry.view for name in _names(step)]
        for role, entry in volumes.items()
    }
    try:
        graphlib.TopologicalSorter(made_of).prepare()
    except graphlib.CycleError as error:
        raise ValueError(
            f"{where}: volumes are made of each other: "
            f"{' of '.join(error.args[1])}."
        ) from error


def _names(step: description.Step) -> list[str]:
    by = step.arguments.get("by", [])
    return [by] if isinstance(by, str) else by


def _texts(
    value: Any, where: str, keys: tuple[str, ...], required: int = 1
) -> dict[str, str]:
    """A mapping of texts; the first `required` of `keys` must be there."""
    found = checks.keyed(value, where, keys[:required], keys)
    return {key: str(item) for key, item in found.items()}


def _optional(found: dict[str, Any], key: str, check: Any, where: str) -> Any:
    value = found.get(key)
    return None if value is None else check(value, f"{where}.{key}")


def _entry(value: Any, where: str, known: Mapping[str, str]) -> Entry:
    found = checks.keyed(value, where, (), _ENTRY_KEYS)
    if ("address" in found) == ("of" in found):
        raise ValueError(
            f"{where}: expected `address`, or `of` with the name of another "
            f"volume: one of the two."
        )
    size = _optional(found, "voxel_size_nm", checks.three_positive, where)
    address = ""
    if "address" in found:
        address = checks.text(found["address"], f"{where}.address")
    return Entry(
        address=_expanded(address, where, known),
        of=str(found.get("of", "")),
        view=_optional(found, "view", description.parsed, where) or (),
        voxel_size_nm=size,
        kind=_optional(found, "kind", checks.choice(_KINDS), where),
        note=str(found.get("note", "")),
    )


def _region(value: Any, where: str) -> Region:
    found = checks.keyed(value, where, _REGION_KEYS[:2], _REGION_KEYS)
    size = checks.three_integers(found["size_zyx"], f"{where}.size_zyx")
    checks.three_positive(list(size), f"{where}.size_zyx")
    return Region(
        Box.from_size(
            checks.three_integers(found["start_zyx"], f"{where}.start_zyx"),
            size,
        ),
        _optional(found, "voxel_size_nm", checks.three_positive, where),
        str(found.get("note", "")),
    )


def _expanded(address: str, where: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ValueError(
                f"{where}.address: environment variable {match[1]} is not "
                f"set; export it."
            )
        return known[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, address)
