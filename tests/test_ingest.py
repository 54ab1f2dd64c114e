"""ingest: image stacks and volumes into volumes."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image
import pytest
from skimage import exposure
import tifffile

from ffn_tf import ingest, volume
from ffn_tf.volume import conversion
from ffn_tf.volume.formats import codec

VOXELS = np.random.default_rng(0).integers(0, 255, (11, 40, 50), np.uint8)
OUTPUTS = [
    "{}/out/em.h5:raw",
    "{}/out/em.npy",
    "precomputed://{}/out/em",
    "{}/out/em.zarr",
    "zarr3://{}/out/em",
    "{}/out/em.n5",
]


@pytest.fixture
def slices(tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, section in enumerate(VOXELS):
        Image.fromarray(section).save(folder / f"s{z}.png")
    return folder


def options(source, output, **changes):
    return ingest.Options(
        **{
            "input": str(source),
            "output": str(output),
            "voxel_size_nm": (40.0, 8.0, 4.0),
            "chunk_zyx": (4, 16, 16),
        }
        | changes
    )


@pytest.mark.parametrize("output", OUTPUTS)
def test_slices_to_every_format(output, slices, tmp_path):
    output = output.format(tmp_path)
    ingest.run(options(slices, output))
    with volume.open(output) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)
        assert found.info.chunk_zyx == (4, 16, 16)
        assert found.attributes["options"]["input"] == str(slices)
        assert found.attributes["options"]["encoding"] == "auto"
        assert re.match(r"0\.1\.0", found.attributes["code"])


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_format_to_slices_of_memory(output, slices, tmp_path):
    """Each format is also an input; voxel size and origin come with it."""
    address = output.format(tmp_path)
    info = volume.VolumeInfo(
        volume.Box.from_size((7, -8, 9), VOXELS.shape), np.uint8, (40, 8, 4)
    )
    with volume.staged(address, info) as filling:
        filling.write(info.domain, VOXELS)
    copy = f"precomputed://{tmp_path}/copy"
    ingest.run(options(address, copy, voxel_size_nm=None))
    with volume.open(copy) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
        assert found.domain == info.domain
        assert found.voxel_size_nm == info.voxel_size_nm


def test_a_multi_page_tiff(tmp_path):
    path = tmp_path / "em.tif"
    tifffile.imwrite(path, VOXELS, photometric="minisblack")
    ingest.run(options(path, f"{tmp_path}/em.h5:raw"))
    with volume.open(f"{tmp_path}/em.h5:raw") as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


@pytest.mark.parametrize("limit", [1, 2**11, 2**14])
@pytest.mark.parametrize("source", ["slices", "em.h5:raw"])
@pytest.mark.parametrize("clahe", [False, True])
def test_blocks_of_any_size_give_the_same(
    clahe, source, limit, slices, tmp_path, monkeypatch
):
    with volume.create(
        f"{tmp_path}/em.h5:raw",
        volume.VolumeInfo(volume.Box.from_shape(VOXELS.shape), np.uint8),
    ) as em:
        em.write(em.domain, VOXELS)
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", limit)
    output = f"zarr3://{tmp_path}/em"
    ingest.run(options(tmp_path / source, output, clahe=clahe))
    wanted = VOXELS
    if clahe:
        wanted = np.stack([ingest.equalised(section) for section in VOXELS])
    with volume.open(f"{tmp_path}/em") as found:
        np.testing.assert_array_equal(found.read(), wanted)
        assert len(found.scales_nm) > 1


def test_num_scales_and_kind(slices, tmp_path):
    """Ids of 8 bits are ids if we are told: the most frequent, no mean."""
    labels = np.repeat(np.repeat(VOXELS[:, ::2, ::2], 2, axis=1), 2, axis=2)
    np.save(tmp_path / "labels.npy", labels)
    for kind in ("image", "segmentation"):
        output = f"precomputed://{tmp_path}/{kind}"
        made = options(
            tmp_path / "labels.npy",
            output,
            kind=kind,
            num_scales=2,
            voxel_size_nm=(40.0, 4.0, 4.0),
            chunk_zyx=(4, 15, 15),
        )
        ingest.run(made)
        with volume.open(f"{output}?mip=1") as found:
            assert found.info.kind == kind
            assert len(found.scales_nm) == 2
            np.testing.assert_array_equal(found.read(), labels[:, ::2, ::2])


def test_bounding_box(slices, tmp_path):
    output = f"precomputed://{tmp_path}/em"
    text = "start { x:7 y:5 z:3 } size { x:99 y:20 z:4 }"
    ingest.run(options(slices, output, bounding_box=text))
    with volume.open(output) as found:
        assert found.domain == volume.Box((3, 5, 7), (7, 25, 50))
        np.testing.assert_array_equal(found.read(), VOXELS[3:7, 5:25, 7:])


def test_jpeg(tmp_path):
    z, y, x = np.indices((20, 40, 50))
    smooth = 128 + 60 * np.sin(z / 9) + 40 * np.cos(y / 7 + x / 8)
    np.save(tmp_path / "em.npy", smooth.astype(np.uint8))
    found = {}
    for quality in (30, None):
        output = f"precomputed://{tmp_path}/{quality}"
        ingest.run(
            options(tmp_path / "em.npy", output, chunk_zyx=(16, 16, 16)),
            codec.Codec(encoding="jpeg", jpeg_quality=quality),
        )
        with volume.open(output) as em:
            error = em.read().astype(float) - np.load(tmp_path / "em.npy")
        found[quality] = 10 * np.log10(255**2 / np.mean(error**2))
    assert 30 < found[30] < found[None] - 2
    assert 40 < found[None] < 70


def test_clahe(slices, tmp_path):
    output = f"{tmp_path}/em.zarr"
    ingest.run(options(slices, output, clahe=True))
    with volume.open(output) as found:
        voxels = found.read()
        assert (found.dtype, found.info.kind) == (np.uint8, "image")
    for z in (0, 10):
        section = VOXELS[z].astype(float)
        section = (section - section.min()) / np.ptp(section)
        np.testing.assert_array_equal(
            voxels[z], np.rint(exposure.equalize_adapthist(section) * 255)
        )


def test_clahe_raises_the_contrast_of_dim_sections_of_any_dtype():
    dim = np.clip(VOXELS[0].astype(float) / 10 + 90, 0, 255)
    for dtype in (np.uint8, np.uint16, np.int16, np.float32):
        result = ingest.equalised(dim.astype(dtype))
        assert result.dtype == np.uint8
        assert result.std() > 2 * dim.std()
    assert not ingest.equalised(np.full((40, 50), 7, np.uint8)).any()


def test_clahe_of_nan_names_the_section(tmp_path):
    image = VOXELS.astype(np.float32)
    image[6, 1, 2] = np.nan
    np.save(tmp_path / "em.npy", image)
    with pytest.raises(ValueError, match="section z = 6: CLAHE needs finite"):
        ingest.run(
            options(tmp_path / "em.npy", f"{tmp_path}/em.zarr", clahe=True)
        )
    assert os.listdir(tmp_path) == ["em.npy"]


def test_an_output_that_exists_is_left_alone(slices, tmp_path):
    output = f"{tmp_path}/em.zarr"
    assert not ingest.run(options(slices, output)).was_there
    Image.fromarray(VOXELS[1]).save(slices / "s0.png")
    again = ingest.run(options(slices, output))
    assert again.was_there
    assert again.info.domain.size == VOXELS.shape
    message = r"em\.zarr: exists already, made with other options \(clahe: F"
    with pytest.raises(FileExistsError, match=message):
        ingest.run(options(slices, output, clahe=True))
    with pytest.raises(FileExistsError, match="encoding: auto, now raw"):
        ingest.run(options(slices, output), codec.Codec(encoding="raw"))
    # It is the first thing to look at: headers of many slices take time.
    with pytest.raises(FileExistsError, match=r"em\.zarr: exists already"):
        ingest.run(options("nothing.h5:raw", output))
    with volume.open(output) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_mistakes_are_found_before_anything_is_written(slices, tmp_path):
    output = f"{tmp_path}/out/em.zarr"
    with pytest.raises(ValueError, match="give --voxel_size_nm"):
        ingest.run(options(slices, output, voxel_size_nm=None))
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        ingest.run(options(f"{tmp_path}/nothing.h5:raw", output))
    with pytest.raises(ValueError, match="name tells no format"):
        ingest.run(options(slices, f"{tmp_path}/out/em"))
    with pytest.raises(ValueError, match="only read"):
        ingest.run(options(slices, f"{tmp_path}/out/em.tif"))
    with pytest.raises(ValueError, match="3 positive lengths"):
        ingest.run(options(slices, output, voxel_size_nm=(0.0, 1.0, 1.0)))
    for asked, message in (
        ({"bounding_box": "x 3"}, "bounding box"),
        (
            {"bounding_box": "start { x:50 } size { x:9 y:9 z:9 }"},
            "does not meet the volume",
        ),
        ({"kind": "segmentation", "clahe": True}, "these are labels"),
        ({"num_scales": 0}, "num_scales: expected at least 1"),
        ({"chunk_zyx": (0, 4, 4)}, "chunk_zyx: expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            ingest.run(options(slices, output, **asked))
    with pytest.raises(ValueError, match=r"em\.zarr: encoding jpeg: not one"):
        ingest.run(options(slices, output), codec.Codec(encoding="jpeg"))
    with pytest.raises(ValueError, match="one scale, found 3"):
        ingest.run(options(slices, f"{tmp_path}/out/a.h5:raw", num_scales=3))
    Image.fromarray(VOXELS[0, 1:]).save(slices / "s9.png")
    with pytest.raises(ValueError, match=r"s9\.png: found \(39, 50\) pixels"):
        ingest.run(options(slices, output))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_damaged_slice_leaves_no_half_volume(output, slices, tmp_path):
    os.truncate(slices / "s10.png", 500)
    with pytest.raises(OSError, match=r"s10\.png"):
        ingest.run(options(slices, output.format(tmp_path)))
    assert os.listdir(tmp_path / "out") == []


def test_a_damaged_slice_can_be_mended(slices, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**11)
    whole = (slices / "s10.png").read_bytes()
    os.truncate(slices / "s10.png", 500)
    output = f"precomputed://{tmp_path}/em"
    with pytest.raises(OSError, match=r"s10\.png"):
        ingest.run(options(slices, output))
    assert re.fullmatch(
        r"warning: \d+ blocks of precomputed://.*/em are written and kept; "
        r"run the same command again to go on\.\n",
        capsys.readouterr().err,
    )
    with pytest.raises(FileExistsError, match="unfinished copy with other"):
        ingest.run(options(slices, output, clahe=True))
    (slices / "s10.png").write_bytes(whole)
    assert not ingest.run(options(slices, output)).was_there
    said = re.fullmatch(
        r"Going on: (\d+) % was there\.\n", capsys.readouterr().err
    )
    assert said and 0 < int(said[1]) < 100
    with volume.open(output) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_damaged_chunks_that_are_filled_are_told(tmp_path, capsys):
    first = f"{tmp_path}/first.zarr"
    np.save(tmp_path / "em.npy", VOXELS)
    ingest.run(options(tmp_path / "em.npy", first))
    os.truncate(tmp_path / "first.zarr" / "0" / "1" / "0" / "2", 20)
    made = options(f"{first}?tolerate=corrupt", f"{tmp_path}/second.zarr")
    (line,) = ingest.run(made).reading
    assert "1/0/2" in line or "(4, 0, 32)" in line, line
    with volume.open(f"{tmp_path}/second.zarr") as found:
        voxels = found.read()
    assert not voxels[4:8, :16, 32:48].any()
    voxels[4:8, :16, 32:48] = VOXELS[4:8, :16, 32:48]
    np.testing.assert_array_equal(voxels, VOXELS)
    again = options(f"{first}", f"{tmp_path}/third.zarr")
    with pytest.raises(OSError, match=r"first\.zarr"):
        ingest.run(again)


def test_between_buckets(slices, tmp_path, gcs_server, gcs_bucket):
    first = f"zarr://gs://{gcs_bucket}/first"
    second = f"precomputed://gs://{gcs_bucket}/second"
    ingest.run(options(slices, first))
    ingest.run(options(first, second, voxel_size_nm=None))
    with volume.open(second) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)


def test_command_line(slices, tmp_path, command):
    output = f"precomputed://{tmp_path}/em"
    line = [
        "ingest",
        f"--input={slices}",
        f"--output={output}",
        "--voxel_size_nm=40,8,4",
        "--clahe",
        "--encoding=jpeg",
        "--jpeg_quality=80",
    ]
    ran = command(*line)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(
        f"Wrote {output}: (11, 40, 50) voxels (z, y, x) of uint8"
    )
    assert len(ran.stdout.splitlines()) == 1
    with volume.open(output) as found:
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)
        assert found.attributes["options"]["jpeg_quality"] == 80
    again = command(*line)
    assert again.returncode == 0
    assert again.stdout.startswith(
        f"Wrote nothing: {output} is complete, made with the same options "
        f"before. Next: python -m ffn_tf.run_inference --image={output} "
    )
    other = command(*line, "--noclahe")
    assert other.returncode == 1
    assert other.stderr == (
        f"error: {output}: exists already, made with other options (clahe: "
        f"True, now False), and nothing is overwritten; delete it or name "
        f"another output.\n"
    )


def test_killed_it_leaves_no_half_volume(tmp_path):
    output = f"{tmp_path}/out/em.zarr"
    np.save(tmp_path / "em.npy", np.zeros((64, 512, 512), np.uint8))
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "ffn_tf.ingest"),
            f"--input={tmp_path}/em.npy",
            f"--output={output}",
            "--voxel_size_nm=1,1,1",
            "--clahe",
        ]
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    assert os.listdir(tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        volume.open(output)
    made = ingest.Options(
        input=f"{tmp_path}/em.npy",
        output=output,
        voxel_size_nm=(1.0, 1.0, 1.0),
        clahe=True,
    )
    ingest.run(made)
    with volume.open(output) as found:
        assert found.domain.size == (64, 512, 512)
    assert not list(tmp_path.rglob("*partial*"))


def test_real_volume(tmp_path):
    path = volume.dataset.data_dir() / "fib25" / "grayscale_maps.h5"
    if not path.exists():
        pytest.skip(f"{path} is not here; see third_party/README.md")
    output = f"precomputed://{tmp_path}/em"
    ingest.run(options(f"{path}:raw", output, chunk_zyx=(64, 64, 64)))
    with volume.open(output) as found, volume.open(f"{path}:raw") as source:
        np.testing.assert_array_equal(found.read(), source.read())
