"""What programs share: flags from options, errors, progress, provenance."""

from ffn_tf.program.interruption import HeldBack
from ffn_tf.program.launch import INPUT_ERRORS, finish, start, warn
from ffn_tf.program.named import named
from ffn_tf.program.options import (
    command_line,
    define_flags,
    from_flags,
    given_flags,
    given_line,
    mapping,
    option,
)
from ffn_tf.program.progress import Progress, watched
from ffn_tf.program.provenance import describe_code, file_digest

__all__ = [
    "INPUT_ERRORS",
    "HeldBack",
    "Progress",
    "command_line",
    "define_flags",
    "describe_code",
    "file_digest",
    "finish",
    "from_flags",
    "given_flags",
    "given_line",
    "mapping",
    "named",
    "option",
    "start",
    "warn",
    "watched",
]
