"""TensorFlow as it is imported by a user's process, real and broken."""

import subprocess
import sys

import pytest

IMPORT = "from ffn_tf.program import quiet; quiet.import_backend()"


def python(code, *folders):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(map(str, folders))},
    )


@pytest.fixture
def stand_in(tmp_path):
    """stand_in(source): a folder with a `tensorflow` of that source."""

    def make(source):
        (tmp_path / "tensorflow.py").write_text(source)
        return tmp_path

    return make


CHATTER = "import os; os.write(2, b'chatter\\n')\nconstant = print\n"


def test_chatter_is_swallowed_and_errors_after_it_are_not(stand_in):
    done = python(
        f"{IMPORT}; import sys, os; print('ours', file=sys.stderr);"
        "os.write(2, b'more\\n'); print(os.environ['TF_CPP_MIN_LOG_LEVEL'])",
        stand_in(CHATTER),
    )
    assert done.returncode == 0
    assert done.stderr == "ours\nmore\n"
    assert done.stdout == "0\n3\n"


def test_a_gpu_can_be_shared(stand_in):
    """By default either takes all of its memory, and workers find none."""
    done = python(
        f"{IMPORT}; import os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'],"
        "os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'])",
        stand_in("constant = str"),
    )
    assert done.stdout == "true false\n", done.stderr


def test_a_failure_shows_the_chatter_and_what_to_install(stand_in):
    folder = stand_in(CHATTER + "raise ImportError('no libfoo.so')")
    done = python(IMPORT, folder)
    assert done.returncode == 1
    assert done.stderr.startswith("chatter\n")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: TensorFlow cannot be imported (no ")
    assert 'pip install -e ".[cpu]"' in last


def test_any_other_failure_keeps_standard_error(stand_in):
    folder = stand_in(CHATTER + "raise RuntimeError('broken')")
    done = python(IMPORT, folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: broken"


def test_the_real_one_is_imported_in_silence():
    done = python(f"{IMPORT}; import tensorflow as tf; tf.constant(1)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -----------------------------------------------------------------------------
# JAX instead
# -----------------------------------------------------------------------------

CHOICE = (
    "import os, sys, importlib.util as u; find = u.find_spec;"
    "u.find_spec = lambda name: name in {found} and find('os') or None;"
    "from ffn_tf.program import quiet; {more}; quiet.import_backend();"
    "print(os.environ['KERAS_BACKEND'], 'tensorflow' in sys.modules)"
)


@pytest.mark.parametrize(
    ("found", "asked", "expected"),
    [
        ({"tensorflow"}, None, "tensorflow True"),
        ({"tensorflow", "jax"}, None, "tensorflow True"),
        ({"tensorflow", "jax"}, "jax", "jax False"),
        ({"jax"}, None, "jax False"),
    ],
)
def test_what_keras_computes_on(stand_in, found, asked, expected):
    more = f"os.environ['KERAS_BACKEND'] = {asked!r}" if asked else "0"
    done = python(
        CHOICE.format(found=found, more=more), stand_in("constant = print")
    )
    assert done.stdout.endswith(f"{expected}\n"), done.stderr


@pytest.mark.parametrize(
    ("asked", "message"),
    [("jax", "pip install jax"), ("torch", "expected tensorflow or jax")],
)
def test_what_keras_cannot_compute_on(asked, message):
    more = f"os.environ['KERAS_BACKEND'] = {asked!r}"
    done = python(CHOICE.format(found=set(), more=more))
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
