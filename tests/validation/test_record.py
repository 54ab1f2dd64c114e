"""Records: written, read, damaged."""

import json

import pytest

from ffn_tf.validation import record


def scores(**changes):
    values = {
        "coverage": 0.5,
        "voi_split": 1.25,
        "voi_merge": 0.5,
        "arand": 0.125,
        "segments": 7,
        "seconds": 2.5,
        "voi_of_nothing": 3.0,
    }
    return record.Scores(**(values | changes))


def test_written_and_read(tmp_path):
    made = record.Record(
        1200, scores(erl_nm=99.5), {"size_zyx": [1, 2, 3]}, {"image_mean": 1.5}
    )
    record.write(tmp_path, made)
    assert record.read(tmp_path) == made
    assert [p.name for p in tmp_path.iterdir()] == ["validation.json"]


def test_none_is_none(tmp_path):
    assert record.read(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: text.replace("coverage", "covering"),
        lambda text: text.replace("0.125", '"0.125"'),
        lambda text: text.replace('"step"', '"stop"'),
    ],
)
def test_damaged_is_none_with_a_warning(tmp_path, capsys, change):
    record.write(tmp_path, record.Record(1, scores(), {}, {}))
    path = tmp_path / "validation.json"
    path.write_text(change(path.read_text()))
    assert record.read(tmp_path) is None
    assert f"warning: {path} is damaged" in capsys.readouterr().err


def test_not_a_number_is_never_written(tmp_path):
    made = record.Record(1, scores(voi_split=float("nan")), {}, {})
    with pytest.raises(ValueError, match="JSON"):
        record.write(tmp_path, made)
    assert not list(tmp_path.iterdir())


def test_scalars():
    found = scores().scalars()
    assert found == {
        "validation/coverage": 0.5,
        "validation/voi_split": 1.25,
        "validation/voi_merge": 0.5,
        "validation/voi": 1.75,
        "validation/arand": 0.125,
        "validation/segments": 7.0,
        "validation/seconds": 2.5,
    }
    more = scores(erl_nm=10.0, normalised_erl=0.75).scalars()
    assert more["validation/erl_nm"] == 10
    assert more["validation/normalised_erl"] == 0.75


def test_cost():
    """Least VOI, then most coverage; without a segment, last."""
    in_order = [
        scores(voi_split=0.1, voi_merge=0.2),
        scores(voi_split=0.2, voi_merge=0.2, coverage=0.9),
        scores(voi_split=0.3, voi_merge=0.1, coverage=0.8),
        scores(voi_split=9.0),
        scores(voi_split=0, voi_merge=0, segments=0),
    ]
    by_cost = sorted(in_order[::-1], key=lambda one: one.cost)
    assert by_cost == in_order


def test_older_fields_are_enough(tmp_path):
    """Run lengths need not be there."""
    record.write(tmp_path, record.Record(1, scores(), {}, {}))
    path = tmp_path / "validation.json"
    content = json.loads(path.read_text())
    del content["scores"]["erl_nm"]
    path.write_text(json.dumps(content))
    assert record.read(tmp_path).scores.erl_nm is None
