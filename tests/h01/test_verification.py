"""ffn_tf.verify_access on the small release: whole, slow, and damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest
from servers.faults import Fault

from ffn_tf import verify_access
from ffn_tf.volume import dataset, verification
from h01 import layout, release, tissue

# Sockets of requests that failed, which Google's client leaves behind.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*<socket:pytest.PytestUnraisableExceptionWarning"
)

C3 = f"{release.BUCKET}/{layout.VOLUMES['c3'].path}/8_8_33/"


def options(tmp_path, *names, **changes):
    return verify_access.Options(
        dataset=str(tissue.DATASET),
        output_dir=str(tmp_path / "out"),
        volumes=names,
        region_mb=1.0,
        **changes,
    )


def command(tmp_path, *flags):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "ffn_tf.verify_access",
            f"--dataset={tissue.DATASET}",
            f"--output_dir={tmp_path / 'out'}",
            "--region_mb=1",
            *flags,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def failed(checks):
    return [check for check in checks if check.passed is False]


@pytest.mark.usefixtures("h01")
def test_the_whole_release_passes(tmp_path):
    done = command(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    described = dataset.load(tissue.DATASET)
    lines = done.stdout.splitlines()
    assert len([line for line in lines if " info " in line]) == 11
    assert all(" ok " in line for line in lines[1:-2]), done.stdout
    # Of a volume: info, three methods, again, two regions, statistics, three
    # that are refused.
    passed = 11 * 11 + len(described.resources)
    assert f"{passed} passed, 0 failed" in lines[-2]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["dataset"] == "h01"
    assert len(report["known_issues"]) == len(described.known_issues)
    for name in layout.VOLUMES:
        checks = [c for c in report["checks"] if c["volume"] == name]
        chunks = [c for c in checks if c["name"] == "chunks"]
        assert [c["method"] for c in chunks] == list(verification.METHODS)
        assert len({c["megabytes"] for c in chunks}) == 1
        assert all(c["milliseconds"] > 0 for c in chunks)
        assert all(c["memory_megabytes"] > 10 for c in checks)
        (again,) = [c for c in checks if c["name"] == "again"]
        assert again["hit_rate"] == 1.0
    with Image.open(tmp_path / "out/slice.png") as picture:
        pixels = np.asarray(picture)
    # Sections of 128 x 128 voxels, four times as large: the EM, and c3.
    em, c3 = pixels[32:544, 12:524], pixels[32:544, 536:1048]
    assert pixels.shape[1] == 1060
    assert em.std() > 20 and (em.max(-1) == em.min(-1)).all()
    assert (c3.max(-1) > c3.min(-1)).mean() > 0.5


def test_a_command_beside_the_release():
    """As docs/h01.md has it."""
    told = [sys.executable, "-m", "ffn_tf.info", f"{tissue.DATASET}#tissue"]
    done = subprocess.run(
        [sys.executable, "-m", "h01", *told],
        env=os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "66.0, 64.0, 64.0" in done.stdout


def test_a_burst_of_503_is_survived(h01, tmp_path):
    h01.server.add(Fault(C3.removesuffix("8_8_33/"), "status", times=2))
    checks = verify_access.run(options(tmp_path, "c3"))
    assert not failed(checks)
    assert h01.server.state().statuses[503] > 3


def test_a_server_that_stays_down(h01, tmp_path):
    h01.server.add(Fault(C3, "status", status=503))
    told = {"query": "deadline_s=1", "access": ("tensorstore",)}
    wrong = failed(verify_access.run(options(tmp_path, "c3", **told)))
    assert [check.name for check in wrong] == [
        "chunks",
        "again",
        "region neuropil",
        "region neuropil_small",
    ]
    for check in wrong:
        assert "#c3" in check.detail or "20210601/c3" in check.detail
        assert check.method == "tensorstore"
        assert check.milliseconds < 20_000


def test_who_may_not_read(h01, tmp_path):
    h01.server.add(Fault(C3, "status", status=403))
    told = {"access": ("tensorstore", "gcsfs")}
    wrong = failed(verify_access.run(options(tmp_path, "c3", **told)))
    assert [c.method for c in wrong if c.name == "chunks"] == list(
        told["access"]
    )
    for check in wrong:
        assert "Forbidden" in check.detail and ".shard" in check.detail


def test_a_volume_that_is_gone(h01, tmp_path):
    folder = f"{release.BUCKET}/{layout.VOLUMES['c2'].path}/"
    h01.server.add(Fault(folder, "status", status=404))
    (check,) = verify_access.run(options(tmp_path, "c2"))
    assert (check.name, check.passed) == ("info", False)
    assert "there is no gs://h01-release/data/20210601/c2/info" in check.detail


@pytest.fixture
def damaged(h01) -> Iterator[Callable[[str, float], list[str]]]:
    """damaged(folder, share): only so much is left of each shard there."""
    kept: dict[str, bytes] = {}

    def damage(folder: str, share: float) -> list[str]:
        names = [
            name
            for name in h01.server.names(release.BUCKET)
            if name.startswith(folder) and name.endswith(".shard")
        ]
        for name in names:
            kept[name] = h01.server.get(release.BUCKET, name)
            rest = kept[name][: int(share * len(kept[name]))]
            h01.server.put(release.BUCKET, name, rest)
        return names

    yield damage
    for name, data in kept.items():
        h01.server.put(release.BUCKET, name, data)


def test_truncated_shards_are_named(h01, damaged, tmp_path):
    names = damaged(C3.removeprefix(f"{release.BUCKET}/"), 0.6)
    assert names
    done = command(tmp_path, "--volumes=c3,tissue")
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if "FAILED" in line]
    assert {line.split()[0] for line in wrong} == {"c3"}
    for method in verification.METHODS:
        assert f"failed: c3 chunks {method}" in done.stderr
        (line,) = [w for w in wrong if f"chunks                 {method}" in w]
        assert "8_8_33/" in line
    assert "failed: c3 region neuropil tensorstore" in done.stderr
    assert any(name in done.stdout for name in names)


def test_em_that_is_not_there_is_no_black_image(damaged, tmp_path, h01):
    folder = f"{layout.VOLUMES['em_8nm'].path}/8_8_33/"
    for name in damaged(folder, 1.0):
        h01.server.clear(release.BUCKET, name)
    checks = verify_access.run(options(tmp_path, "em_8nm"))
    wrong = {(check.name, check.method) for check in failed(checks)}
    for method in verification.METHODS:
        assert ("chunks", method) in wrong
    assert ("region neuropil", "tensorstore") in wrong


@pytest.mark.usefixtures("h01")
def test_the_disk_cache_says_what_it_had(tmp_path, monkeypatch):
    monkeypatch.setenv("FFN_CACHE_DIR", f"{tmp_path}/cache")
    told = {"query": "cache=disk", "access": ("tensorstore",)}
    said = []
    for _ in range(2):
        checks = verify_access.run(options(tmp_path, "c3", **told))
        assert not failed(checks)
        (reading,) = [check for check in checks if check.name == "reading"]
        said.append(reading.detail)
    assert "(100.0%)" not in said[0]
    assert "(100.0%)" in said[1] and "fetched 0 chunks" in said[1]


@pytest.mark.usefixtures("h01")
def test_high_z_is_where_the_known_issue_is(tmp_path):
    (issue,) = [
        issue
        for issue in dataset.load(tissue.DATASET).known_issues
        if "truncated" in issue.note
    ]
    assert issue.volume == "em" and f"{layout.TRUNCATED_FROM_Z}" in issue.note
