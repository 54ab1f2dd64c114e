"""What holds for every view: the table, then the laws over it."""

from collections.abc import Callable
import dataclasses
import time
import tracemalloc

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import place as place_lib
from ffn_tf.volume.formats import chunked
from ffn_tf.volume.views import border, combine, index, resample, values, view

Box = volume.Box
START = (-5, 10, 3)
# Every voxel different and not 0, no two axes of equal length.
VOXELS = np.arange(1, 7 * 11 * 13 + 1, dtype=np.uint16).reshape(7, 11, 13)
DOMAIN = Box.from_size(START, VOXELS.shape)
SIZE_NM = (40.0, 8.0, 4.0)
CHUNK = (2, 4, 8)
CORNER = Box((-4, 12, 5), (1, 20, 15))


@dataclasses.dataclass(frozen=True)
class Case:
    """A view, and what numpy makes of the whole array.

    Attributes:
      make: of a volume.
      expected: of its array [z, y, x].
      start: of the view's domain.
      size_nm, chunk, dtype: of the view.
    """

    make: Callable[[volume.Volume], volume.Volume]
    expected: Callable[[np.ndarray], np.ndarray]
    start: tuple[int, int, int] = START
    size_nm: tuple[float, float, float] = SIZE_NM
    chunk: tuple[int, int, int] = CHUNK
    dtype: type = np.uint16


def cells(array, factors, function):
    """`function` of the voxels of each cell, one by one, in Python."""
    low = [s // f for s, f in zip(START, factors)]
    high = [-(-(s + n) // f) for s, n, f in zip(START, array.shape, factors)]
    result = np.zeros([h - lo for lo, h in zip(low, high)], array.dtype)
    for place in np.ndindex(*result.shape):
        slices = []
        for p, lo, f, s in zip(place, low, factors, START):
            first = (p + lo) * f - s
            slices.append(slice(max(first, 0), first + f))
        result[place] = function(array[tuple(slices)])
    return result


def mean(cell):
    return round(cell.astype(float).mean())


def mask_volume(like):
    """Multiples of 3 are kept; as coarse as 1 x 2 x 2 voxels."""
    coarse = volume.from_array(
        np.arange(9 * 8 * 9, dtype=np.uint8).reshape(9, 8, 9) % 3 == 0,
        voxel_size_nm=(40, 16, 8),
        start=(-6, 4, 1),
    )
    return combine.masked(like, coarse, fill=9)


def masked_array(array):
    z, y, x = np.ogrid[DOMAIN.slices]
    at = ((z + 6) * 8 + y // 2 - 4) * 9 + x // 2 - 1
    return np.where(at % 256 % 3 == 0, array, np.uint16(9))


def in_pieces(whole):
    parts = [Box((-5, 10, a), (2, 21, b)) for a, b in ((9, 16), (3, 9))]
    return combine.concatenated([index.cropped(whole, b) for b in parts], "x")


def stacked(whole):
    parts = [Box((-5, a, 3), (2, b, 16)) for a, b in ((10, 14), (14, 21))]
    first, second = (index.cropped(whole, box) for box in parts)
    return combine.stacked([first, index.translated(second, (0, 0, 0))], "y")


def overlaid(whole):
    corner = index.cropped(whole, CORNER)
    return combine.overlaid([whole, values.cast(corner, np.uint16)])


CASES = {
    "cropped": Case(
        lambda v: index.cropped(v, CORNER),
        lambda a: a[1:6, 2:10, 2:12],
        CORNER.start,
    ),
    "translated": Case(
        lambda v: index.translated(v, (1, -2, 30)), lambda a: a, (1, -2, 30)
    ),
    "strided": Case(
        lambda v: index.strided(v, (3, 2, 5)),
        lambda a: a[2::3, ::2, 2::5],
        (-1, 5, 1),
        (120, 16, 20),
        (1, 2, 2),
    ),
    "transposed": Case(
        lambda v: index.transposed(v, "xzy"),
        lambda a: a.transpose(2, 0, 1),
        (3, -5, 10),
        (4, 40, 8),
        (8, 2, 4),
    ),
    "flipped": Case(
        lambda v: index.flipped(v, "xz"), lambda a: np.flip(a, (0, 2))
    ),
    "filled": Case(
        lambda v: border.padded(v, DOMAIN.padded((1, 2, 3)), fill=7),
        lambda a: np.pad(a, ((1, 1), (2, 2), (3, 3)), constant_values=7),
        (-6, 8, 0),
    ),
    "edge": Case(
        lambda v: border.padded(v, DOMAIN.padded((1, 2, 3)), mode="edge"),
        lambda a: np.pad(a, ((1, 1), (2, 2), (3, 3)), "edge"),
        (-6, 8, 0),
    ),
    "reflect": Case(
        lambda v: border.padded(v, DOMAIN.padded((9, 0, 3)), mode="reflect"),
        lambda a: np.pad(a, ((9, 9), (0, 0), (3, 3)), "reflect"),
        (-14, 10, 0),
    ),
    "broadcast": Case(
        lambda v: border.broadcast(
            index.cropped(v, Box((-2, 10, 3), (-1, 21, 16))),
            Box((3, 10, 3), (7, 21, 16)),
        ),
        lambda a: np.repeat(a[3:4], 4, axis=0),
        (3, 10, 3),
    ),
    "mean": Case(
        lambda v: resample.downsampled(v, (2, 1, 3)),
        lambda a: cells(a, (2, 1, 3), mean),
        (-3, 10, 1),
        (80, 8, 12),
        (1, 4, 3),
    ),
    "max": Case(
        lambda v: resample.downsampled(v, (4, 4, 16), "max"),
        lambda a: cells(a, (4, 4, 16), np.max),
        (-2, 2, 0),
        (160, 32, 64),
        (1, 1, 1),
    ),
    "upsampled": Case(
        lambda v: resample.upsampled(v, (1, 2, 3)),
        lambda a: a.repeat(2, 1).repeat(3, 2),
        (-5, 20, 9),
        (40, 4, 4 / 3),
        (2, 8, 24),
    ),
    "resampled": Case(
        lambda v: resample.resampled(v, (20, 16, 4), "min"),
        lambda a: cells(a, (1, 2, 1), np.min).repeat(2, 0),
        (-10, 5, 3),
        (20, 16, 4),
        (4, 2, 8),
    ),
    "cast": Case(
        lambda v: values.cast(v, np.uint8),
        lambda a: np.minimum(a, 255).astype(np.uint8),
        dtype=np.uint8,
    ),
    "rescaled": Case(
        lambda v: values.rescaled(v, 0.5, -3),
        lambda a: a.astype(np.float32) / 2 - 3,
        dtype=np.float32,
    ),
    "masked": Case(mask_volume, masked_array),
    "concatenated": Case(in_pieces, lambda a: a),
    "stacked": Case(stacked, lambda a: a),
    "overlaid": Case(overlaid, lambda a: a),
    "a chain": Case(
        lambda v: index.flipped(
            resample.upsampled(
                index.transposed(index.cropped(v, CORNER), "xyz"), (2, 1, 1)
            ),
            "y",
        ),
        lambda a: np.flip(a[1:6, 2:10, 2:12].T.repeat(2, 0), 1),
        (10, 12, -4),
        (2, 8, 40),
        (16, 4, 2),
    ),
}
# Those that show each voxel of below at most once or repeated, unchanged.
UNCHANGED = [
    "cropped",
    "translated",
    "transposed",
    "flipped",
    "edge",
    "reflect",
    "broadcast",
    "upsampled",
    "concatenated",
    "stacked",
    "overlaid",
    "a chain",
]
every_view = pytest.mark.parametrize("name", CASES)
fast = hypothesis.settings(deadline=None, max_examples=25)


@pytest.fixture
def below(counted):
    return counted(VOXELS.copy(), START, voxel_size_nm=SIZE_NM, chunk_zyx=CHUNK)


def box_in(data, domain):
    """A box inside `domain`; rarely an empty one."""
    ends = [
        sorted(data.draw(st.tuples(st.integers(s, e), st.integers(s, e))))
        for s, e in zip(domain.start, domain.end)
    ]
    return Box(*zip(*ends))


def part(whole, made, box):
    return whole[box.relative_to(made.domain.start).slices]


@every_view
def test_what_it_is_and_what_it_holds(name, below):
    case, (whole, source) = CASES[name], below
    made = case.make(whole)
    expected = case.expected(VOXELS)
    assert made.domain == Box.from_size(case.start, expected.shape)
    assert made.voxel_size_nm == pytest.approx(case.size_nm)
    assert made.info.chunk_zyx == case.chunk
    assert made.info.kind == "image"
    assert made.dtype == case.dtype
    assert made.attributes == {"made": "by hand"}
    assert "below" in made.address
    assert source.requests == []  # nothing until now
    voxels = made.read()
    assert voxels.dtype == made.dtype
    assert voxels.flags.c_contiguous and voxels.flags.writeable
    np.testing.assert_array_equal(voxels, expected)
    voxels[:] = 0
    np.testing.assert_array_equal(made.read(), expected)


@every_view
@fast
@hypothesis.given(data=st.data())
def test_boxes_of_it(name, counted, data):
    case = CASES[name]
    whole, _ = counted(VOXELS, START, voxel_size_nm=SIZE_NM, chunk_zyx=CHUNK)
    made = case.make(whole)
    expected = case.expected(VOXELS)
    boxes = [box_in(data, made.domain) for _ in range(3)]
    for box, voxels in zip(boxes, made.read_many(boxes)):
        assert voxels.dtype == made.dtype
        np.testing.assert_array_equal(voxels, part(expected, made, box))
        np.testing.assert_array_equal(made.read(box), voxels)


@every_view
def test_many_boxes_are_one_request(name, below):
    """Of each volume below, that is: a whole and its crop are two."""
    whole, source = below
    made = CASES[name].make(whole)
    first = Box(made.domain.start, [s + 1 for s in made.domain.start])
    last = Box([e - 1 for e in made.domain.end], made.domain.end)
    made.read_many([last, first, made.domain, first])
    assert len(source.requests) == (
        2 if name in ("concatenated", "stacked", "overlaid") else 1
    )


@pytest.mark.parametrize("name", UNCHANGED)
@fast
@hypothesis.given(data=st.data())
def test_only_voxels_that_are_seen_are_read(name, counted, data):
    """Every voxel is different: as many as there are different ones."""
    whole, source = counted(
        VOXELS, START, voxel_size_nm=SIZE_NM, chunk_zyx=CHUNK
    )
    made = CASES[name].make(whole)
    voxels = made.read(box_in(data, made.domain))
    assert source.num_voxels == len(np.unique(voxels))


@pytest.fixture
def served(http_server, http_folder):
    """served(): VOXELS on a web server, opened anew; nothing is in memory."""
    kvstore = {"driver": "file", "path": f"{http_folder}/"}
    spec = volumes.precomputed(
        kvstore,
        VOXELS.dtype,
        size=VOXELS.shape[::-1],
        voxel_offset=START[::-1],
        chunk_size=CHUNK[::-1],
        resolution=SIZE_NM[::-1],
        encoding="raw",
    )
    ts.open(spec, create=True).result()[..., 0].T.write(VOXELS).result()

    def make():
        place_lib.context.cache_clear()  # So is what this process keeps.
        opened = volume.open(f"{http_server.url}/{http_folder.name}")
        assert opened.domain == DOMAIN and opened.info.chunk_zyx == CHUNK
        http_server.reset()
        return opened

    return make


@pytest.mark.parametrize("name", UNCHANGED)
def test_only_bytes_of_chunks_that_are_seen_are_read(name, served, http_server):
    """Counted by the server; the voxels say in which chunks they are."""
    whole = CASES[name].expected(VOXELS)
    domain = Box.from_size(CASES[name].start, whole.shape)
    size = [-(-n // 4) for n in domain.size]
    for share in (0, 0.5, 1):
        start = [
            s + int(share * (n - m))
            for s, n, m in zip(domain.start, domain.size, size)
        ]
        box = Box.from_size(start, size)
        made = CASES[name].make(served())
        assert http_server.state().total == 0
        voxels = made.read(box)
        np.testing.assert_array_equal(voxels, part(whole, made, box))
        zyx = np.unravel_index(np.unique(voxels) - 1, VOXELS.shape)
        seen = set(zip(*(at // c for at, c in zip(zyx, CHUNK))))
        expected = sum(
            Box.from_size(np.multiply(index, CHUNK), CHUNK)
            .clipped(Box.from_shape(VOXELS.shape))
            .num_voxels
            for index in seen
        )
        assert http_server.state().bytes_sent == expected * VOXELS.itemsize
        assert 0 < expected < VOXELS.size / 2


@every_view
@hypothesis.settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_more_than_the_limit_is_read_in_turns(name, below, monkeypatch, data):
    monkeypatch.setattr(view, "LIMIT", 100)
    whole, source = below
    source.requests.clear()
    made = CASES[name].make(whole)
    expected = CASES[name].expected(VOXELS)
    boxes = [box_in(data, made.domain) for _ in range(2)]
    for box, voxels in zip(boxes, made.read_many(boxes)):
        np.testing.assert_array_equal(voxels, part(expected, made, box))
    # cropped, translated and masked hand boxes on as they are, and one voxel
    # of max is made of 256; all others can do with 100 bytes.
    if name not in ("cropped", "translated", "masked", "max"):
        for boxes in source.requests:
            assert sum(b.num_voxels for b in boxes) * 2 <= 100


@every_view
def test_it_is_only_read(name, below):
    whole, _ = below
    made = CASES[name].make(whole)
    expected = CASES[name].expected(VOXELS)
    with pytest.raises(ValueError, match=r"only read; write to|mode \"r\+\""):
        made.write(made.domain, expected)
    with pytest.raises(ValueError, match=r"below.* is not inside"):
        made.read(made.domain.padded(1))


@every_view
def test_closing_it_closes_what_is_below(name, below):
    whole, source = below
    with CASES[name].make(whole):
        assert not source.closed
    assert source.closed


HUGE = {
    "cropped": lambda v: index.cropped(v, v.domain.padded(-3)),
    "translated": lambda v: index.translated(v, (0, 0, 0)),
    "strided": lambda v: index.strided(v, (1, 2, 3)),
    "transposed": lambda v: index.transposed(v, "xyz"),
    "flipped": lambda v: index.flipped(v, "zyx"),
    "filled": lambda v: border.padded(v, v.domain.padded(9)),
    "reflect": lambda v: border.padded(v, v.domain.padded(9), mode="reflect"),
    "broadcast": lambda v: border.broadcast(
        index.cropped(v, Box((5, 10, 5), (6, 10**6 + 10, 10**6 + 5))), v.domain
    ),
    "downsampled": lambda v: resample.downsampled(v, (1, 2, 2)),
    "upsampled": lambda v: resample.upsampled(v, (4, 4, 4)),
    "resampled": lambda v: resample.resampled(v, (40, 4, 8)),
    "cast": lambda v: values.cast(v, np.uint8),
    "rescaled": lambda v: values.rescaled(v, 2, 1),
    "masked": lambda v: combine.masked(v, values.cast(v, bool)),
    "concatenated": lambda v: combine.concatenated(
        [v, index.translated(v, (v.domain.end[0], 10, 5))], "z"
    ),
    "stacked": lambda v: combine.stacked([v, v], "x"),
    "overlaid": lambda v: combine.overlaid([v, index.translated(v, (9, 9, 9))]),
}


@pytest.mark.parametrize("name", HUGE)
def test_an_exabyte(name, exabyte):
    whole, source = exabyte
    HUGE[name](whole).read(Box((50,) * 3, (51,) * 3))  # warm
    source.num_voxels = 0
    tracemalloc.start()
    began = time.process_time()
    made = HUGE[name](whole)
    domain = made.domain
    middle = [(s + e) // 2 for s, e in zip(domain.start, domain.end)]
    corners = [domain.start, middle, [e - 8 for e in domain.end]]
    found = made.read_many([Box.from_size(c, (6, 7, 8)) for c in corners])
    seconds = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [v.shape for v in found] == [(6, 7, 8)] * 3
    assert source.num_voxels < 3 * 6 * 7 * 8 * 7
    assert peak < 1_000_000
    assert seconds < 0.5  # of the processor; a few milliseconds, mostly


def test_a_view_of_tensorstore_s_virtual_volume():
    """10^18 voxels whose reading is TensorStore's."""

    def fill(domain, array, _):
        z, y, x = np.ogrid[tuple(slice(*along) for along in zip(*ends(domain)))]
        array[...] = (z + y + x) % 251

    def ends(domain):
        return domain.inclusive_min, domain.exclusive_max

    size = 10**6
    store = ts.virtual_chunked(
        fill,
        dtype=np.uint8,
        shape=[size] * 3,
        chunk_layout=ts.ChunkLayout(chunk_shape=[64] * 3),
    )
    info = volume.VolumeInfo(Box.from_shape([size] * 3), np.dtype(np.uint8))
    whole = volume.Volume(
        chunked.ChunkedSource(store, info, {}, "virtual"), "v", writable=False
    )
    made = resample.downsampled(index.transposed(whole, "xyz"), 2, "max")
    assert made.domain.num_voxels * 8 == 10**18
    box = Box.from_size((250_000, 3, 499_990), (5, 6, 7))
    z, y, x = np.ogrid[box.scaled((2,) * 3, (1,) * 3).slices]
    all_voxels = (z + y + x) % 251
    expected = all_voxels.reshape(5, 2, 6, 2, 7, 2).max(axis=(1, 3, 5))
    np.testing.assert_array_equal(made.read(box), expected)
