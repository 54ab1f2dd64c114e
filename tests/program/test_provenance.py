import re
import subprocess

import pytest

import ffn_tf
from ffn_tf import program
from ffn_tf.program import provenance


@pytest.fixture(autouse=True)
def fresh():
    """The description is kept for the life of a process."""
    program.describe_code.cache_clear()
    yield
    program.describe_code.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder that `describe_code` takes for the package's."""
    (tmp_path / "ffn_tf").mkdir()
    file = tmp_path / "ffn_tf" / "__init__.py"
    file.write_text("")
    monkeypatch.setattr(ffn_tf, "__file__", str(file))
    # No checkout above the test's folder counts.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_a_checkout_is_its_commit(package):
    git(package, "init")
    git(package, "add", "ffn_tf")
    git(package, "commit", "-m", "first")
    version = re.escape(ffn_tf.__version__)
    clean = program.describe_code()
    assert re.fullmatch(rf"{version}\+g[0-9a-f]{{12}}", clean)
    (package / "ffn_tf" / "__init__.py").write_text("1\n")
    # Asked once, the answer stays: a run is of one version.
    assert program.describe_code() == clean
    program.describe_code.cache_clear()
    assert program.describe_code() == clean + ".dirty"


def test_without_a_checkout_it_is_the_version(package):
    assert program.describe_code() == ffn_tf.__version__


def test_another_project_s_checkout_does_not_count(package, monkeypatch):
    git(package.parent, "init")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "--allow-empty", "-m", "theirs")
    monkeypatch.delenv("GIT_CEILING_DIRECTORIES")
    assert program.describe_code() == ffn_tf.__version__


def test_without_git_it_is_the_version(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program.describe_code() == ffn_tf.__version__


def test_when_git_hangs_it_is_the_version(monkeypatch):
    def hang(*arguments, **named):
        raise subprocess.TimeoutExpired("git", named["timeout"])

    monkeypatch.setattr(provenance.subprocess, "run", hang)
    assert program.describe_code() == ffn_tf.__version__


def test_the_digest_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert program.file_digest(path) == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
