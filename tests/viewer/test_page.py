"""Page: what it says, and that it needs nothing else."""

import base64
import dataclasses
import html.parser
import io
import re

import numpy as np
from PIL import Image
import pytest

from ffn_tf import volume
from ffn_tf.viewer import findings, page


class Parser(html.parser.HTMLParser):
    """Text, addresses, and whether tags are closed."""

    def __init__(self):
        super().__init__()
        self.text, self.addresses, self.tags, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "img", "rect", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(text):
    found = Parser()
    found.feed(text)
    found.close()
    assert not found.open
    return found


def facts(**changes):
    labels = np.zeros((6, 8, 10), np.int32)
    labels[:, :4] = 1
    labels[:, 4:, :5] = 2
    grey = np.arange(480, dtype=np.uint8).reshape(6, 8, 10)
    start, size = (10, 20, 30), (30.0, 10.0, 10.0)
    found = findings.Findings(
        2,
        360,
        480,
        findings.histogram(np.array([240, 120])),
        findings.histogram(np.array([12, 3])),
        (findings.Object(240, 12, (11, 22, 33)),),
        {"seeds-weak": 1234, "steps": 15, "seeds-too-small": 0},
    )
    values = {
        "title": "out/<b>",
        "done": 1,
        "total": 4,
        "expected_steps": 80.0,
        "found": found,
        "steps": 20,
        "steps_per_s": 2.0,
        "seconds": {"reading": 3.0, "network": 9.0},
        "peak_memory_bytes": 1_500_000_000,
        "shown": volume.from_array(labels, voxel_size_nm=size, start=start),
        "image": volume.from_array(grey, voxel_size_nm=size, start=start),
        "shown_is": "A subvolume",
        "options": {"image": "em.h5:raw", "seed_policy": "PolicyPeaks"},
    }
    return page.Facts(**(values | changes))


def test_what_it_says():
    found = parsed(page.written(facts()))
    text = " ".join(found.text)
    for said in (
        "out/<b>",
        "1 of 4",
        "75.0 %",
        "of 480 voxels",
        "2.0/s",
        "00:30",  # 60 calls left.
        "z = 13; y down, x right",
        "y = 24; z down, x right",
        "x = 35; z down, y right",
        "11, 22, 33",
        "9.0 s 75.0 %",
        "1.50 GB",
        "1,234",
        "PolicyPeaks",
    ):
        assert said in text, said
    assert "too small" not in text  # None was.


def test_it_needs_nothing_else():
    text = page.written(facts())
    found = parsed(text)
    assert not {"script", "link", "iframe"} & {*found.tags}
    assert found.addresses
    assert all(a.startswith("data:image/jpeg;base64,") for a in found.addresses)
    assert "http:" not in text and "https:" not in text and "url(" not in text


def test_slices_have_one_scale():
    """Voxels are 30 x 10 x 10 nm, so z is as long as 18 of y or x."""
    addresses = parsed(page.written(facts())).addresses
    shapes = []
    for address in addresses:
        data = base64.b64decode(address.partition(",")[2])
        with Image.open(io.BytesIO(data)) as image:
            shapes.append((image.height, image.width))
    factor = shapes[0][0] / 8
    assert shapes == [
        (8 * factor, 10 * factor),
        (18 * factor, 10 * factor),
        (18 * factor, 8 * factor),
    ]


def test_reloads_until_it_is_finished():
    assert 'http-equiv="refresh"' in page.written(facts())
    done = page.written(facts(done=4, steps_per_s=0.0))
    assert 'http-equiv="refresh"' not in done
    text = " ".join(parsed(done).text)
    assert "left, about" not in text
    # 20 calls in 12 s, which several may have worked at once.
    assert "1.7/s fields of view, each worker" in text
    assert "all workers" in " ".join(parsed(page.written(facts())).text)


def test_the_second_pass():
    found = dataclasses.replace(
        facts().found,
        counters={"fill-segments": 3, "fill-voxels": 4567, "fill-steps": 89},
    )
    text = " ".join(parsed(page.written(facts(found=found))).text)
    assert "objects of the second pass (--fill) 3" in text
    assert "voxels of the second pass 4,567" in text
    assert "network calls of the second pass 89" in text


def test_colours():
    (one,) = [
        s
        for s in page.slices.read_middle(
            facts().shown,
            facts().shown,
            facts().image,
            facts().shown.domain,
            (1, 1, 1),
        )
        if s.title == "z = 13"
    ]
    painted = page._painted(one).astype(int)
    saturation = painted.max(-1) - painted.min(-1)
    assert (saturation[one.segmentation == 0] == 0).all()
    assert (saturation[one.segmentation > 0] > 30).all()
    first, second = painted[0, 0], painted[5, 0]
    assert abs(first - second).max() > 50


@pytest.mark.parametrize(
    "changes",
    [
        {"found": findings.Findings(), "steps": 0, "seconds": {}, "done": 0},
        {"shown": None, "image": None, "peak_memory_bytes": 0, "options": {}},
        {"image": None, "total": 0},
        {"seconds": {}, "steps_per_s": 0.0},
    ],
)
def test_little_is_known(changes):
    parsed(page.written(facts(**changes)))


def test_bars_are_as_high_as_their_counts():
    drawn = page._bars(findings.histogram(np.array([10, 10, 10, 10, 300])))
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" fill', drawn)]
    assert max(heights) == 150
    assert sorted(heights)[-2] == pytest.approx(150 / 4, abs=0.1)
    labels = re.findall(r">([^<>]+)</text>", drawn)
    assert labels[:3] == ["10", "100", "1 k"]
    ticks = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="mid', drawn)
    assert [float(x) for x in ticks] == [44, 224, 404]
