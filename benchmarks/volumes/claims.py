"""The bars of issue 3 and what was found: the last table, and the last line.

A value of None was not measured, because data is missing or the part was
left out.
"""

from __future__ import annotations

from collections.abc import Mapping

# Key, the bar, what it says.
_BARS = {
    "http_vs_cloudvolume_33": (">= 5", "cutouts over 20 ms, 33^3"),
    "http_vs_cloudvolume_49": (">= 5", "... 49^3"),
    "http_vs_cloudvolume_129": (">= 6", "... 129^3"),
    "http_vs_sync_33": (">= 10", "... 33^3, batched against one by one"),
    "disk_vs_cloudvolume": (">= 5", "local 33^3, nothing cached"),
    "disk_cached_vs_cloudvolume": (">= 10", "local 33^3, all cached"),
    "disk_vs_h5py": (">= 10", "local 33^3, h5py of chunked gzip"),
    "overhead": ("<= 0.05", "Volume over bare TensorStore"),
    "tfdata_http_speedup": (">= 8", "py_function in tf.data, batched, 20 ms"),
    "tfdata_local_speedup": (">= 3", "py_function in tf.data, batched, local"),
    "tfdata_cached_share": (">= 0.5", "of a numpy gather, cached"),
    "labels_ratio_fib25": (">= 100", "uint64 labels against raw"),
    "labels_ratio_pinky40": (">= 100", "... 32 bits counted as 64"),
    "disk_cache_speedup": (">= 10", "second pass, disk cache"),
    "disk_cache_hit_rate": (">= 0.95", "of the second pass"),
    "exa_open_ms": ("<= 10", "to open 10^18 voxels; 10^9: see above"),
    "exa_rss_mb": ("<= 30", "memory that 10^18 voxels take"),
    "lost_voxels": ("<= 0", "4 processes; shared chunks, shared shards"),
}
KEYS = tuple(_BARS)


def is_met(key: str, value: float) -> bool:
    """Whether a value meets its bar."""
    sign, _, bound = _BARS[key][0].partition(" ")
    return value >= float(bound) if sign == ">=" else value <= float(bound)


def print_table(found: Mapping[str, float | None]) -> None:
    print("\nBars")
    for key, (bar, what) in _BARS.items():
        value = found.get(key)
        shown, said = "-", "not measured"
        if value is not None:
            shown = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
            said = "met" if is_met(key, value) else "NOT MET"
        print(f"  {key:<28}{shown:>9}  {bar:<8}{said:<14}{what}")


def line(found: Mapping[str, float | None]) -> dict[str, float | None]:
    """What the last line holds: every key, whatever was measured.

    Raises:
      KeyError: a part found something that nobody asked for.
    """
    unknown = set(found) - set(KEYS)
    if unknown:
        raise KeyError(f"not keys of the issue: {sorted(unknown)}")
    return {key: _rounded(found.get(key)) for key in KEYS}


def _rounded(value: float | None) -> float | None:
    return value if value is None else round(value, 4)
