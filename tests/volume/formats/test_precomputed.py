"""One scale of a precomputed volume, from its `info`."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf.volume import address as address_lib
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats import precomputed

INFO = {
    "@type": "neuroglancer_multiscale_volume",
    "type": "image",
    "data_type": "uint8",
    "num_channels": 2,
    "scales": [
        {
            "key": "4_8_40",
            "encoding": "jpeg",
            "resolution": [4, 8, 40],
            "size": [10, 7, 5],
            "voxel_offset": [100, 20, -3],
            "chunk_sizes": [[4, 3, 2], [8, 8, 8]],
        },
        {
            "key": "../coarse",
            "encoding": "compressed_segmentation",
            "resolution": [8, 16.5, 40],
            "size": [5, 4, 5],
            "chunk_sizes": [[4, 3, 2]],
            "compressed_segmentation_block_size": [8, 4, 2],
            "sharding": {"@type": "neuroglancer_uint64_sharded_v1"},
        },
    ],
}


def scale_of(query: str = "", info=INFO) -> precomputed.Scale:
    return precomputed.scale_of(
        address_lib.parse(f"precomputed:///em{query}"), info
    )


def test_axes_are_reversed_once():
    scale = scale_of()
    assert scale.info.domain == Box.from_size((-3, 20, 100), (5, 7, 10))
    assert scale.info.voxel_size_nm == (40.0, 8.0, 4.0)
    assert scale.info.chunk_zyx == (2, 3, 4)
    assert scale.info.dtype == np.uint8
    assert scale.info.kind == "image"
    assert scale.scales_nm == ((40.0, 8.0, 4.0), (40.0, 16.5, 8.0))
    assert scale.grid_zyx == (3, 3, 3)
    assert (scale.channels, scale.encoding, scale.mip) == (2, "jpeg", 0)
    assert scale.sharding is None


def test_another_scale_and_what_may_be_left_out():
    scale = scale_of("?mip=1")
    assert scale == scale_of("?resolution_nm=40,16.5,8")
    assert scale.info.domain.start == (0, 0, 0)
    assert scale.block_xyz == (8, 4, 2)
    assert scale.sharding == {"@type": "neuroglancer_uint64_sharded_v1"}
    assert scale.path("0.shard") == "../coarse/0.shard"


def test_chunks_and_their_names():
    scale = scale_of()
    box = Box((-1, 22, 103), (0, 23, 105))
    assert [scale.name_of(chunk) for chunk in scale.chunks(box)] == [
        "4_8_40/100-104_20-23_-1-1",
        "4_8_40/104-108_20-23_-1-1",
    ]
    (last,) = scale.chunks(Box((1, 26, 109), (2, 27, 110)))
    assert last == Box((1, 26, 108), (2, 27, 110))
    assert scale.index_of(last) == (2, 2, 2)
    assert scale.name_of(last) == "4_8_40/108-110_26-27_1-2"
    assert scale.chunks(Box((0, 20, 100), (0, 25, 105))) == []


@hypothesis.settings(deadline=None)
@hypothesis.given(st.data())
def test_chunks_hold_every_voxel_of_a_box_once(data):
    scale = scale_of()
    domain = scale.info.domain
    start = [data.draw(st.integers(s, e - 1)) for s, e in spans(domain)]
    end = [data.draw(st.integers(s + 1, e)) for s, e in zip(start, domain.end)]
    box = Box(tuple(start), tuple(end))
    seen = np.zeros(domain.size, int)
    for chunk in scale.chunks(box):
        assert domain.contains(chunk)
        assert not chunk.intersected(box).is_empty
        seen[chunk.relative_to(domain.start).slices] += 1
    assert seen.max() == 1
    assert seen[box.relative_to(domain.start).slices].min() == 1


def spans(box: Box):
    return zip(box.start, box.end)


def test_what_is_not_there():
    with pytest.raises(ValueError, match=r"no scale mip=2; .*mip=1: 40, 16.5"):
        scale_of("?mip=2")
    with pytest.raises(ValueError, match=r"channel 2 does not exist; .* are 2"):
        scale_of("?channel=2")


@pytest.mark.parametrize(
    "change",
    [
        {"scales": None},
        {"scales": [{}]},
        {"data_type": "no such type"},
        {"num_channels": "many"},
        {"scales": [INFO["scales"][0] | {"chunk_sizes": []}]},
        {"scales": [INFO["scales"][0] | {"size": [1, 2]}]},
        {"scales": [INFO["scales"][0] | {"resolution": [4, 8, 0]}]},
    ],
    ids=str,
)
def test_an_info_that_describes_no_volume(change):
    with pytest.raises(OSError, match="/em/info describes no volume"):
        scale_of("", INFO | change)


def test_attributes_are_a_step_of_processing():
    ours = {"by": "ffn_tf", "method": {"ffn_tf": {"a": 1}}}
    other = {"by": "someone", "method": "by hand"}
    for steps, expected in (
        ([other, ours], {"a": 1}),
        ([other], {}),
        ([], {}),
    ):
        found = precomputed.attributes_of({"processing": steps})
        assert found == expected
    assert precomputed.attributes_of(None) == {}
