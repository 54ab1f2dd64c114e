"""Lines of the printed tables."""

from __future__ import annotations

from volumes import turns


def heading(text: str) -> None:
    print(f"\n{text}", flush=True)


def rate(name: str, value: float, unit: str, note: str = "") -> None:
    """A row of something per second; three digits count."""
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    print(f"  {name:<46}{shown:>9} {unit:<11}{note}".rstrip(), flush=True)


def remark(text: str) -> None:
    print(f"  {text}", flush=True)


def times(name: str, side: turns.Times, unit: str, note: str = "") -> None:
    """A row with its processor time."""
    rate(name, side.rate, unit, f"{side.cpu_ms:8.3f} ms CPU  {note}")
