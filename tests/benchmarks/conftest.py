"""Makes the modules in benchmarks/ known, as they are to each other."""

import pathlib
import sys

_BENCHMARKS = str(pathlib.Path(__file__).parents[2] / "benchmarks")
if _BENCHMARKS not in sys.path:
    sys.path.append(_BENCHMARKS)
