"""The benchmarks run, in their quick form, and end with one line of JSON."""

import json
import pathlib
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


def last_line(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), "--quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_bench_fov(fib25, tmp_path):
    found = last_line("bench_fov.py", tmp_path)
    assert found["fov_speedup_batch1"] > 0
    assert found["fov_speedup_batch4"] > 0
    assert found["error"] < 1e-2
    assert "bf16_peak_share" in found


@pytest.mark.slow
def test_bench_segment(fib25, tmp_path):
    found = last_line("bench_segment.py", tmp_path)
    assert found["segment_speedup"] > 0
    assert 0 < found["host_share"] < 0.5
    assert abs(found["voi_delta"]) < 0.5


@pytest.mark.slow
def test_bench_volumes(fib25, tmp_path):
    found = last_line("bench_volumes.py", tmp_path)
    assert len(found) == 18
    missing = {key for key, value in found.items() if value is None}
    assert missing <= {"labels_ratio_pinky40"}
    assert found["lost_voxels"] == 0
    assert found["labels_ratio_fib25"] > 100
    assert found["disk_cache_hit_rate"] > 0.95
    assert found["http_vs_sync_33"] > 2
    assert found["tfdata_http_speedup"] > 2


@pytest.mark.slow
def test_bench_partitions(fib25, tmp_path):
    found = last_line("bench_partitions.py", tmp_path)
    assert found["partitions_speedup"] > 1
    assert found["partitions_equal"] is True
    assert 0 < found["partitions_peak_mb"] <= 1500
    assert found["partitions_scaling"] is None or (
        found["partitions_scaling"] > 0
    )
    assert found["coordinates_per_s"] > 0
    few, *many = found["coordinates_peak_mb"]
    assert max(many) < 3 * few


@pytest.mark.slow
def test_bench_input(fib25, tmp_path):
    found = last_line("bench_input.py", tmp_path)
    for case in ("local", "zarr", "http"):
        assert found[f"patches_{case}_speedup"] > 1
        assert found[f"patches_{case}_per_s"] > 0
    assert 0 <= found["device_wait_share"] < 0.5


@pytest.mark.slow
def test_bench_train(fib25, tmp_path):
    found = last_line("bench_train.py", tmp_path)
    assert found["train_bf16_speedup"] > 0
    assert found["phantom_voi"] > 0
    assert 0 <= found["phantom_are"] <= 1


@pytest.mark.slow
def test_bench_inference(fib25, tmp_path):
    found = last_line("bench_inference.py", tmp_path)
    assert found["fast_speedup"] > found["full_speedup"] > 0
    assert abs(found["tiled_voi_delta"]) < 0.5


@pytest.mark.slow
def test_bench_jobs(tmp_path):
    found = last_line("bench_jobs.py", tmp_path)
    assert found["kill_identical"] is True
    assert 0 < found["scaling_2_workers"] < 1.5
    assert found["memory_ratio_10x"] > 0.9
    assert found["plan_h01_s"] > 0


@pytest.mark.slow
def test_bench_embeddings_io(tmp_path):
    found = last_line("bench_embeddings_io.py", tmp_path)
    assert set(found) == {
        "aggregate_nodes_per_s",
        "csvzip_speedup",
        "ntxent_error",
    }
    assert found["aggregate_nodes_per_s"] > 10_000
    assert found["csvzip_speedup"] is None  # Google's reader is not given.
    assert found["ntxent_error"] < 1e-5


@pytest.mark.slow
def test_bench_embed(tmp_path):
    found = last_line("bench_embed.py", tmp_path)
    assert found["embed_speedup"] > 0
    assert found["chunk_amplification"] <= 1.1


@pytest.mark.slow
def test_bench_types(tmp_path):
    found = last_line("bench_types.py", tmp_path)
    for suffix in ("f1", "tenth_f1", "few_f1"):
        for name in ("segclr", "supervised", "shape"):
            assert 0 <= found[f"{name}_{suffix}"] <= 1
    assert 0 <= found["merge_random_auroc"] <= 1


@pytest.mark.slow
def test_bench_retrieval(fib25, tmp_path):
    found = last_line("bench_retrieval.py", tmp_path)
    assert found["shape_top1"] > 0.01
    assert found["same_body_top1"] == found["segclr_top1"]
