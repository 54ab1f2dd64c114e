"""What this machine is, and what its arithmetic can do at most."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import time

import numpy as np

# Of interest here; in /proc/cpuinfo's words.
_MATRIX_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
# Multiplications and additions of an AMX unit in bfloat16 (Intel's figure).
_AMX_PER_CYCLE = 1024
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_MATRIX = 2048


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

    None where there is no AMX: other units differ in their width from one
    processor to the next, and Linux does not tell it; see `matmul_flops`.
    """
    if "amx_bf16" not in _cpuinfo("flags").split():
        return None
    return _AMX_PER_CYCLE * float(_cpuinfo("cpu MHz")) * 1e6 * _cores()


@functools.cache
def matmul_flops(arithmetic: str) -> float | None:
    """FLOP/s that the product of two large matrices reaches (OpenVINO).

    Args:
      arithmetic: "float32" or "bfloat16"; None for another, or where the
        processor has no instructions for it.
    """
    import openvino as ov
    from openvino import opset13 as ops

    core = ov.Core()
    native = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if arithmetic not in _HINTS or (
        arithmetic == "bfloat16" and "BF16" not in native
    ):
        return None
    values = np.random.default_rng(0).normal(size=(_MATRIX, _MATRIX))
    values = values.astype(np.float32)
    left = ops.parameter(values.shape, np.float32)
    product = ops.matmul(left, ops.constant(values), False, False)
    hint = {"INFERENCE_PRECISION_HINT": _HINTS[arithmetic]}
    compiled = core.compile_model(ov.Model([product], [left]), "CPU", hint)
    request = compiled.create_infer_request()
    times = []
    for _ in range(8):
        start = time.perf_counter()
        request.infer([values], share_inputs=True, share_outputs=True)
        times.append(time.perf_counter() - start)
    return 2 * _MATRIX**3 / min(times)
