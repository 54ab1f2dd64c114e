"""The parts of bench_volumes.py, one bar of the issue each.

    workplace, turns, claims       what they share
    cutouts, cloud                 readers of random boxes, ours and others'
    remote, local, overhead        bar 1
    pipeline                       bar 2, the only one that needs TensorFlow
    storage                        bar 3
    second_pass                    bar 4
    exabyte, exabyte_child         bar 5
    writers, writers_child         bar 6

Each has run(place), which prints its table and returns its part of the last
line. The servers are those of the tests.
"""

import pathlib
import sys

_TESTS = str(pathlib.Path(__file__).resolve().parents[2] / "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)
