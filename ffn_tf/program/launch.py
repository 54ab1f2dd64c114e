"""How a program starts and ends: one clear error, or one closing line."""

from __future__ import annotations

from collections.abc import Callable
import os
import pathlib
import re
import select
import signal
import sys
import sysconfig
import traceback

from absl import app, flags

# What our own checks raise for input that cannot work. Anything else is a
# defect of ours and keeps its traceback.
INPUT_ERRORS = (ValueError, OSError, NotImplementedError)
# What asks for help, and whether only for the program's own flags.
_HELP = {"-h": True, "--help": True, "--helpshort": True, "--helpfull": False}
_LIBRARIES = pathlib.Path(sysconfig.get_path("platlib"))


def start(main: Callable[[list[str]], None], *, max_arguments: int = 0) -> None:
    """Runs `main` under absl; an input error becomes one line and exit 1.

    Up to `max_arguments` arguments that are not flags reach `main`.

    SIGINT and SIGTERM end the program with 130 and 143, as shells have it: 128
    and the signal. `FFN_TRACEBACK=1` in the environment keeps the traceback.
    """

    def checked(argv: list[str]) -> None:
        # As SIGINT does: what is under way can be saved.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        if len(argv) > 1 + max_arguments:
            raise app.UsageError(
                f"Unexpected argument {argv[-1]!r}: options are given as "
                f"--name=value."
            )
        try:
            main(argv)
            sys.stdout.flush()
        except INPUT_ERRORS as error:
            if isinstance(error, BrokenPipeError) and not _is_read():
                sys.exit(128 + signal.SIGPIPE)
            if os.environ.get("FFN_TRACEBACK"):
                raise
            print(f"error: {error}{_hint(error)}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    app.run(checked, flags_parser=_parsed)


def _is_read() -> bool:
    """False if nobody reads standard output any more, as after `| head`.

    Then what is left of it goes nowhere, so that Python can end.
    """
    pipe = select.poll()
    pipe.register(sys.stdout, 0)
    if not any(events & select.POLLERR for _, events in pipe.poll(0)):
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False


def _parsed(argv: list[str]) -> list[str]:
    """What absl makes of arguments, but for how it says help and errors."""
    for argument in argv[1:]:
        if argument in _HELP:
            only_ours = _HELP[argument]
            app.usage(shorthelp=only_ours, writeto_stdout=True, exitcode=0)
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        # Of a flag that is required; that it has no value is no news.
        said = re.sub(r"(?m)^flag (--\w+)=None:", r"\1", str(error))
        sys.exit(f"error: {said}\n--help lists the flags.")


def _hint(error: BaseException) -> str:
    """How to see more of an error that no check of ours has raised."""
    *_, last = traceback.extract_tb(error.__traceback__)
    if _LIBRARIES not in pathlib.Path(last.filename).parents:
        return ""
    return f" ({type(error).__name__}; FFN_TRACEBACK=1 shows where)"


def warn(doubt: str) -> None:
    """Says on standard error what may be wrong, and goes on."""
    print(f"warning: {doubt}", file=sys.stderr, flush=True)


def finish(wrote: str, next_command: str = "") -> None:
    """The closing line: what was written where, and what to run next."""
    line = f"Wrote {wrote}."
    if next_command:
        line += f" Next: {next_command}"
    print(line, flush=True)
