"""What every program shares: flags made from options, errors, provenance."""

from ffn_tf.program.launch import finish
from ffn_tf.program.launch import start
from ffn_tf.program.options import define_flags
from ffn_tf.program.options import from_flags
from ffn_tf.program.options import option
from ffn_tf.program.provenance import describe_code
from ffn_tf.program.provenance import file_digest

__all__ = [
    "define_flags",
    "describe_code",
    "file_digest",
    "finish",
    "from_flags",
    "option",
    "start",
]
