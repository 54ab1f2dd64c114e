"""The bucket: volumes, skeletons, embeddings, and names of what is left out.

    release = build(server)          # a second or two, once for all tests

Skeletons are precomputed ones, in shards, of radius and vertices in nm. The
embeddings of a segment are a file ID.csv in SHARD.zip, of 10,000 shards by the
md5 of the id's 64 bytes; rows are node, x, y, z and 64 numbers, without a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np
from servers.gcs_server import GcsServer
import tensorstore as ts

from ffn_tf import phantom, volume
from ffn_tf.volume import dataset
from ffn_tf.volume.formats import scales as scales_lib
from ffn_tf.volume.formats import sharding
from h01 import layout, tissue

BUCKET = "h01-release"
# Sections 5232 to 5247 of the EM at 4 nm, one chunk; its jpeg is cut.
TRUNCATED = volume.Box((5232, 403_456, 542_720), (5248, 403_584, 542_848))
NODE_NM = 1500.0  # From node to node, about.
_COORDINATES_NM = {
    "segclr_embeddings": (32.0, 32.0, 33.0),  # Voxels, xyz.
    "segclr_embeddings_nm": (1.0, 1.0, 1.0),
}
PLACEHOLDERS = {
    "synapse_tables": "json/part-000.json",
    "synapse_annotations": "info",
    "segclr_models": "model.ckpt-355200.index",
    "segclr_positive_pairs": "part-00000-of-00001.tfrecord",
}
_SKELETON_SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "hash": "murmurhash3_x86_128",
    "preshift_bits": 2,
    "minishard_bits": 3,
    "shard_bits": 4,
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}

# Voxels of 64 nm in a region at least: it is read whole.
_COARSE_EDGE = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Release:
    """What was built.

    Attributes:
      server: that serves it.
      tissue: what is in it.
      embeddings: [node, 64] by segment.
      nodes: [node] vertices of the skeleton that were embedded, by segment.
    """

    server: GcsServer
    tissue: tissue.Tissue
    embeddings: Mapping[int, np.ndarray]
    nodes: Mapping[int, np.ndarray]


def build(server: GcsServer) -> Release:
    """Fills the bucket."""
    grown = tissue.grown()
    context = ts.Context()
    for name, planned in layout.VOLUMES.items():
        _write_volume(name, planned, grown, context)
    _truncate(context)
    _write_skeletons(grown, context)
    nodes = {i: _nodes(s) for i, s in grown.skeletons.items()}
    embeddings = {i: _embedding(i, len(n)) for i, n in nodes.items()}
    files = dict(_in_memory(context))
    files |= _resources(Release(server, grown, embeddings, nodes))
    for path, data in files.items():
        server.put(BUCKET, path, data)
    return Release(server, grown, embeddings, nodes)


def _in_memory(context: ts.Context) -> Iterator[tuple[str, bytes]]:
    """Files of the volumes; `info` with what TensorStore does not know."""
    memory = ts.KvStore.open("memory://", context=context).result()
    members = {f"{v.path}/info": v.members for v in layout.VOLUMES.values()}
    for key in memory.list().result():
        path, data = key.decode(), bytes(memory[key])
        if members.get(path):
            data = json.dumps(json.loads(data) | members[path]).encode()
        yield path, data


# -----------------------------------------------------------------------------
# Volumes
# -----------------------------------------------------------------------------


def _write_volume(
    name: str,
    planned: layout.Layout,
    grown: tissue.Tissue,
    context: ts.Context,
) -> None:
    """Voxels of all scales, each scale of the one before it."""
    infos = planned.scales()
    written = dict(_first_scale(name, planned, grown))
    for mip, info in enumerate(infos):
        store = ts.open(planned.spec(info), create=True, context=context)
        view = store.result()[..., 0].T
        with ts.Transaction() as transaction:
            for box, voxels in written.items():
                view.with_transaction(transaction)[box.slices] = voxels
        if mip + 1 == len(infos):
            break
        by = scales_lib.factors(info, infos[mip + 1])
        made = [
            scales_lib.coarser(voxels, box, by, info)
            for box, voxels in written.items()
        ]
        written = {box: voxels for voxels, box in made}


def _first_scale(
    name: str, planned: layout.Layout, grown: tissue.Tissue
) -> Iterator[tuple[volume.Box, np.ndarray]]:
    """What is written of a volume's finest scale."""
    whole = grown.voxels(name)
    for region, box in grown.blocks.items():
        voxels = grown.of_block(region, whole)
        z, y, x = planned.by_zyx
        if y < 2:  # The EM of 4 nm.
            voxels = voxels.repeat(2, 1).repeat(2, 2)
            yield box.scaled((1, 2, 2), (1, 1, 1)), voxels
            continue
        info = volume.VolumeInfo(box, planned.dtype, kind=planned.kind)
        made, there = scales_lib.coarser(voxels, box, (z, y // 2, x // 2), info)
        if z > 1:  # So coarse that whole regions are read; beyond the block.
            more = [(0, max(0, _COARSE_EDGE - n)) for n in there.size]
            made = np.pad(made, more, "symmetric")
            there = volume.Box.from_size(there.start, made.shape)
        yield there, made
    if name == "em":
        yield (
            TRUNCATED,
            whole[:16].repeat(2, 1)[:, :128].repeat(2, 2)[..., :128],
        )


def _truncate(context: ts.Context) -> None:
    """Cuts the jpeg of a chunk, in a shard that is whole."""
    em = layout.VOLUMES["em"]
    info = em.scales()[0]
    chunk = [s // c for s, c in zip(TRUNCATED.start, info.chunk_zyx)]
    number = sharding.morton(
        (chunk[0], chunk[1], chunk[2]), layout.grid_zyx(info)
    )
    shards = ts.KvStore.open(
        {
            "driver": "neuroglancer_uint64_sharded",
            "metadata": layout.sharding(info, em.kind),
            "base": {"driver": "memory", "path": f"{em.path}/4_4_33/"},
        },
        context=context,
    ).result()
    key = number.to_bytes(8, "big")
    data = bytes(shards[key])
    shards[key] = data[: len(data) // 2]


# -----------------------------------------------------------------------------
# Skeletons and embeddings
# -----------------------------------------------------------------------------


def _write_skeletons(grown: tissue.Tissue, context: ts.Context) -> None:
    folder = f"{layout.VOLUMES['c3'].path}/skeletons"
    base = {"driver": "memory", "path": f"{folder}/"}
    shards = ts.KvStore.open(
        {
            "driver": "neuroglancer_uint64_sharded",
            "metadata": _SKELETON_SHARDING,
            "base": base,
        },
        context=context,
    ).result()
    for segment, skeleton in grown.skeletons.items():
        shards[segment.to_bytes(8, "big")] = as_precomputed(skeleton)
    info = {
        "@type": "neuroglancer_skeletons",
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "vertex_attributes": [
            {"id": "radius", "data_type": "float32", "num_components": 1}
        ],
        "sharding": _SKELETON_SHARDING,
    }
    files = ts.KvStore.open(base, context=context).result()
    files["info"] = json.dumps(info).encode()


def as_precomputed(skeleton: phantom.Skeleton) -> bytes:
    """Counts, vertices xyz, edges, radii: Neuroglancer's binary format."""
    vertices = skeleton.vertices_nm[:, ::-1]
    counts = np.array([len(vertices), len(skeleton.edges)], "<u4")
    return b"".join(
        np.ascontiguousarray(array).tobytes()
        for array in (
            counts,
            vertices.astype("<f4"),
            skeleton.edges.astype("<u4"),
            skeleton.radius_nm.astype("<f4"),
        )
    )


def as_swc(skeleton: phantom.Skeleton) -> str:
    """number type x y z radius parent, in nm."""
    parents = dict(skeleton.edges[:, ::-1].tolist())
    lines = []
    for number, (z, y, x) in enumerate(skeleton.vertices_nm.tolist()):
        parent = parents.get(number, -2) + 1
        radius = skeleton.radius_nm[number]
        lines.append(f"{number + 1} 0 {x:g} {y:g} {z:g} {radius:g} {parent}\n")
    return "".join(lines)


def shard_of(segment: int, width: int = 64, num_shards: int = 10_000) -> int:
    """The archive that holds a segment's embeddings."""
    digest = hashlib.md5(segment.to_bytes(width, "little")).digest()
    return int.from_bytes(digest, "little") % num_shards


def _nodes(skeleton: phantom.Skeleton) -> np.ndarray:
    """Vertices a node's distance apart along z: rather few."""
    cells = (skeleton.vertices_nm[:, 0] // NODE_NM).astype(np.int64)
    return np.unique(cells, return_index=True)[1]


def _embedding(segment: int, count: int) -> np.ndarray:
    random = np.random.default_rng(segment)
    return random.standard_normal((count, 64)).astype(np.float32)


def as_csv(release: Release, segment: int, unit_xyz: tuple[float, ...]) -> str:
    """The embeddings of a segment, with coordinates in whole units."""
    vertices = release.tissue.skeletons[segment].vertices_nm
    lines = []
    for node, values in zip(
        release.nodes[segment].tolist(), release.embeddings[segment]
    ):
        place = np.trunc(vertices[node][::-1] / unit_xyz).astype(np.int64)
        numbers = [node, *place.tolist(), *map(repr, values.tolist())]
        lines.append(",".join(f"{number}" for number in numbers) + "\n")
    return "".join(lines)


def _resources(release: Release) -> Iterator[tuple[str, bytes]]:
    """Files that are no volumes."""
    found = dataset.load(tissue.DATASET).resources
    paths = {
        name: item.address.removeprefix(f"gs://{BUCKET}/")
        for name, item in found.items()
    }
    for name, file in PLACEHOLDERS.items():
        yield f"{paths[name]}/{file}", b"{}"
    proofread = {
        f"{segment}.swc": as_swc(release.tissue.skeletons[segment])
        for segment in release.tissue.proofread
    }
    yield paths["proofread_skeletons"], _zipped(proofread)
    for name, unit_xyz in _COORDINATES_NM.items():
        archives: dict[int, dict[str, str]] = {}
        for segment in release.embeddings:
            archive = archives.setdefault(shard_of(segment), {})
            archive[f"{segment}.csv"] = as_csv(release, segment, unit_xyz)
        for shard, files in archives.items():
            yield f"{paths[name]}/{shard}.zip", _zipped(files)
    ids = list(release.tissue.types)
    kinds = [release.tissue.types[segment] for segment in ids]
    label = {"id": "label", "type": "label", "values": kinds}
    about = {
        "@type": "neuroglancer_segment_properties",
        "inline": {"ids": [str(i) for i in ids], "properties": [label]},
    }
    folder = f"{layout.VOLUMES['c3'].path}/segment_properties"
    yield f"{folder}/info", json.dumps(about).encode()


def _zipped(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return archive.getvalue()
