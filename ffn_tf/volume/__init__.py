"""The only room that knows storage: every volume, whatever its format.

    Box, VolumeInfo, Volume      what a region, a volume's face, a volume is
    open, create, from_array     how to get one
    staged, refuse_existing      a new one that appears whole or not at all
    conversion                   copies that go on after a kill, with scales;
                                 made of
      staging, attempt, pyramid    what waits, what is there, coarser scales
    writing                      many boxes at once
    grid                         boxes cut into boxes
    dataset                      the YAML files that describe specimens
    address                      the strings that name volumes
    labels                       objects: renumbered, split into parts, dusted
    contingency                  which ids of two label arrays share voxels
    grey                         grey values, sampled and measured
    views                        volumes made of volumes
    streams                      read, process, write, in bounded memory
    access, tolerance, failures  who reads, what damage means, how reads fail
    verification                 whether and how fast volumes can be read, with
      voxel_statistics, section    what is in them, a picture
    segment_properties, annotation_files, mesh_files    what viewers show
    files                        files that appear whole or not at all

formats, cache: what storage formats provide, and what is kept of remote ones.
Everything is zyx, half-open, in voxels; lengths are in nanometres.
"""

from ffn_tf.volume import (
    address,
    checks,
    contingency,
    dataset,
    failures,
    files,
    grey,
    grid,
    labels,
    streams,
    views,
)
from ffn_tf.volume.box import Box
from ffn_tf.volume.source import VolumeInfo
from ffn_tf.volume.staging import staged
from ffn_tf.volume.store import (
    Volume,
    create,
    from_array,
    open,
    refuse_existing,
)

__all__ = [
    "Box",
    "Volume",
    "VolumeInfo",
    "address",
    "checks",
    "contingency",
    "create",
    "dataset",
    "failures",
    "files",
    "from_array",
    "grey",
    "grid",
    "labels",
    "open",
    "refuse_existing",
    "staged",
    "streams",
    "views",
]
