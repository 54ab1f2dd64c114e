"""What it would take to segment H01, by the bounds of its volumes."""

from __future__ import annotations

import pathlib

from ffn_tf import run_inference, volume
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run_options

H01 = pathlib.Path(__file__).parents[2] / "configs/datasets/h01.yaml"


def plan(brightness, **changes):
    return run_inference.plan(
        request_lib.InferenceRequest(
            image=f"{H01}#em?resolution_nm=33,8,8",
            model_checkpoint=brightness(),
        ),
        run_options.RunOptions(**changes),
        fovs_per_s=100,
    )


def test_the_whole_release(h01, brightness):
    with volume.open(f"{H01}#em?resolution_nm=33,8,8") as em:
        domain = em.domain
    found = plan(brightness)
    assert found.domain == domain
    assert domain.num_voxels > 9e14
    assert found.subvolumes == 12 * 796 * 1152
    assert found.read_bytes == found.voxels > domain.num_voxels


def test_where_there_is_tissue(h01, brightness):
    whole = plan(brightness)
    found = plan(brightness, tissue=f"{H01}#em_coarse")
    assert found.subvolumes + found.empty == whole.subvolumes
    assert 0 < found.subvolumes < whole.subvolumes / 1000


def test_a_region(h01, brightness):
    with volume.open(f"{H01}#em?resolution_nm=33,8,8") as em:
        z, y, x = em.domain.center
    box = f"start {{ x:{x} y:{y} z:{z} }} size {{ x:1000 y:900 z:600 }}"
    found = plan(brightness, bounding_box=box)
    assert found.domain.size == (600, 900, 1000)
    assert found.subvolumes == 2 * 2 * 3
