"""A picture of the viewer: what a browser without a window shows of it.

Any Chromium will do. Without a GPU it draws in software, some seconds to a
minute for a scene; Neuroglancer takes the picture when all that is in view has
been loaded.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--ignore-gpu-blocklist",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
SIZE = (1280, 960)
_PATIENCE_S = 240.0


def browser() -> str:
    """The path of a Chromium.

    Raises:
      FileNotFoundError: there is none.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(
        f"--screenshot needs a browser: found none of {', '.join(_NAMES)} in "
        f"PATH. Install one (apt-get install chromium), or open the link in "
        f"your own."
    )


def taken(
    viewer: Any,
    *,
    size: tuple[int, int] = SIZE,
    patience_s: float = _PATIENCE_S,
) -> bytes:
    """A picture of what `viewer` (Neuroglancer's) shows, as PNG.

    Args:
      viewer: with its state set.
      size: width and height in pixels.
      patience_s: for how long to wait for it.

    Raises:
      FileNotFoundError: there is no browser.
      OSError: the browser ended, or shows nothing in time.
    """
    chromium = browser()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile() as log,
    ):
        # Its sandbox does not start as root.
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        process = subprocess.Popen(
            [
                chromium,
                *_FLAGS,
                *(["--no-sandbox"] if is_root else []),
                f"--window-size={size[0]},{size[1]}",
                f"--user-data-dir={profile}",
                viewer.get_viewer_url(),
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=os.environ | {"TMPDIR": profile},  # All that it leaves.
            start_new_session=True,
        )
        try:
            picture = _awaited(viewer, size, patience_s, process)
        finally:
            ended = process.poll()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if picture is None and ended is None:
            raise OSError(
                f"No picture of the scene in {patience_s:g} s. Without "
                f"--screenshot, the link shows in a browser what it waits for."
            )
        if picture is None:
            log.seek(0)
            said = log.read().decode(errors="replace").strip()[-500:]
            raise OSError(
                f"{chromium} ended, with {ended}, before there was a picture. "
                f"It said: {said}"
            )
        return picture


def _awaited(
    viewer: Any,
    size: tuple[int, int],
    patience_s: float,
    process: subprocess.Popen[bytes],
) -> bytes | None:
    """The picture; None if there is none in time, or the browser ends."""
    with viewer.config_state.txn() as config:
        config.viewer_size = size
        config.show_ui_controls = config.show_panel_borders = False
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    viewer.async_screenshot(answers.put)
    until = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < until:
        try:
            found = answers.get(timeout=0.2).screenshot
        except queue.Empty:
            continue
        if (found.width, found.height) == size:
            return bytes(found.image)
        viewer.async_screenshot(answers.put)  # Taken before it had its size.
    return None
