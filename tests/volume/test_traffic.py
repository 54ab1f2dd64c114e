"""Traffic: chunks that were read, and those that boxes touch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import traffic

# Counts of what is read after opening, once and again.
_READ = """
import json, sys
from ffn_tf import volume
from ffn_tf.volume import traffic
found = []
with volume.open(sys.argv[1]) as opened:
    for box in (((0, 0, 0), (17, 16, 16)), ((0, 0, 0), (32, 16, 16))):
        before = traffic.so_far()
        opened.read(volume.Box(*box))
        made = traffic.so_far().since(before)
        found.append([made.wanted, made.reads, made.bytes_read])
print(json.dumps(found))
"""


def make(tmp_path, kind, start=(0, 0, 0)):
    address = f"{kind}://{tmp_path}/{kind}"
    info = volume.VolumeInfo(
        volume.Box.from_size(start, (40, 33, 16)),
        np.dtype("u1"),
        (10.0, 10.0, 10.0),
        chunk_zyx=(16, 16, 16),
    )
    rng = np.random.default_rng(0)
    with volume.create(address, info) as target:
        array = rng.integers(0, 255, info.domain.size).astype("u1")
        target.write(info.domain, array)
    return address


@pytest.mark.parametrize("kind", ["zarr", "precomputed", "n5"])
def test_what_is_read(tmp_path, kind):
    """In a process of its own, which has nothing in memory."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, make(tmp_path, kind)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first[:2] == [2, 2]
    assert 8000 < first[2] < 9500  # Noise does not compress.
    assert second == [2, 0, 0]


def test_what_is_still_the_same_is_not_read(tmp_path):
    with volume.open(make(tmp_path, "zarr")) as opened:
        before = traffic.so_far()
        opened.read()
        made = traffic.so_far().since(before)
    assert (made.wanted, made.reads) == (9, 0)


@pytest.mark.parametrize("start", [(0, 0, 0), (7, 20, 16)])
@pytest.mark.parametrize("kind", ["zarr", "precomputed"])
def test_chunks(tmp_path, kind, start):
    with volume.open(make(tmp_path, kind, start)) as opened:
        assert opened.domain.start == start
        rng = np.random.default_rng(0)
        low = np.array(start) + rng.integers(0, [39, 32, 15], (20, 3))
        high = np.minimum(low + rng.integers(1, 30, (20, 3)), opened.domain.end)
        found = traffic.chunks(opened, low, high)
        one = traffic.chunks(opened, low[:1], high[:1])
    seen = set()
    for first, end in zip(low - start, high - start):
        for place in np.ndindex(*(end - first)):
            seen.add(tuple(((first + place) // 16).tolist()))
    assert len(found) == len(np.unique(found)) == len(seen)
    assert set(one) <= set(found)


def test_no_chunks_of_nothing(tmp_path):
    with volume.open(make(tmp_path, "zarr")) as opened:
        nothing = np.zeros((0, 3), int)
        assert not len(traffic.chunks(opened, nothing, nothing))
        box = np.array([[5, 5, 5]])
        assert not len(traffic.chunks(opened, box, box))
