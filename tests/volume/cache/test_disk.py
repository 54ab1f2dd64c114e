"""The disk cache: entries, its size, and everything that goes wrong."""

import errno
import os
import pathlib
import pickle
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from ffn_tf.volume.cache import disk as cache_lib
from ffn_tf.volume.cache.disk import CacheOptions, DiskCache, Entry

MB = 10**6
SMALL, LARGE = b"small" * 100, b"large" * 20_000  # In the database; in a file.


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    return tmp_path / "cache" / "chunks-1"


@pytest.fixture
def disk(folder) -> DiskCache:
    return DiskCache(folder, 100 * MB)


def put(disk, key, value, generation=b"\0one"):
    disk.put(key, Entry(generation, value))
    disk.flush()


ELSEWHERE = """
import pathlib, sys
from ffn_tf.volume.cache.disk import DiskCache, Entry
disk = DiskCache(pathlib.Path(sys.argv[1]), 10**8)
for number in range(300):
    disk.put(f"{number}", Entry(b"one", b"small" * 100))
disk.put("a", Entry(b"one", b"large" * 20_000))
disk.flush()
"""


def put_by_another_process(folder):
    """300 small entries and a large one, "a"."""
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(folder)], check=True)


def size_on_disk(folder) -> int:
    """What the disk gives, folders included."""
    total = 0
    for path in [folder, *folder.rglob("*")]:
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            pass  # Removed meanwhile.
    return total


def value_files(folder):
    return sorted(folder.glob("??/*.val"))


# -----------------------------------------------------------------------------
# Entries
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [b"", b"x", SMALL, LARGE, os.urandom(32 * 1024), None],
    ids=["empty", "byte", "small", "large", "32 kB", "absent"],
)
@pytest.mark.parametrize(
    "generation",
    [b"\0one", os.urandom(99), b""],
    ids=["one", "random", "none"],
)
def test_what_is_put_is_got_by_other_processes_too(
    folder, disk, value, generation
):
    put(disk, "a/b", value, generation)
    for reader in (disk, DiskCache(folder, 100 * MB)):
        assert reader.get("a/b") == Entry(generation, value)
        assert reader.get("a/c") is None


@pytest.mark.parametrize("value", [SMALL, LARGE])
def test_the_last_entry_of_a_key_counts(folder, disk, value):
    put(disk, "a", LARGE, b"\0one")
    put(disk, "a", value, b"\0two")
    assert disk.get("a") == Entry(b"\0two", value)
    assert len(value_files(folder)) == (value is LARGE)
    disk.forget("a")
    disk.flush()
    assert disk.get("a") is None
    assert value_files(folder) == []


def test_one_cache_of_a_folder_in_a_process(tmp_path, monkeypatch):
    options = CacheOptions(1.0, str(tmp_path))
    assert cache_lib.opened(options) is cache_lib.opened(options)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/x")
    assert CacheOptions().folder == tmp_path / "x/ffn_tf/chunks-1"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", f"{tmp_path}/home")
    assert CacheOptions().folder == tmp_path / "home/.cache/ffn_tf/chunks-1"
    for size in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="positive size"):
            cache_lib.opened(CacheOptions(size, str(tmp_path)))


# -----------------------------------------------------------------------------
# Damage
# -----------------------------------------------------------------------------


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "flipped": flipped,
    "truncated": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "removed": os.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_no_entry(folder, disk, damage, capfd):
    put(disk, "a", LARGE)
    put(disk, "b", LARGE + b"!")
    (file,) = (f for f in value_files(folder) if f.stat().st_size == len(LARGE))
    DAMAGES[damage](file)
    assert disk.get("a") is None
    assert disk.get("b") == Entry(b"\0one", LARGE + b"!")
    disk.flush()
    warned = capfd.readouterr().err
    assert ("damaged" in warned) == (damage != "removed")
    assert len(value_files(folder)) == 1
    put(disk, "a", LARGE)
    assert disk.get("a") == Entry(b"\0one", LARGE)


@pytest.mark.parametrize(
    "change",
    [
        "value = X'00'",
        "tag = X'00'",
        "tag = NULL",
        "tag = 'text'",
        "value = 7",
        "value = NULL",
        "tag = X'0100000000' || substr(tag, 6)",
        "filename = '../../outside', mode = 2, value = NULL",
    ],
)
def test_a_damaged_row_is_no_entry(folder, disk, change, tmp_path):
    (tmp_path / "outside").write_bytes(SMALL)
    put(disk, "a", SMALL)
    put(disk, "b", SMALL)
    with sqlite3.connect(folder / "cache.db") as database:
        database.execute(f"UPDATE Cache SET {change} WHERE key = 'a'")
    database.close()
    assert disk.get("a") in (None, Entry(b"\0one", SMALL))
    assert disk.get("b") == Entry(b"\0one", SMALL)


def test_nothing_is_unpickled(folder, disk, tmp_path):
    class Bad:
        def __reduce__(self):
            return os.mkdir, (f"{tmp_path}/pickle-was-run",)

    put(disk, "a", SMALL)
    put(disk, "b", LARGE)
    with sqlite3.connect(folder / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4")
        database.execute(
            "UPDATE Cache SET value = ? WHERE key = 'a'", [pickle.dumps(Bad())]
        )
    database.close()
    value_files(folder)[0].write_bytes(pickle.dumps(Bad()))
    assert disk.get("a") is None
    assert disk.get("b") is None
    assert not (tmp_path / "pickle-was-run").exists()


@pytest.mark.parametrize("size", [0, 100, 5000, None])
def test_a_database_that_is_none_is_thrown_away(folder, size, capfd):
    put_by_another_process(folder)
    database = folder / "cache.db"
    length = database.stat().st_size if size is None else size
    database.write_bytes(os.urandom(length))
    reader = DiskCache(folder, 100 * MB)
    assert reader.get("a") is None
    put(reader, "a", LARGE)
    assert reader.get("a") == Entry(b"\0one", LARGE)
    assert ("thrown away" in capfd.readouterr().err) == (length > 0)
    assert [p.name for p in folder.parent.iterdir()] == ["chunks-1"]
    # And what is lost is not on the disk, or swept one day.
    assert len(value_files(folder)) == (1 if length else 2)


def test_a_database_that_is_broken_inside(folder, capfd):
    put_by_another_process(folder)
    database = folder / "cache.db"
    data = bytearray(database.read_bytes())
    data[8 * 4096 :] = os.urandom(len(data) - 8 * 4096)
    database.write_bytes(data)
    reader = DiskCache(folder, 100 * MB)
    found = [reader.get(f"{number}") for number in range(300)]
    assert all(f in (None, Entry(b"one", SMALL)) for f in found)
    reader.put("a", Entry(b"\0one", LARGE))
    reader.flush()
    assert "thrown away" in capfd.readouterr().err
    again = DiskCache(folder, 100 * MB)
    put(again, "a", LARGE)
    assert again.get("a") == Entry(b"\0one", LARGE)


# -----------------------------------------------------------------------------
# Trouble
# -----------------------------------------------------------------------------


def test_a_folder_that_cannot_be(tmp_path, capfd):
    (tmp_path / "file").write_text("in the way")
    disk = DiskCache(tmp_path / "file" / "chunks-1", 100 * MB)
    put(disk, "a", LARGE)
    disk.forget("a")
    assert disk.get("a") is None
    assert disk.num_bytes == 0
    warned = capfd.readouterr().err.splitlines()
    assert len(warned) == 1
    assert "cannot be opened" in warned[0] and str(tmp_path) in warned[0]


@pytest.mark.parametrize("value", [SMALL, LARGE])
def test_a_full_disk_ends_writing_not_reading(
    folder, disk, value, capfd, monkeypatch
):
    put(disk, "a", value)

    def fail(*_, **__):
        if value is SMALL:
            raise sqlite3.OperationalError("database or disk is full")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk._cache, "set", fail)
    for number in range(5):
        put(disk, f"{number}", value)
    assert disk.get("a") == Entry(b"\0one", value)
    assert disk.get("1") is None
    warned = capfd.readouterr().err.splitlines()
    assert len(warned) == 1 and "nothing more is cached" in warned[0]


FILE_LIMIT = """
import pathlib, resource, sys
from ffn_tf.volume.cache.disk import DiskCache, Entry
folder = pathlib.Path(sys.argv[1])
disk = DiskCache(folder, 10**8)
disk.put("a", Entry(b"one", bytes(50_000)))
disk.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
disk.put("b", Entry(b"one", bytes(150_000)))
disk.flush()
assert disk.get("a") == Entry(b"one", bytes(50_000))
assert disk.get("b") is None
"""


def test_a_file_that_cannot_be_written_whole_is_removed(folder):
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing more is cached" in done.stderr
    assert [f.stat().st_size for f in value_files(folder)] == [50_000]


def test_a_lock_that_another_holds(folder, disk, capfd, monkeypatch):
    monkeypatch.setattr(cache_lib, "_LOCK_S", 0.2)
    disk = DiskCache(folder, 100 * MB)
    put(disk, "a", LARGE)
    other = sqlite3.connect(folder / "cache.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    put(disk, "b", LARGE)
    assert disk.get("a") == Entry(b"\0one", LARGE)
    other.execute("ROLLBACK")
    other.close()
    assert disk.get("b") is None
    assert "locked" in capfd.readouterr().err
    assert len(value_files(folder)) == 1


# -----------------------------------------------------------------------------
# Size
# -----------------------------------------------------------------------------


def test_the_oldest_go_first(folder):
    disk = DiskCache(folder, 20 * MB)
    for number in range(60):
        put(disk, f"{number}", os.urandom(400_000))
        assert size_on_disk(folder) <= disk.num_bytes <= 20 * MB
    kept = [number for number in range(60) if disk.get(f"{number}")]
    assert kept == list(range(60 - len(kept), 60))
    # They go by tens; and a little is left for folders and database.
    assert len(kept) * 400_000 > 20 * MB - 10 * 400_000 - 3 * MB


def test_what_never_fits_is_not_kept(folder, capfd):
    disk = DiskCache(folder, 5 * MB)
    put(disk, "a", LARGE)
    put(disk, "b", bytes(6 * MB))
    assert disk.get("b") is None
    assert disk.get("a") == Entry(b"\0one", LARGE)
    assert capfd.readouterr().err == ""


def test_a_limit_that_is_lowered(folder, disk):
    for number in range(40):
        put(disk, f"{number}", os.urandom(1 * MB))
    assert size_on_disk(folder) > 40 * MB
    less = DiskCache(folder, 15 * MB)
    put(less, "a", LARGE)
    assert size_on_disk(folder) <= 15 * MB
    assert less.get("a") and less.get("39") and not less.get("0")


WRITER = """
import pathlib, random, sys
from ffn_tf.volume.cache.disk import DiskCache, Entry
folder, limit, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
disk = DiskCache(folder, limit)
rng = random.Random(seed)
print("ready", flush=True)
sys.stdin.readline()
for number in range(250):
    size = rng.choice([10, 1000, 20_000, 40_000, 260_000, 1_000_000])
    key = f"{rng.choice([seed, 'shared'])}-{rng.randrange(120)}"
    disk.put(key, Entry(b"one", key.encode() + bytes(size)))
    other = f"{rng.choice('0123')}-{rng.randrange(120)}"
    found = disk.get(other)
    if found:
        assert found.value.startswith(other.encode() + bytes(10))
disk.flush()
print("kept" if disk.get(key) else "lost", flush=True)
"""


def writers(folder, limit, count):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(limit), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(count)
    ]
    for writer in started:
        assert writer.stdout.readline() == "ready\n"
    for writer in started:
        writer.stdin.write("\n")
        writer.stdin.flush()
    return started


def test_four_processes_stay_within_the_limit(folder):
    limit = 30 * MB
    started = writers(folder, limit, 4)
    sizes = []
    while any(writer.poll() is None for writer in started):
        sizes.append(size_on_disk(folder))
        time.sleep(0.02)
    for writer in started:
        said, warned = writer.communicate()
        assert (writer.returncode, warned) == (0, "")
        assert said == "kept\n"
    # Some are read while they grow: a moment is not one moment.
    assert np.max(sizes) <= limit
    assert size_on_disk(folder) > limit / 2
    disk = DiskCache(folder, limit)
    assert disk.num_bytes >= size_on_disk(folder)
    with sqlite3.connect(folder / "cache.db") as database:
        rows = database.execute("SELECT filename FROM Cache").fetchall()
    database.close()
    named = {str(folder / name) for (name,) in rows if name}
    assert {str(file) for file in value_files(folder)} == named


def test_a_writer_that_is_killed(folder):
    started = writers(folder, 30 * MB, 3)
    time.sleep(0.3)
    for writer in started[:2]:
        writer.send_signal(signal.SIGKILL)
    said, warned = started[2].communicate()
    assert (started[2].returncode, warned, said) == (0, "", "kept\n")
    for writer in started[:2]:
        writer.communicate()
    assert size_on_disk(folder) <= 30 * MB + 2 * 10**6


def test_files_that_nobody_knows_are_swept_once_a_day(folder, disk):
    put(disk, "a", LARGE)
    (known,) = value_files(folder)
    old, young = folder / "00/old.val", folder / "00/young.val"
    for file in (old, young):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(LARGE)
    long_ago = time.time() - 2 * 86400
    for file in (old, known):
        os.utime(file, (long_ago, long_ago))
    DiskCache(folder, 100 * MB).flush()
    assert old.exists()
    os.utime(folder / "swept", (long_ago, long_ago))
    DiskCache(folder, 100 * MB).flush()
    assert not old.exists()
    assert young.exists() and known.exists()
    assert disk.get("a") == Entry(b"\0one", LARGE)
