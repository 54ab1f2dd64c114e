"""fetch.py against a server on loopback that holds small fakes."""

import functools
import gzip
import hashlib
import http.server
import importlib.util
import io
import pathlib
import re
import subprocess
import sys
import threading

import h5py
import numpy as np
from PIL import Image
import pytest

ROOT = pathlib.Path(__file__).parents[2]


def _load_fetch():
    path = ROOT / "third_party/fetch.py"
    spec = importlib.util.spec_from_file_location("fetch", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch"] = module
    spec.loader.exec_module(module)
    return module


fetch = _load_fetch()

SUPERVOXELS = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
# Neither sorted nor dense: supervoxel i is of body 1000 + i // 2, 0 of none.
TABLE = np.array([[i, (1000 + i // 2) * (i > 0)] for i in range(24)][::-1])
BODIES = np.array(
    [0, *[1000 + i // 2 for i in range(1, 24)]], np.uint64
).reshape(2, 3, 4)
GREY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 10


def sha(data) -> str:
    return hashlib.sha256(data).hexdigest()


def hdf5_bytes(**datasets) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        for name, array in datasets.items():
            opened[name] = array
    return file.getvalue()


class Server:
    """What the fake homes hold, by host and path, and what was asked."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.busy = 0
        handler = functools.partial(_Handler, self, directory=str(folder))
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def put(self, path: str, data: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, server: Server, *args, **kwargs) -> None:
        self.home = server
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.home.asked.append(self.path)
        if self.home.busy:
            self.home.busy -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *args) -> None:
        del args


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """A server with a whole fake dataset, which replaces the real ones."""
    server = Server(tmp_path / "homes")
    truth = gzip.compress(hdf5_bytes(stack=SUPERVOXELS, transforms=TABLE))
    server.put("code.example/model.index", b"weights")
    server.put("code.example/truth.h5.gz", truth)
    server.put("bucket.example/grey.h5", hdf5_bytes(raw=GREY))
    for z, section in enumerate(GREY):
        file = io.BytesIO()
        Image.fromarray(section).save(file, "png")
        server.put(f"code.example/grey/{z}.png", file.getvalue())
    code = "https://code.example"
    dataset = (
        fetch.Copy(
            "small/model/model.index",
            fetch.Remote(f"{code}/model.index", 7, sha(b"weights")),
        ),
        fetch.Stack(
            "small/truth.h5",
            "stack",
            sha(BODIES.tobytes()),
            (
                fetch.FromSupervoxels(
                    fetch.Remote(f"{code}/truth.h5.gz", len(truth), sha(truth))
                ),
            ),
        ),
        fetch.Stack(
            "small/grey.h5",
            "raw",
            sha(GREY.tobytes()),
            (
                fetch.FromHdf5("https://bucket.example/grey.h5", "raw"),
                fetch.FromSections(f"{code}/grey", ("0.png", "1.png")),
            ),
        ),
    )
    monkeypatch.setattr(fetch, "DATASETS", {"small": dataset})
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield server
    server.close()


def run(homes, folder: pathlib.Path):
    options = fetch.Options(data_dir=str(folder), mirror=homes.url)
    return fetch.run(options, "small")


def read(path: pathlib.Path, dataset: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[dataset][...]


def check_whole(folder: pathlib.Path) -> None:
    assert (folder / "small/model/model.index").read_bytes() == b"weights"
    bodies = read(folder / "small/truth.h5", "stack")
    np.testing.assert_array_equal(bodies, BODIES, strict=True)
    grey = read(folder / "small/grey.h5", "raw")
    np.testing.assert_array_equal(grey, GREY, strict=True)
    assert len([p for p in folder.rglob("*") if p.is_file()]) == 3


def test_everything_is_fetched(homes, tmp_path, capsys) -> None:
    paths = run(homes, tmp_path / "data")
    check_whole(tmp_path / "data")
    assert [path.name for path in paths] == [
        "model.index",
        "truth.h5",
        "grey.h5",
    ]
    assert capsys.readouterr().out.count("fetched ") == 3
    assert "/bucket.example/grey.h5" in homes.asked
    assert not any("png" in path for path in homes.asked)


def test_what_is_there_is_not_fetched_again(homes, tmp_path, capsys) -> None:
    run(homes, tmp_path)
    homes.asked.clear()
    (tmp_path / "small/truth.h5").unlink()
    capsys.readouterr()
    run(homes, tmp_path)
    assert homes.asked == ["/code.example/truth.h5.gz"]
    out = capsys.readouterr().out
    assert (out.count("have "), out.count("fetched ")) == (2, 1)


def test_sections_stand_in_for_a_missing_file(homes, tmp_path) -> None:
    (homes.folder / "bucket.example/grey.h5").unlink()
    run(homes, tmp_path / "data")
    check_whole(tmp_path / "data")
    assert "/code.example/grey/1.png" in homes.asked


def test_sections_stand_in_for_a_wrong_file(homes, tmp_path) -> None:
    homes.put("bucket.example/grey.h5", hdf5_bytes(raw=GREY + 1))
    run(homes, tmp_path / "data")
    check_whole(tmp_path / "data")


@pytest.mark.parametrize(
    ("path", "data", "expected", "fetched"),
    [
        (
            "code.example/model.index",
            b"weight",
            r"/model\.index: expected 7 bytes .*found 6 bytes",
            set(),
        ),
        (
            "code.example/truth.h5.gz",
            gzip.compress(b"other", mtime=0),
            r"small/truth\.h5: .*truth\.h5\.gz: expected",
            {"model.index"},
        ),
        (
            "code.example/grey/1.png",
            b"no png",
            r"small/grey\.h5: .*grey\.h5.* And then: .*identify image",
            {"model.index", "truth.h5"},
        ),
    ],
    ids=["weights", "truth", "section"],
)
def test_wrong_bytes_are_an_error_and_leave_nothing(
    homes, tmp_path, path, data, expected, fetched
) -> None:
    homes.put("bucket.example/grey.h5", b"no HDF5")
    homes.put(path, data)
    with pytest.raises(ValueError, match=expected):
        run(homes, tmp_path / "data")
    left = {p.name for p in (tmp_path / "data").rglob("*") if p.is_file()}
    assert left == fetched


def test_wrong_voxels_are_an_error(homes, tmp_path) -> None:
    homes.put("bucket.example/grey.h5", hdf5_bytes(raw=GREY[:, :, ::-1]))
    for z in (0, 1):
        (homes.folder / f"code.example/grey/{z}.png").unlink()
    with pytest.raises(
        ValueError, match=r"expected SHA-256 .* And then: .*404"
    ):
        run(homes, tmp_path)
    assert not (tmp_path / "small/grey.h5").exists()


def test_a_busy_server_is_asked_again(homes, tmp_path) -> None:
    homes.busy = 3
    run(homes, tmp_path / "data")
    check_whole(tmp_path / "data")
    assert homes.asked[:4] == ["/code.example/model.index"] * 4


def test_a_server_that_stays_busy(homes, tmp_path) -> None:
    homes.busy = 1000
    with pytest.raises(OSError, match=r"model\.index: HTTP 503"):
        run(homes, tmp_path)
    assert len(homes.asked) == 4


def test_no_server(homes, tmp_path) -> None:
    options = fetch.Options(str(tmp_path), mirror="http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"refused.* Is there a network\?"):
        fetch.run(options, "small")


def test_a_damaged_file_that_is_there(homes, tmp_path) -> None:
    run(homes, tmp_path)
    path = tmp_path / "small/model/model.index"
    path.write_bytes(b"weightS")
    with pytest.raises(ValueError, match=r"model\.index: .*delete it"):
        run(homes, tmp_path)
    assert path.read_bytes() == b"weightS"
    path.write_bytes(b"weights")
    path = tmp_path / "small/truth.h5"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"truth\.h5: expected an HDF5 file"):
        run(homes, tmp_path)


def test_bodies() -> None:
    found = fetch.bodies(SUPERVOXELS, TABLE)
    np.testing.assert_array_equal(found, BODIES, strict=True)
    with pytest.raises(ValueError, match="lacks supervoxel 23"):
        fetch.bodies(SUPERVOXELS, TABLE[1:])


def test_unknown_dataset() -> None:
    with pytest.raises(ValueError, match="of fib25, found 'fib'"):
        fetch.run(fetch.Options(), "fib")


def test_every_checksum_is_in_a_readme() -> None:
    readmes = "".join(
        path.read_text() for path in (ROOT / "third_party").glob("*/README.md")
    )
    source = (ROOT / "third_party/fetch.py").read_text()
    source = re.sub(r'"\s+"', "", source)  # Joined strings.
    checksums = re.findall(r"[0-9a-f]{64}", source)
    assert len(checksums) == 8
    for checksum in checksums:
        assert checksum in readmes


def test_the_real_data_is_what_would_be_fetched(fib25, capsys) -> None:
    options = fetch.Options(str(fib25.parent), mirror="http://127.0.0.1:9")
    assert len(fetch.run(options, "fib25")) == 7
    assert capsys.readouterr().out.count("have ") == 7


def test_command_line(homes, tmp_path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, ROOT / "third_party/fetch.py", *arguments],
            capture_output=True,
            text=True,
        )

    answer = command("fib25", f"--data_dir={tmp_path}", f"--mirror={homes.url}")
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: {homes.url}/raw.githubuserc")
    assert "HTTP 404" in answer.stderr
    answer = command("fib25", "more")
    assert answer.returncode == 1
    assert "Unexpected argument 'more'" in answer.stdout + answer.stderr
