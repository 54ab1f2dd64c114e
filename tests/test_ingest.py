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


@pytest.mark.parametrize("limit", [1, 40 * 50 * 3, 40 * 50 * 9])
@pytest.mark.parametrize("source", ["slices", "em.h5:raw"])
def test_blocks_of_any_size_give_the_same(
    source, limit, slices, tmp_path, monkeypatch
):
    """Also when a block is thinner than a chunk."""
    with volume.create(
        f"{tmp_path}/em.h5:raw",
        volume.VolumeInfo(volume.Box.from_shape(VOXELS.shape), np.uint8),
    ) as em:
        em.write(em.domain, VOXELS)
    monkeypatch.setattr(ingest, "_BLOCK_VOXELS", limit)
    ingest.run(options(tmp_path / source, f"zarr3://{tmp_path}/em"))
    with volume.open(f"{tmp_path}/em") as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_block_size():
    stack = volume.VolumeInfo(
        volume.Box.from_shape((1000, 2048, 4096)),
        np.uint8,
        chunk_zyx=(1, 2048, 4096),
    )
    # 2^26 voxels are 8 such sections: less than a chunk.
    assert ingest.block_size(stack, (64, 64, 64), False) == (8, 2048, 4096)
    assert ingest.block_size(stack, (3, 64, 64), False) == (6, 2048, 4096)
    chunked = volume.VolumeInfo(stack.domain, np.uint8)
    assert ingest.block_size(chunked, (64, 64, 64), False) == (384, 384, 384)
    assert ingest.block_size(chunked, (64, 64, 64), True) == (8, 2048, 4096)


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
    ingest.run(options(slices, output))
    Image.fromarray(VOXELS[1]).save(slices / "s0.png")
    with pytest.raises(FileExistsError, match=r"em\.zarr: exists already"):
        ingest.run(options(slices, output))
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


COMMAND = [sys.executable, "-m", "ffn_tf.ingest"]


def test_command_line(slices, tmp_path):
    output = f"precomputed://{tmp_path}/em"
    command = [
        *COMMAND,
        f"--input={slices}",
        f"--output={output}",
        "--voxel_size_nm=40,8,4",
        "--clahe",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(
        f"Wrote {output}: (11, 40, 50) voxels (z, y, x) of uint8"
    )
    assert len(ran.stdout.splitlines()) == 1
    with volume.open(output) as found:
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)
    again = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert again.returncode == 1
    assert again.stderr == (
        f"error: {output}: exists already, and nothing is overwritten; delete "
        f"it or name another output.\n"
    )


def test_killed_it_leaves_no_half_volume(tmp_path):
    output = f"{tmp_path}/out/em.zarr"
    np.save(tmp_path / "em.npy", np.zeros((64, 512, 512), np.uint8))
    running = subprocess.Popen(
        [
            *COMMAND,
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
    ingest.run(options(tmp_path / "em.npy", output, chunk_zyx=(64, 64, 64)))
    with volume.open(output) as found:
        assert found.domain.size == (64, 512, 512)


def test_real_volume(tmp_path):
    path = volume.dataset.data_dir() / "fib25" / "grayscale_maps.h5"
    if not path.exists():
        pytest.skip(f"{path} is not here; see third_party/README.md")
    output = f"precomputed://{tmp_path}/em"
    ingest.run(options(f"{path}:raw", output, chunk_zyx=(64, 64, 64)))
    with volume.open(output) as found, volume.open(f"{path}:raw") as source:
        np.testing.assert_array_equal(found.read(), source.read())
