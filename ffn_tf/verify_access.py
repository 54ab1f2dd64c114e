"""Tries whether volumes can be read from here, and how fast.

    python -m ffn_tf.verify_access --dataset=configs/datasets/fib25.yaml

    python -m ffn_tf.verify_access --dataset=configs/datasets/h01.yaml \\
        --volumes=em,c3 --query=mip=1

    python -m ffn_tf.verify_access --dataset=em.h5:raw

Of each volume of a dataset, or of the one at an address: what it is, some
chunks by each way of reading (TensorStore, CloudVolume, gcsfs;
docs/formats.md), the same from the cache, the named regions, statistics, and
whether what is wrong is refused; of each resource, whether it is there. What is
on a server that could not be reached before is not tried. Prints a table, and
writes

    report.json   every check, with method, milliseconds, MB/s, memory, hits
    slice.png     a section of the first image that was read, and the labels
                  of the first segmentation that lies over it

Ends with exit code 1 if a check has failed. docs/h01.md says what it is on the
release of H01.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import json
import os
import pathlib
import sys
import textwrap

from PIL import Image

from ffn_tf import program, volume
from ffn_tf.volume import dataset as dataset_lib
from ffn_tf.volume import section as section_lib
from ffn_tf.volume import verification

_WIDTH = 500  # Of what a line says; report.json has all of it.
_HEAD = (
    f"{'volume':<22} {'check':<22} {'read by':<12} {'':<8} {'ms':>9} "
    f"{'MB/s':>8}  what was seen"
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to try."""

    dataset: str = program.option(
        help="dataset file (configs/datasets), or the address of a volume"
    )
    output_dir: str = program.option(
        "out/verify_access", help="folder of report.json and slice.png"
    )
    volumes: tuple[str, ...] = program.option(
        (),
        help="names of volumes; by default all of the dataset, and its "
        "resources",
    )
    query: str = program.option(
        "",
        help="added to each address after its question mark, such as mip=2",
    )
    access: tuple[str, ...] = program.option(
        verification.METHODS, help="ways of reading to compare"
    )
    region_mb: float = program.option(
        64.0, help="megabytes of voxels to read of each region at most"
    )


def run(options: Options) -> list[verification.Check]:
    """All checks; writes the report and the picture.

    Raises:
      ValueError, FileNotFoundError: see dataset.load; unknown volumes.
    """
    described = _described(options.dataset)
    names = options.volumes or tuple(described.volumes)
    for name in names:
        volume.checks.one_of(name, options.dataset, described.volumes, "volume")
    os.makedirs(options.output_dir, exist_ok=True)
    print(_HEAD, flush=True)
    found: list[verification.Check] = []
    unreached: set[str] = set()
    verified = [_verification(described, n, options, unreached) for n in names]
    for one in verified:
        for check in one.checks():
            print(as_line(check), flush=True)
            found.append(check)
    for name, item in described.resources.items():
        if not options.volumes:
            found.append(verification.resource(name, item.address, unreached))
            print(as_line(found[-1]), flush=True)
    _write(options, described, found, _picture(verified))
    return found


def _picture(verified: list[verification.Verification]) -> Image.Image | None:
    """The first image, and the first labels over it; None without an image."""
    for one in verified:
        if one.section is not None:
            break
    else:
        return None
    for other in verified:
        if other.kind != "segmentation":
            continue
        try:
            with volume.open(other.address) as opened:
                labels = section_lib.labels_over(one.section, opened)
        except (ValueError, OSError):  # Its checks have said why.
            continue
        if labels is not None:
            return section_lib.draw(one.section, labels, other.name)
    return section_lib.draw(one.section)


def _is_file(text: str) -> bool:
    return text.lower().endswith((".yaml", ".yml"))


def _described(text: str) -> dataset_lib.Dataset:
    """A dataset file, or the dataset that is one volume."""
    if _is_file(text):
        return dataset_lib.load(text)
    return dataset_lib.Dataset(
        name=text, volumes={"volume": dataset_lib.Entry(text)}
    )


def _verification(
    described: dataset_lib.Dataset,
    name: str,
    options: Options,
    unreached: set[str],
) -> verification.Verification:
    address = _address(options, name)
    if options.query:
        address += ("&" if "?" in address else "?") + options.query

    def regions(opened: volume.Volume) -> Mapping[str, volume.Box]:
        return dict(_regions_of(described, opened))

    return verification.Verification(
        name,
        address,
        regions,
        options.access,
        options.region_mb,
        _host(described, name),
        unreached,
    )


def _address(options: Options, name: str) -> str:
    is_file = _is_file(options.dataset)
    return f"{options.dataset}#{name}" if is_file else options.dataset


def _host(described: dataset_lib.Dataset, name: str) -> str:
    """Of the server that a volume is on, or that it is made of."""
    entry = described.volumes[name]
    while entry.of:
        entry = described.volumes[entry.of]
    try:  # Without a look at the place.
        where = volume.address.parse(entry.address, creating=True)
    except ValueError:
        return ""
    return where.place.host


def _regions_of(
    described: dataset_lib.Dataset, opened: volume.Volume
) -> Iterator[tuple[str, volume.Box]]:
    """The regions that meet the volume, or its middle if none does."""
    some = False
    for name, region in described.regions.items():
        box = region.in_voxels(opened.voxel_size_nm).clipped(opened.domain)
        if not box.is_empty:
            some = True
            yield f"region {name}", box
    if not some:
        domain = opened.domain
        middle = [s + n // 2 for s, n in zip(domain.start, domain.size)]
        box = volume.Box.from_size([m - 64 for m in middle], (128, 128, 128))
        yield "region middle", box.clipped(domain)


def as_line(check: verification.Check) -> str:
    """One line of the table; what failed may say more below it."""
    mark = {True: "ok", False: "FAILED", None: "left out"}[check.passed]
    rate = f"{check.rate:.1f}" if check.megabytes else ""
    lines = check.detail.splitlines() or [""]
    first, *more = [textwrap.shorten(line, _WIDTH) for line in lines]
    line = (
        f"{check.volume:<22} {check.name:<22} {check.method:<12} {mark:<8} "
        f"{check.milliseconds:>9.1f} {rate:>8}  {first}"
    )
    return "\n    ".join([line, *more])


def _write(
    options: Options,
    described: dataset_lib.Dataset,
    checks: list[verification.Check],
    picture: Image.Image | None,
) -> None:
    report = {
        "made_by": {
            "program": "ffn_tf.verify_access",
            "code": program.describe_code(),
            "options": dataclasses.asdict(options),
        },
        "dataset": described.name,
        "known_issues": [dataclasses.asdict(i) for i in described.known_issues],
        "checks": [
            dataclasses.asdict(check)
            | {"megabytes_per_s": round(check.rate, 2)}
            for check in checks
        ],
    }
    path = os.path.join(options.output_dir, "report.json")
    volume.files.write_text(path, json.dumps(report, indent=1))
    path = os.path.join(options.output_dir, "slice.png")
    if picture is None:
        pathlib.Path(path).unlink(missing_ok=True)  # It would be another's.
    else:
        with volume.files.atomic_path(path) as temporary:
            picture.save(temporary, format="PNG")


def _next(options: Options, checks: list[verification.Check]) -> str:
    """How to go on with the first volume: a copy of a region of it."""
    name = checks[0].volume
    address = _address(options, name)
    regions = [
        check.name.removeprefix("region ")
        for check in checks
        if check.volume == name and check.name.startswith("region ")
    ]
    query = [options.query] if options.query else []
    if regions != ["middle"]:
        query.append(f"region={regions[0]}")
    if query:
        address += ("&" if "?" in address else "?") + "&".join(query)
    return (
        f"python -m ffn_tf.ingest --input='{address}' "
        f"--output=precomputed://out/{name}"
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    checks = run(options)
    failed = [check for check in checks if check.passed is False]
    for check in failed:
        named = " ".join(filter(None, (check.volume, check.name, check.method)))
        print(f"failed: {named}", file=sys.stderr)
    left_out = sum(check.passed is None for check in checks)
    print(
        f"{len(checks) - len(failed) - left_out} passed, {len(failed)} failed, "
        f"{left_out} left out."
    )
    wrote = f"{options.output_dir}/report.json"
    if os.path.exists(f"{options.output_dir}/slice.png"):
        wrote += " and slice.png"
    program.finish(wrote, "" if failed else _next(options, checks))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
