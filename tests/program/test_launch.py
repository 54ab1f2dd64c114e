"""A program that ends well, badly, or by a defect, as its user sees it."""

import pathlib
import subprocess
import sys

import pytest

PROGRAM = """'Does this and that.'
import dataclasses
from ffn_tf import program

@dataclasses.dataclass(frozen=True)
class Options:
    needed: str = program.option(help="what for")
    size: int = program.option(1, help="size")

def main(argv):
    options = program.from_flags(Options)
    error = {
        "value": ValueError("size: found 7, expected less.\\nRead on."),
        "file": FileNotFoundError(2, "No such file", "em.h5"),
        "full": OSError(28, "No space left on device", "out/run.json"),
        "defect": KeyError("label"),
        "library": None,
        "pipe": BrokenPipeError(32, "Broken pipe", "a socket"),
    }.get(options.needed)
    if error:
        raise error
    while options.needed == "much":
        print("line")
    if options.needed == "library":
        import numpy
        numpy.broadcast_shapes((2,), (3,))
    program.finish(f"out/{options.size}.txt", "" if len(argv) < 2 else "ls")

if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main, max_arguments=MAX)
"""


@pytest.fixture
def run(tmp_path):
    """run(*arguments): (exit status, stdout, stderr) of the program."""

    def call(*arguments, max_arguments=0, **environment):
        path = tmp_path / "example.py"
        path.write_text(PROGRAM.replace("MAX", str(max_arguments)))
        done = subprocess.run(
            [sys.executable, str(path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        return done.returncode, done.stdout, done.stderr

    return call


def test_the_last_line_says_what_was_written(run):
    assert run("--needed=x", "--size=5") == (0, "Wrote out/5.txt.\n", "")


def test_it_may_name_the_next_command(run):
    status, out, _ = run("--needed=x", "argument", max_arguments=1)
    assert (status, out) == (0, "Wrote out/1.txt. Next: ls\n")


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("value", "error: size: found 7, expected less."),
        ("file", "error: [Errno 2] No such file: 'em.h5'"),
        ("full", "error: [Errno 28] No space left on device: 'out/run.json'"),
    ],
)
def test_bad_input_is_an_error_without_traceback(run, kind, line):
    status, out, err = run(f"--needed={kind}")
    assert (status, out) == (1, "")
    assert err.splitlines()[0] == line
    assert "Traceback" not in err


def test_a_library_s_error_says_how_to_see_more(run):
    status, _, err = run("--needed=library")
    assert status == 1
    assert err.startswith("error: shape mismatch")
    assert err.endswith(" (ValueError; FFN_TRACEBACK=1 shows where)\n")


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_describes_the_program_and_its_flags(run, flag):
    status, out, err = run(flag)
    assert (status, err) == (0, "")
    assert out.startswith("Does this and that.\n")
    assert "--needed: what for" in out
    assert "(default: '1')" in out
    assert ("--log_dir" in out) == (flag == "--helpfull")


def test_the_traceback_can_be_asked_for(run):
    status, _, err = run("--needed=value", FFN_TRACEBACK="1")
    assert status == 1
    assert "Traceback" in err
    assert "ValueError: size: found 7" in err


def test_a_defect_keeps_its_traceback(run):
    status, _, err = run("--needed=defect")
    assert status == 1
    assert "Traceback" in err
    assert "KeyError: 'label'" in err


def test_who_has_read_enough_gets_no_error(run, tmp_path):
    """As in `program | head`; other broken pipes are errors."""
    status, _, err = run("--needed=pipe")
    assert status == 1
    assert "Broken pipe" in err
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "example.py"), "--needed=much"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_an_argument_that_is_no_flag(run):
    status, out, err = run("--needed=x", "em.h5")
    assert status == 1 and "Wrote" not in out
    assert "Unexpected argument 'em.h5'" in out + err
    assert "--name=value" in out + err
    status, out, err = run("--needed=x", "a", "b", max_arguments=1)
    assert status == 1
    assert "Unexpected argument 'b'" in out + err


def test_flags_are_checked_before_any_work(run):
    for argument, message in (
        ("--size=5", "error: --needed is required: what for\n--help"),
        ("--needed=x --size=big".split(), "invalid literal for int"),
        ("--needed=x --sise=1".split(), "Did you mean: size"),
    ):
        arguments = [argument] if isinstance(argument, str) else argument
        status, out, err = run(*arguments)
        assert status == 1
        assert "Wrote" not in out
        assert message in err
        assert err.startswith("error: ") and "Traceback" not in err


def test_modules_of_the_package_start_no_program_when_imported():
    root = pathlib.Path(__file__).parents[2] / "ffn_tf"
    names = [path.stem for path in root.glob("*.py") if path.stem[0] != "_"]
    assert "run_inference" in names
    code = (
        "from absl import flags\n"
        "before = set(flags.FLAGS)\n"
        f"for name in {names}:\n"
        "    __import__('ffn_tf.' + name)\n"
        "    made = flags.FLAGS.flags_by_module_dict()\n"
        "    assert not [m for m in made if m.startswith('ffn_tf')], made\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)
