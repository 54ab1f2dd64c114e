"""(3) Run: the embeddings of all places, as jobs.

    OUTPUT/
      embed.json           what it is made of; other options are refused
      places/              what is to be done (places.py)
      nodes/, edges.parquet    the table (table.py), a part for each task
      reading*.json        what was read for it, how fast (statistics.py)

Cutouts are read while others are in the encoder (ahead.py). A part appears
whole or not at all, so a killed run goes on where it was, and no node is there
twice. Workers open the volumes and the encoder by themselves.
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any, NamedTuple

import numpy as np

from ffn_tf import model as ffn_model
from ffn_tf import program, skeleton
from ffn_tf.jobs import tasks
from ffn_tf.volume import attempt, files, traffic
from segclr import model
from segclr.cutouts import agglomeration, reading
from segclr.embedding import ahead, statistics, table
from segclr.embedding import engine as engine_lib
from segclr.embedding import places as places_lib

_BLOCK_CUTOUTS = 2  # Edge of a block of space, in cutouts.
_MOST = 512  # Places of a task.
# Cutouts that are read at once; there are three times as many in memory.
_AT_ONCE = 8
_COUNTED = 100_000  # Places whose chunks are counted at once.


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what embeddings are made."""

    encoder: str = program.option(
        help="Folder of an encoder: a checkpoint of segclr.train."
    )
    image: str = program.option(
        help="Address of the EM, of the scale that the encoder is made for."
    )
    segmentation: str = program.option(
        help="Address of the segmentation, of any scale."
    )
    output_dir: str = program.option(help="Folder for the table.")
    skeletons: str = program.option(
        "",
        help="Skeletons of the segments (ffn_tf.skeletonize); by default "
        "those in the folder of a precomputed segmentation.",
    )
    nodes: str = program.option(
        "", help="CSV of segment,z_nm,y_nm,x_nm: these, and no skeletons."
    )
    spacing_nm: float = program.option(
        1500.0, help="Between nodes along a neurite."
    )
    kind: str = program.option(
        "masked_em",
        help="What the encoder sees of a place, as in its training.",
        choices=reading.KINDS,
    )
    agglomeration: str = program.option(
        "", help="Table of the object of each segment, .npz or .csv."
    )
    dtype: str = program.option(
        "float32", help="Of the stored numbers.", choices=table.DTYPES
    )
    engine: str = program.option(
        "auto", help="What runs the encoder.", choices=engine_lib.NAMES
    )
    compute_dtype: str = program.option(
        "auto", help="Its arithmetic.", choices=engine_lib.DTYPES
    )
    batch_size: int = program.option(1, help="Cutouts of one call.")
    skip_empty: bool = program.option(
        False,
        help="Leave out nodes whose cutout has no voxel of their segment, "
        "instead of ending.",
    )


@dataclasses.dataclass(frozen=True)
class Part:
    """What has become of a task.

    Attributes:
      nodes: embedded.
      outside: of those, whose voxel is not in the segment.
      empty: left out.
      statistics: of reading.
    """

    nodes: int
    outside: int
    empty: int
    statistics: statistics.Statistics


class _Batch(NamedTuple):
    """What the encoder is given, and how long that took to have.

    Attributes:
      cutouts: [n, z, y, x] float32.
      is_empty: [n] bool, no voxel of the segment.
      is_inside: [n] bool, see reading.Batch.
      storage_seconds, host_seconds: see statistics.
    """

    cutouts: np.ndarray
    is_empty: np.ndarray
    is_inside: np.ndarray
    storage_seconds: float
    host_seconds: float


class Embedding:
    """The embeddings of one run. A context manager, which closes volumes.

    Args:
      options: of what.

    Attributes:
      folder: of the table.
      engine, compute_dtype: what auto is.

    Raises:
      FileExistsError: the folder holds embeddings of something else.
      FileNotFoundError: no encoder, volume, or skeletons.
      ValueError: what does not go together.
      OSError: reading or writing failed.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.folder = files.local(options.output_dir, "output_dir")
        self.engine, self.compute_dtype = engine_lib.resolved(
            options.engine, options.compute_dtype
        )
        if options.batch_size < 1:
            raise ValueError(
                f"--batch_size: expected 1 or more: {options.batch_size}."
            )
        self._encoder = model.load(options.encoder)
        self._cutouts = reading.Cutouts(
            options.image,
            options.segmentation,
            self._encoder.size_zyx,
            agglomeration.read(options.agglomeration),
            self._encoder.voxel_size_nm,
        )
        self._running: engine_lib.Engine | None = None
        if options.nodes and options.skeletons:
            raise ValueError("Give --nodes or --skeletons, not both.")

    def __enter__(self) -> Embedding:
        return self

    def __exit__(self, *_: object) -> None:
        self._cutouts.close()

    # -- what is to be done --------------------------------------------------

    def begin(self) -> places_lib.Places:
        """Notes what it is made of, finds the places, writes the edges.

        Raises:
          as the class; a place outside of the volume.
        """
        self._check_folder()
        places = places_lib.load(self.folder / "places")
        if places is None:
            # What is wrong with the places is said before there is a folder.
            places, edges = self._found()
            self._cutouts.voxels_zyx(places.position)  # All are inside.
            size = np.array(self._encoder.size_zyx)
            edge = size * self._cutouts.image.voxel_size_nm
            places = places_lib.ordered(
                places, (_BLOCK_CUTOUTS * edge).tolist(), edge[0] / 2, _MOST
            )
            self._describe()
            table.write_edges(self.folder, edges)
            places.save(self.folder / "places")
        return places

    def _describe(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {
            "program": "segclr.embed",
            "code": program.describe_code(),
            "options": self._decides(),
            "encoder_config": self._encoder.config,
        }
        files.write_text(
            self.folder / table.EMBEDDINGS, json.dumps(told, indent=1)
        )

    def _found(self) -> tuple[places_lib.Places, places_lib.Edges]:
        options = self._options
        if options.nodes:
            return places_lib.read(options.nodes)
        lines = options.skeletons or places_lib.skeletons_beside(
            options.segmentation
        )
        return places_lib.found(skeleton.read(lines), options.spacing_nm)

    def _decides(self) -> dict[str, Any]:
        """What must be the same when a run goes on."""
        left_out = {"output_dir", "engine", "batch_size"}
        decides: dict[str, Any] = json.loads(
            json.dumps(
                {
                    name: value
                    for name, value in dataclasses.asdict(self._options).items()
                    if name not in left_out
                }
                | {
                    "compute_dtype": self.compute_dtype,
                    "encoder": ffn_model.describe(self._options.encoder),
                }
            )
        )
        return decides

    def _check_folder(self) -> None:
        if not (self.folder / table.EMBEDDINGS).exists():
            return
        before = table.options_of(self.folder)
        if changes := attempt.changes(before, self._decides()):
            raise FileExistsError(
                f"{self.folder}: holds embeddings with other options "
                f"({changes}); give the same, or another --output_dir."
            )

    def todo(self, places: places_lib.Places) -> list[int]:
        """Tasks whose part is not there."""
        return [
            task
            for task in range(places.num_tasks)
            if not table.part(self.folder, task).exists()
        ]

    def chunks_touched(self, places: places_lib.Places) -> int:
        """Chunks of image and segmentation that any node touches."""
        seen = [np.zeros(0, np.int64)] * 2
        for start in range(0, len(places), _COUNTED):
            some = places.position[start : start + _COUNTED]
            both = self._cutouts.chunks(self._cutouts.voxels_zyx(some))
            seen = [np.union1d(a, b) for a, b in zip(seen, both)]
        return sum(map(len, seen))

    # -- doing it ------------------------------------------------------------

    def embed(self, task: int) -> Part:
        """Writes the part of a task.

        Raises:
          ValueError: a cutout without any voxel of its segment.
          OSError: voxels cannot be read, or the part not written.
        """
        places = places_lib.load(self.folder / "places")
        if places is None:
            raise FileNotFoundError(f"{self.folder}/places: not there.")
        start, before = time.perf_counter(), traffic.so_far()
        mine = places.of_task(task)
        segment, position = places.segment[mine], places.position[mine]
        voxels = self._cutouts.voxels_zyx(position)
        found, inside, empty = [], [], []
        storage = host = network = 0.0
        batches = ahead.Ahead(
            lambda some: self._read(voxels[some], segment[some]),
            [slice(i, i + _AT_ONCE) for i in range(0, len(segment), _AT_ONCE)],
        )
        for batch in batches:
            empty.append(batch.is_empty)
            inside.append(batch.is_inside)
            began = time.perf_counter()
            found.append(self._run(batch.cutouts))
            network += time.perf_counter() - began
            storage += batch.storage_seconds
            host += batch.host_seconds
        is_empty = np.concatenate(empty)
        if is_empty.any() and not self._options.skip_empty:
            at = np.flatnonzero(is_empty)[0]
            raise ValueError(
                f"No voxel of segment {segment[at]} around its node at z, y, x "
                f"= {position[at].tolist()} nm ({is_empty.sum()} such nodes of "
                f"{len(segment)} in this part): are the skeletons of this "
                f"segmentation? --skip_empty leaves such nodes out."
            )
        kept = ~is_empty
        nodes = table.Nodes(
            segment[kept],
            places.node[mine][kept],
            position[kept],
            places.radius[mine][kept],
            np.concatenate(inside)[kept],
            np.concatenate(found)[kept].astype(self._options.dtype),
        )
        table.write_nodes(table.part(self.folder, task), nodes)
        read = traffic.so_far().since(before)
        spent = statistics.Statistics(
            len(nodes),
            read.wanted,
            read.reads,
            read.bytes_read,
            storage,
            host,
            network,
            batches.waited,
            time.perf_counter() - start,
        )
        return Part(
            len(nodes),
            int((~nodes.is_inside).sum()),
            int(is_empty.sum()),
            spent,
        )

    def _read(self, voxels: np.ndarray, segments: np.ndarray) -> _Batch:
        """Cutouts around voxels; in a thread of its own."""
        start = time.perf_counter()
        seen = self._cutouts.read(voxels, segments)
        made = seen.cutouts(self._options.kind)
        is_empty = np.logical_not(seen.mask.any(axis=(1, 2, 3)))
        seconds = time.perf_counter() - start - seen.storage_seconds
        return _Batch(
            made, is_empty, seen.is_inside, seen.storage_seconds, seconds
        )

    def _run(self, cutouts: np.ndarray) -> np.ndarray:
        if self._running is None:
            self._running = engine_lib.create(
                self._encoder,
                self.engine,
                self.compute_dtype,
                self._options.batch_size,
            )
        return self._running.embed(cutouts)


def worker(options: Options, index: int) -> tasks.Work:
    """Does tasks, in whichever process; see jobs.run."""
    del index
    return tasks.one_by_one(Embedding(options).embed)
