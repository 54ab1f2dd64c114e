"""Views as YAML says them: each step, then what is wrong."""

import pathlib
import re

import h5py
import numpy as np
import pytest
import yaml

from ffn_tf import volume
from ffn_tf.volume.views import (
    border,
    combine,
    description,
    index,
    resample,
    values,
)

Box = volume.Box
VOXELS = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
SIZE_NM = (40.0, 8.0, 4.0)
BOX = Box((1, 2, 3), (3, 6, 8))


@pytest.fixture
def named(counted):
    """open_named, whose attribute `sources` has what it opened."""
    sources = {}

    def make(name):
        start = {"after": (4, 0, 0)}.get(name, (0, 0, 0))
        if name not in ("em", "tissue", "after", "patch", "section"):
            raise ValueError(f"no volume {name!r}")
        array = VOXELS % 3 if name == "tissue" else VOXELS
        array = array[:1] if name == "section" else array
        made, sources[name] = counted(array, start, voxel_size_nm=SIZE_NM)
        return made

    make.sources = sources
    return make


STEPS = {
    "crop: {start_zyx: [1, 2, 3], size_zyx: [2, 4, 5]}": lambda v, _: (
        index.cropped(v, BOX)
    ),
    "translate: {start_zyx: [5, -6, 7]}": lambda v, _: index.translated(
        v, (5, -6, 7)
    ),
    "stride: {step_zyx: [1, 2, 3]}": lambda v, _: index.strided(v, (1, 2, 3)),
    "transpose: {axes: xyz}": lambda v, _: index.transposed(v, "xyz"),
    "flip: {axes: zy}": lambda v, _: index.flipped(v, "zy"),
    "pad: {margin_zyx: [1, 2, 3], mode: reflect}": lambda v, _: border.padded(
        v, v.domain.padded((1, 2, 3)), mode="reflect"
    ),
    "pad_to: {start_zyx: [-1, -1, 0], size_zyx: [9, 8, 8], fill: 7}": (
        lambda v, _: border.padded(v, Box((-1, -1, 0), (8, 7, 8)), fill=7)
    ),
    "broadcast: {start_zyx: [0, 0, 0], size_zyx: [4, 6, 8]}": lambda v, _: v,
    "downsample: {factors_zyx: [1, 2, 2], method: max}": lambda v, _: (
        resample.downsampled(v, (1, 2, 2), "max")
    ),
    "upsample: {factors_zyx: [1, 2, 3]}": lambda v, _: resample.upsampled(
        v, (1, 2, 3)
    ),
    "resample: {voxel_size_nm: [40, 8, 8], method: min}": lambda v, _: (
        resample.resampled(v, (40, 8, 8), "min")
    ),
    "cast: {dtype: float32, exact: true}": lambda v, _: values.cast(
        v, np.float32, exact=True
    ),
    "rescale: {scale: 0.5, offset: -3, dtype: int8}": lambda v, _: (
        values.rescaled(v, 0.5, -3, np.int8)
    ),
    "mask: {by: tissue, keep: [1, 2], fill: 9}": lambda v, named: (
        combine.masked(v, named("tissue"), keep=[1, 2], fill=9)
    ),
    "overlay: {by: after, fill: 5}": lambda v, named: combine.overlaid(
        [v, named("after")], fill=5
    ),
    "concatenate: {by: [after], axis: z}": lambda v, named: (
        combine.concatenated([v, named("after")], "z")
    ),
    "stack: {by: [patch, after], axis: y}": lambda v, named: combine.stacked(
        [v, named("patch"), named("after")], "y"
    ),
}


@pytest.mark.parametrize("text", STEPS)
def test_each_step(text, named):
    steps = description.parsed([yaml.safe_load("{" + text + "}")], "here")
    found = description.applied(named("em"), steps, named)
    expected = STEPS[text](named("em"), named)
    assert found.info == expected.info
    np.testing.assert_array_equal(found.read(), expected.read())


def test_every_step_is_tested_and_told():
    assert [text.split(":")[0] for text in STEPS] == list(description._RULES)
    for name in description._RULES:
        assert f"\n    {name} " in description.__doc__


def test_the_example_of_the_module(counted, named):
    text = description.__doc__.split("\n\n")[1].replace("tissue_mask", "tissue")
    (steps,) = yaml.safe_load(text).values()
    big, source = counted(
        np.broadcast_to(np.uint16(7), (100, 2600, 2600)),
        voxel_size_nm=(40, 4, 2),
    )
    parsed = description.parsed(steps, "here")
    assert [step.name for step in parsed] == [
        "crop",
        "downsample",
        "cast",
        "mask",
    ]
    mask, _ = counted(
        np.broadcast_to(np.uint8(1), (100, 1280, 1280)),
        voxel_size_nm=(40, 8, 4),
    )
    made = description.applied(big, parsed, lambda name: mask)
    assert made.domain == Box((0, 256, 256), (100, 1280, 1280))
    assert made.voxel_size_nm == (40, 8, 4)
    assert made.dtype == np.uint8
    assert source.requests == []
    assert (made.read(Box((3, 256, 300), (5, 260, 310))) == 7).all()
    assert source.requests == [[Box((3, 512, 600), (5, 520, 620))]]


def test_a_volume_made_of_another(named):
    text = """
    of: em
    view:
      - mask: {by: tissue}
      - transpose: {axes: yxz}
    """
    found = description.from_description(yaml.safe_load(text), named)
    expected = np.where(VOXELS % 3 != 0, VOXELS, 0).transpose(1, 2, 0)
    assert found.voxel_size_nm == (8, 4, 40)
    np.testing.assert_array_equal(found.read(), expected)
    assert not any(source.closed for source in named.sources.values())
    found.close()
    assert named.sources["em"].closed and named.sources["tissue"].closed


# -----------------------------------------------------------------------------
# docs/formats.md
# -----------------------------------------------------------------------------

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def documented():
    """What is said of views."""
    text = (ROOT / "docs/formats.md").read_text()
    return text.split("\n### Views\n")[1].split("\n## ")[0]


def test_every_word_that_a_user_may_look_for(documented):
    for word in (
        *("slice", "crop", "transpose", "channel", "downsample", "mean"),
        *("mode", "cast", "mask", "concat", "stack", "pad", "broadcast"),
        *("resample", *description._RULES),
    ):
        assert re.search(rf"\b{word}\b", documented), word


def test_each_documented_step_works(documented, named):
    """And is another than to leave the volume as it is."""
    texts = re.findall(r"`(\w+: \{[^`]+\})`", documented)
    assert len(texts) >= 12
    for text in texts:
        steps = description.parsed([yaml.safe_load("{" + text + "}")], text)
        below = named("section" if "broadcast" in text else "em")
        found = description.applied(below, steps, named)
        assert not np.array_equal(found.read(), below.read()) or (
            found.info != below.info
        ), text


def test_the_documented_dataset(documented, tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", documented, re.S)
    (tmp_path / "example.yaml").write_text(text)
    em = np.arange(8 * 96 * 128, dtype=np.uint16).reshape(8, 96, 128)
    info = volume.VolumeInfo(Box.from_shape(em.shape), em.dtype, (40, 8, 8))
    with volume.create(f"{tmp_path}/em.zarr", info) as new:
        new.write(new.domain, em)
    both = np.stack([em % 7, em % 2]).astype(np.uint8)
    with h5py.File(tmp_path / "probabilities.h5", "w") as file:
        file["raw"] = both
        file["raw"].attrs["resolution"] = (40, 8, 8)
    with volume.open(f"{tmp_path}/example.yaml#nuclei") as nuclei:
        np.testing.assert_array_equal(nuclei.read(), both[1])
    with volume.open(f"{tmp_path}/example.yaml#small") as small:
        box = Box((2, 16, 16), (6, 80, 112))
        assert small.domain == box.scaled((1, 1, 1), (1, 2, 2))
        kept = np.where(both[1] == 1, em, 0)[box.slices]
        means = kept.reshape(4, 32, 2, 48, 2).mean(axis=(2, 4))
        np.testing.assert_array_equal(small.read(), np.rint(means))


WRONG = {
    "crop: {start_zyx: [1, 2, 3]}": r"steps\[0\]\.crop: key 'size_zyx' is miss",
    "crob: {}": r"steps\[0\]: unknown step 'crob'; did you mean 'crop'\? Known",
    "downsample: {factor_zyx: [1, 2, 2]}": "'factor_zyx'; .*'factors_zyx'",
    "downsample: {factors_zyx: [1, 2, 2], method: media}": (
        r"downsample\.method: unknown value 'media'; did you mean 'me"
    ),
    "downsample: {factors_zyx: [1, 2]}": r"three integers \[z, y, x\], found",
    "downsample: {factors_zyx: [1, 2, 2.5]}": "three integers",
    "resample: {voxel_size_nm: [8, 8, a]}": "three numbers",
    "cast: {dtype: unit8}": r"cast\.dtype: unknown dtype .*did you mean 'uint8",
    "cast: {dtype: uint8, exact: 1}": r"cast\.exact: expected true or false",
    "rescale: {scale: big}": r"rescale\.scale: expected a number, found 'big'",
    "rescale: {scale: true}": "expected a number",
    "rescale: {scale: .nan}": "expected a number",
    "mask: {by: [a]}": r"mask\.by: expected a name, found \['a'\]",
    "mask: {by: a, keep: 1}": r"mask\.keep: expected a list of integers",
    "mask: {by: a, keep: []}": r"keep: expected .* at least one, found \[\]",
    "mask: {by: a, keep: [1.5]}": r"keep: expected an integer, found 1\.5",
    "mask: {by: a, keep: [true]}": "expected an integer, found True",
    "overlay: {by: []}": r"overlay\.by: expected a name",
    "concatenate: {by: a, axis: 0}": r"concatenate\.axis: unknown value 0",
    "flip: z": r"flip: expected `name: value` lines, found 'z'",
    "crop: {}, flip: {}": "expected one step, found 2: crop, flip",
    "": "expected one step, found 0",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_words(text):
    with pytest.raises(ValueError, match=WRONG[text]):
        description.parsed([yaml.safe_load("{" + text + "}")], "steps")


@pytest.mark.parametrize("value", [None, [], {"crop": {}}, "crop"], ids=str)
def test_what_is_no_list_of_steps(value):
    with pytest.raises(ValueError, match=r"here: expected a list of steps"):
        description.parsed(value, "here")


def test_steps_count_from_zero():
    steps = [{"flip": {"axes": "z"}}, {"cats": {"dtype": "uint8"}}]
    with pytest.raises(ValueError, match=r"here\[1\]: unknown step 'cats'"):
        description.parsed(steps, "here")


@pytest.mark.parametrize(
    "steps, message",
    [
        (
            [{"mask": {"by": "tissue"}}, {"flip": {"axes": "q"}}],
            r"v\.view\[1\]\.flip: below > masked by below: to flip takes",
        ),
        ([{"mask": {"by": "tissue"}}, {"mask": {"by": "x"}}], "no volume 'x'"),
    ],
)
def test_steps_that_do_not_fit(steps, message, named):
    """Nothing stays open."""
    with pytest.raises(ValueError, match=message):
        description.from_description({"of": "em", "view": steps}, named, "v")
    assert named.sources["em"].closed and named.sources["tissue"].closed


@pytest.mark.parametrize(
    "found, message",
    [
        ({"of": "em"}, "v: key 'view' is missing"),
        ({"off": "em", "view": []}, "v: unknown key 'off'; did you mean 'of'"),
        ({"of": 3, "view": []}, r"v\.of: expected a name, found 3"),
        ({"of": "em", "view": []}, r"v\.view: expected a list of steps"),
    ],
)
def test_descriptions_that_are_wrong(found, message, named):
    with pytest.raises(ValueError, match=message):
        description.from_description(found, named, "v")
    assert named.sources == {}
