"""What this machine is, and what its arithmetic could do at most."""

from __future__ import annotations

import os
import pathlib
import re

# Multiplications and additions per cycle and core, by instruction set
# (Intel's figures: two 512-bit units; AMX counts 1024 and 2048).
_PER_CYCLE = {
    "float32": [("avx512f", 64), ("avx2", 32)],
    "bfloat16": [("amx_bf16", 1024), ("avx512_bf16", 128)],
    "int8": [("amx_int8", 2048), ("avx512_vnni", 256), ("avx_vnni", 128)],
}


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
    known = [f for rows in _PER_CYCLE.values() for f, _ in rows if f in flags]
    processors = len(os.sched_getaffinity(0))
    return (
        f"{_cpuinfo('model name')}, {processors} processors on {_cores()} "
        f"cores, {' '.join(known)}"
    )


def peak_flops(arithmetic: str) -> float | None:
    """FLOP/s of all cores at the present clock; None without instructions.

    Args:
      arithmetic: "float32", "bfloat16" or "int8".
    """
    flags = _cpuinfo("flags").split()
    clock = float(_cpuinfo("cpu MHz") or 0) * 1e6
    for flag, operations in _PER_CYCLE[arithmetic]:
        if flag in flags and clock:
            return operations * clock * _cores()
    return None
