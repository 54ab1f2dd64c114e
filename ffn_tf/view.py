"""Shows volumes in Neuroglancer: EM, segmentations, meshes, skeletons, points.

    python -m ffn_tf.view ../shared/data/fib25/grayscale_maps.h5:raw \\
        ../shared/data/fib25/groundtruth.h5:stack

Prints a link to open in a browser on this machine, and serves until Ctrl-C. An
address is that of any volume, of any size, or a result of run_inference; each
becomes a layer, image or segmentation by its kind. A voxel size that is not
known is taken from the others. A precomputed segmentation brings its meshes,
skeletons and segment properties. `--skeletons` and `--points` are layers of
their own:

    python -m ffn_tf.view precomputed://out/em precomputed://out/segmentation \\
        --skeletons=out/phantom/truth.npz --points=out/reconcile/segments.csv

Positions are voxels z,y,x of the first volume.

From another machine: `ssh -L 8080:127.0.0.1:8080 HOST`, and here `--port=8080`.
If all that is shown is precomputed in buckets, a second link opens the same
anywhere, without this program; `--link_only` prints that alone.
`--screenshot=FILE.png` writes what a browser without a window (Chromium) shows,
and ends; `--scene=FILE.json` keeps the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import sys
import threading
from typing import Any

from ffn_tf import program
from ffn_tf.inference import subvolume
from ffn_tf.viewer import scene, screenshot, server, sources
from ffn_tf.volume import files


@dataclasses.dataclass(frozen=True)
class Options:
    """What else is shown, and how."""

    position: tuple[int, int, int] | None = program.option(
        None, help="Voxel z,y,x to look at; by default the middle."
    )
    segments: tuple[int, ...] = program.option(
        (),
        help="Ids of segments to choose; by default, if there are meshes or "
        "skeletons, the largest.",
    )
    skeletons: str = program.option(
        "", help="Folder of precomputed skeletons, or .npz, or .swc."
    )
    segment_properties: str = program.option(
        "", help="Folder of them, for the segmentations: of segclr.classify."
    )
    points: str = program.option("", help="Voxels z,y,x: .csv or .npy.")
    layout: str = program.option(
        "4panel", help="Of the panels.", choices=scene.LAYOUTS
    )
    screenshot: str = program.option(
        "", help="Path of a picture (.png) to write, instead of serving."
    )
    scene: str = program.option(
        "", help="Path of a JSON file to write the scene to."
    )
    link_only: bool = program.option(
        False, help="Only print the link that opens anywhere."
    )
    bind_address: str = program.option(
        "127.0.0.1",
        help="Who can connect: 0.0.0.0 lets in whoever has the link.",
    )
    port: int = program.option(0, help="Port to serve on; 0: any.")

    def __post_init__(self) -> None:
        if self.link_only and self.screenshot:
            raise ValueError("--link_only serves nothing to take a picture of.")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"--port: expected 0 to 65535, found {self.port}.")
        if self.screenshot:
            files.local(self.screenshot, "screenshot")
            screenshot.browser()


@contextlib.contextmanager
def composed(
    options: Options, addresses: Sequence[str]
) -> Iterator[scene.Scene]:
    """The scene of these addresses, while their volumes are open.

    Raises:
      FileNotFoundError, ValueError, OSError: something cannot be shown.
    """
    names = sources.names([*addresses, "skeletons", "points"])
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(subvolume.open_any(sources.tolerant(address)))
            for address in addresses
        ]
        volumes = sources.same_size(opened)
        made = scene.Scene(volumes[0])
        for name, address, base in zip(names, addresses, volumes):
            scales = sources.with_coarser(base)
            for coarser in scales[1:]:
                stack.enter_context(coarser)
            made.add_volume(
                name,
                address,
                scales,
                options.segments,
                options.segment_properties,
            )
        if options.skeletons:
            made.add_skeletons(names[-2], options.skeletons)
        if options.points:
            made.add_points(names[-1], options.points)
        made.state(options.position, options.layout)  # Is it inside?
        yield made


def run(
    options: Options,
    addresses: Sequence[str],
    wait: Callable[[], object] = lambda: threading.Event().wait(),
) -> None:
    """Shows it, until `wait` returns, if it is not for a picture or a link.

    Raises:
      FileNotFoundError, ValueError, OSError: something cannot be shown, or
        nobody can listen there.
    """
    with composed(options, addresses) as made:
        shared = made.state(options.position, options.layout)
        is_public = not made.served
        if options.link_only:
            _refuse_local(made)
            _finish(options, shared)
            print(scene.link(shared))
            return
        with server.Server(options.bind_address, options.port) as running:
            running.serve(made.served)
            state = made.state(options.position, options.layout, running.url_of)
            running.viewer.set_state(state)
            _finish(options, state)
            if options.screenshot:
                picture = screenshot.taken(running.viewer)
                with files.atomic_path(options.screenshot) as temporary:
                    temporary.write_bytes(picture)
                program.finish(options.screenshot)
                return
            print(f"Neuroglancer: {running.url} (until Ctrl-C)", flush=True)
            if is_public:
                print(f"For anybody: {scene.link(shared)}", flush=True)
            wait()


def _refuse_local(made: scene.Scene) -> None:
    if made.served:
        raise ValueError(
            f"--link_only: {', '.join(made.served)} can be shown by this "
            f"machine only. Expected precomputed volumes in buckets or behind "
            f"web servers, without what follows a question mark."
        )


def _finish(options: Options, state: dict[str, Any]) -> None:
    if options.scene:
        scene.write(state, options.scene)


def main(argv: list[str]) -> None:
    if len(argv) < 2:
        raise ValueError(
            "expected addresses of volumes: python -m ffn_tf.view ADDRESS..."
        )
    # Who ends it with Ctrl-C has seen what there was.
    with contextlib.suppress(KeyboardInterrupt):
        run(program.from_flags(Options), argv[1:])


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main, max_arguments=sys.maxsize)
