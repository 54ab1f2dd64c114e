"""Volumes that can be read, and some that cannot."""

import dataclasses
import json
import time

import numpy as np
from PIL import Image
import pytest

from ffn_tf import verify_access, volume
from ffn_tf.volume import access, verification
from ffn_tf.volume.formats import decoding

Box = volume.Box
VOXELS = np.arange(20 * 30 * 40, dtype=np.uint32).reshape(20, 30, 40)
TEXT = """
name: small
volumes:
  em: {{address: "precomputed://{0}/em"}}
  ids: {{address: "{0}/ids.h5:labels"}}
  gone: {{address: "precomputed://{0}/gone"}}
regions:
  corner: {{start_zyx: [0, 0, 0], size_zyx: [5, 8, 9]}}
  outside: {{start_zyx: [90, 0, 0], size_zyx: [5, 8, 9]}}
resources:
  paper: {{address: "https://example.org", kind: text}}
known_issues:
  - {{volume: em, note: it is small}}
"""


@pytest.fixture
def dataset(tmp_path):
    box = Box.from_shape(VOXELS.shape)
    for address, dtype in (("em", np.uint8), ("ids.h5:labels", np.uint32)):
        prefix = "" if ".h5" in address else "precomputed://"
        info = volume.VolumeInfo(box, np.dtype(dtype), (40, 8, 4), (5, 6, 7))
        with volume.create(f"{prefix}{tmp_path}/{address}", info) as new:
            new.write(box, VOXELS.astype(dtype))
    path = tmp_path / "small.yaml"
    path.write_text(TEXT.format(tmp_path))
    return path


def options(dataset, **changes):
    return verify_access.Options(
        dataset=str(dataset), output_dir=str(dataset.parent / "out"), **changes
    )


def test_what_is_there_passes_and_what_is_gone_fails(dataset):
    checks = verify_access.run(options(dataset))
    failed = [check for check in checks if check.passed is False]
    assert [(check.volume, check.name) for check in failed] == [
        ("gone", "info")
    ]
    assert "no precomputed volume" in failed[0].detail
    names = [check.name for check in checks if check.volume == "ids"]
    assert names == [
        "info",
        "chunks",
        "chunks",
        "again",
        "region corner",
        "statistics",
        "robustness: box",
        "robustness: scale",
        "robustness: channel",
    ]
    by_name = {(check.volume, check.name): check for check in checks}
    assert by_name["paper", "resource"].passed is None
    assert by_name["ids", "chunks"].passed is None
    assert "nothing is compared" in by_name["ids", "chunks"].detail
    corner = by_name["ids", "region corner"]
    assert corner.megabytes == pytest.approx(5 * 8 * 9 * 4 / 1e6)
    assert by_name["ids", "statistics"].detail == (
        "360 ids, 0.3 % zero, of 360 voxels in 1 box"
    )
    assert corner.detail == "1 box of up to (5, 8, 9)"
    assert by_name["em", "info"].detail.endswith("image, 1 scale")
    assert by_name["em", "info"].method == "tensorstore"
    assert by_name["em", "again"].hit_rate == 1.0
    assert by_name["ids", "again"].hit_rate is None
    refused = {c.detail for c in checks if c.name.startswith("robustness")}
    assert refused == {"refused: ValueError"}


def test_ways_of_reading_are_compared(dataset):
    checks = verify_access.run(options(dataset, volumes=("em",)))
    chunks = [check for check in checks if check.name == "chunks"]
    assert [check.method for check in chunks] == [
        "tensorstore",
        "cloudvolume",
        "gcsfs",
    ]
    # gcsfs reads gs:// only.
    assert [check.passed for check in chunks] == [True, True, None]
    assert chunks[0].megabytes == chunks[1].megabytes > 0


def test_a_way_of_reading_that_fails_to_open_fails(dataset, monkeypatch):
    def broken(address):
        raise OSError("the server is on fire.")

    monkeypatch.setitem(access.METHODS, "cloudvolume", broken)
    checks = verify_access.run(options(dataset, volumes=("em",)))
    (failed,) = [check for check in checks if check.passed is False]
    assert (failed.name, failed.method) == ("chunks", "cloudvolume")
    assert "on fire" in failed.detail


@pytest.mark.parametrize(
    "address, query",
    [
        ("precomputed://{}/em", ""),
        ("precomputed://{}/em?mip=0", "channel=0"),
        ("{}/ids.h5:labels", ""),
        ("{}/small.yaml#ids", ""),
    ],
)
def test_an_address_is_enough(address, query, dataset):
    address = address.format(dataset.parent)
    made = options(dataset, query=query)
    checks = verify_access.run(dataclasses.replace(made, dataset=address))
    assert len(checks) >= 9
    assert not [check for check in checks if check.passed is False]
    assert {check.volume for check in checks} == {"volume"}
    assert "region middle" in {check.name for check in checks}


def test_a_method_that_is_not_installed_is_left_out(dataset, monkeypatch):
    def missing(encoding):
        raise ImportError(f"no package for {encoding}")

    codecs = decoding.load("a test")
    monkeypatch.setattr(codecs, "check_installed", missing)
    checks = verify_access.run(options(dataset, volumes=("em",)))
    assert not [check for check in checks if check.passed is False]
    left = {check.method: check.detail for check in checks if check.method}
    assert "no package for" in left["cloudvolume"]


def test_voxels_that_differ_fail(dataset, monkeypatch):
    real = volume.Volume.read_many

    def read_many(self, boxes):
        found = real(self, boxes)
        if self.served.method == "cloudvolume":
            found[0] = found[0] + np.uint8(2)
        return found

    monkeypatch.setattr(volume.Volume, "read_many", read_many)
    checks = verify_access.run(options(dataset, volumes=("em",)))
    (failed,) = [check for check in checks if check.passed is False]
    assert failed.method == "cloudvolume"
    # All of the first of the chunks.
    assert "210 voxels differ from the first by up to" in failed.detail


def test_nothing_differs_where_there_is_no_number(tmp_path):
    address = f"precomputed://{tmp_path}/em"
    box = Box.from_shape(VOXELS.shape)
    voxels = VOXELS.astype(np.float32)
    voxels[::2] = np.nan
    info = volume.VolumeInfo(box, np.dtype(np.float32), (40, 8, 4), (5, 6, 7))
    with volume.create(address, info) as new:
        new.write(box, voxels)
    checks = verify_access.run(
        verify_access.Options(dataset=address, output_dir=str(tmp_path / "out"))
    )
    assert not [check for check in checks if check.passed is False]
    (found,) = [c.detail for c in checks if c.name == "statistics"]
    assert found.startswith("1200 to 23999, mean")
    assert found.endswith("of which 12,000 not finite")


OFFLINE = """
name: offline
volumes:
  em: {address: "precomputed://http://far.invalid/em"}
  grey: {of: em, view: [{crop: {start_zyx: [0, 0, 0], size_zyx: [1, 1, 1]}}]}
  near: {address: "precomputed://http://near.invalid/em"}
  ids: {address: "zarr://http://far.invalid/ids"}
  table: {address: "precomputed://gs://bucket/em"}
resources:
  paper: {address: "gs://bucket/paper"}
"""


def test_a_server_that_cannot_be_reached_is_asked_once(tmp_path, monkeypatch):
    for name in ("TENSORSTORE_GCS_HTTP_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, "http://cloud.invalid")
    monkeypatch.setattr("urllib.request.getproxies", dict)
    path = tmp_path / "offline.yaml"
    path.write_text(OFFLINE)
    begin = time.monotonic()
    checks = verify_access.run(options(path))
    assert time.monotonic() - begin < 10
    assert {check.passed for check in checks} == {False}
    details = {check.volume: check.detail for check in checks}
    for name, host in {"em": "far", "near": "near", "table": "cloud"}.items():
        assert f"host {host}.invalid is unknown" in details[name]
        assert details[name].count("://") == 1  # The address, once.
    for name, host in {"grey": "far", "ids": "far", "paper": "cloud"}.items():
        told = f"not tried: {host}.invalid cannot be reached"
        assert details[name] == told
    # A resource alone says it as soon, and so the next.
    unreached = set()
    first, second = (
        verification.resource("a", f"gs://bucket/{name}", unreached)
        for name in "ab"
    )
    assert "host cloud.invalid is unknown" in first.detail
    assert second.detail == "not tried: cloud.invalid cannot be reached"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("precomputed://gs://b/em: gs://b/em/info: no", "gs://b/em/info: no"),
        ("zarr://s3://b/em?mip=2: s3://b/em is no", "s3://b/em is no"),
        ("precomputed:///a/em: /a/em/info is no", "/a/em/info is no"),
        (
            "h01.yaml#em: a chunk of gs://b/em",
            "h01.yaml#em: a chunk of gs://b/em",
        ),
        ("em.h5:raw: no dataset", "em.h5:raw: no dataset"),
        ("no colon", "no colon"),
    ],
)
def test_an_address_is_said_once(message, told):
    assert verification.told(OSError(message)) == told


def test_an_image_of_one_grey_level_fails(dataset):
    box = Box.from_shape(VOXELS.shape)
    with volume.open(f"precomputed://{dataset.parent}/em", mode="r+") as em:
        em.write(box, np.zeros(box.size, np.uint8))
    checks = verify_access.run(options(dataset, volumes=("em",)))
    (failed,) = [check for check in checks if check.passed is False]
    assert failed.name == "statistics"
    assert failed.detail.startswith("0 to 0, mean 0.0, std 0.0, 100.0 % zero,")


def test_a_region_is_read_from_its_corner_and_in_whole_chunks():
    box = Box((5, 100, 200), (105, 1100, 1200))
    part = verification.first_corner(box, (16, 64, 32), 10**6)
    assert part == Box.from_size(box.start, (100, 64, 96))
    # As many sections as there may be.
    narrow = Box.from_size((5, 0, 0), (5000, 70, 90))
    part = verification.first_corner(narrow, (16, 64, 32), 10**6)
    assert part == Box.from_size(narrow.start, (160, 64, 90))
    # A chunk at least, and no more than there is.
    part = verification.first_corner(box, (16, 64, 32), 5)
    assert part.size == (64, 64, 32)
    part = verification.first_corner(box, (128, 2048, 32), 10**9)
    assert part.size == (100, 1000, 1000)


def test_the_report_and_the_picture(dataset):
    verify_access.run(options(dataset, volumes=("em",)))
    out = dataset.parent / "out"
    report = json.loads((out / "report.json").read_text())
    assert report["known_issues"] == [{"volume": "em", "note": "it is small"}]
    assert report["checks"][0]["detail"].startswith("20 x 30 x 40 voxels")
    with Image.open(out / "slice.png") as picture:
        narrow = picture.width
    # Beside it, the labels of another volume that lie over it.
    verify_access.run(options(dataset))
    with Image.open(out / "slice.png") as picture:
        assert picture.width > 1.9 * narrow > 1.9 * 500
    # And not the picture of an earlier run.
    verify_access.run(options(dataset, volumes=("ids",)))
    assert not (out / "slice.png").exists()


def test_an_unknown_volume_is_refused(dataset):
    with pytest.raises(ValueError, match="unknown volume 'emm'; did you mean"):
        verify_access.run(options(dataset, volumes=("emm",)))


def test_the_command_line_says_with_its_status_whether_all_passed(
    dataset, command
):
    good, bad = (
        command(
            "verify_access",
            f"--dataset={dataset}",
            f"--volumes={volumes}",
            f"--output_dir={dataset.parent}/out",
        )
        for volumes in ("ids", "ids,gone")
    )
    assert (good.returncode, bad.returncode) == (0, 1)
    assert "8 passed, 0 failed, 1 left out." in good.stdout
    assert "FAILED" not in good.stdout
    head, *lines = good.stdout.splitlines()
    assert head.split()[-3:] == ["what", "was", "seen"]
    assert sum(" left out " in line for line in lines[:-2]) == 1
    assert lines[-1].endswith(
        f"Next: python -m ffn_tf.ingest "
        f"--input='{dataset}#ids?region=corner' --output=precomputed://out/ids"
    )
    assert "Next" not in bad.stdout and "slice.png" not in bad.stdout
    (line,) = [line for line in bad.stdout.splitlines() if "FAILED" in line]
    assert line.split()[:3] == ["gone", "info", "FAILED"]
    assert "failed: gone info" in bad.stderr
