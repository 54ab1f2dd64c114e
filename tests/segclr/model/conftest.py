"""Makes benchmarks/segclr_rule.py known."""

import pathlib
import sys

_BENCHMARKS = str(pathlib.Path(__file__).parents[3] / "benchmarks")
if _BENCHMARKS not in sys.path:
    sys.path.append(_BENCHMARKS)
