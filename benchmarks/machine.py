"""What this machine is, and what its arithmetic can do at most."""

from __future__ import annotations

import os
import pathlib
import re

# Of interest here; in /proc/cpuinfo's words.
_MATRIX_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
# Multiplications and additions of an AMX unit in bfloat16 (Intel's figure).
_AMX_PER_CYCLE = 1024


def _cpuinfo(key: str) -> str:
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    match = re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)
    return match[1] if match else ""


def _cores() -> int:
    """Cores that we may use; the threads of one share its arithmetic."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cores = set()
    for index, block in enumerate(text.strip().split("\n\n")):
        fields = dict(
            re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", block, re.MULTILINE)
        )
        number = int(fields.get("processor", index))
        if number in os.sched_getaffinity(0):
            cores.add(
                (fields.get("physical id"), fields.get("core id", number))
            )
    return len(cores)


def name() -> str:
    """Processor, what of it we may use, and its matrix instructions."""
    flags = _cpuinfo("flags").split()
    known = [flag for flag in _MATRIX_FLAGS if flag in flags]
    processors = len(os.sched_getaffinity(0))
    return (
        f"{_cpuinfo('model name')}, {processors} processors on {_cores()} "
        f"cores, {' '.join(known)}"
    )


def amx_flops() -> float | None:
    """Theoretical bfloat16 FLOP/s of AMX at the clock that Linux tells.

    None where there is no AMX: the width of other units, and the clock that
    they run at, differ from processor to processor, and Linux tells neither.
    """
    if "amx_bf16" not in _cpuinfo("flags").split():
        return None
    return _AMX_PER_CYCLE * float(_cpuinfo("cpu MHz")) * 1e6 * _cores()
