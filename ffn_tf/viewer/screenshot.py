"""A picture of the viewer: what a browser without a window shows of it.

Any Chromium will do. Without a GPU it draws in software, some seconds to a
minute for a scene; Neuroglancer takes the picture when all that is in view has
been loaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
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
            start_new_session=True,
        )
        try:
            return _awaited(viewer, size, patience_s, process)
        except OSError as error:
            log.seek(0)
            said = log.read().decode(errors="replace").splitlines()[-3:]
            raise OSError(f"{error} {chromium} said: {said}") from error
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _awaited(
    viewer: Any,
    size: tuple[int, int],
    patience_s: float,
    process: subprocess.Popen[bytes],
) -> bytes:
    found: list[bytes] = []

    def take() -> None:
        found.append(viewer.screenshot(size=size).screenshot.image)

    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    waited = 0.0
    while waiting.is_alive() and waited < patience_s:
        waiting.join(0.5)
        waited += 0.5
        if process.poll() is not None:
            raise OSError(
                f"The browser ended, with {process.returncode}, before there "
                f"was a picture."
            )
    if not found:
        raise OSError(f"No picture in {patience_s:g} s.")
    return found[0]
