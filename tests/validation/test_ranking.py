"""Rankings of checkpoints whose scores are made up."""

import json
import shutil

from PIL import Image
import pytest

from ffn_tf.validation import ranking, record


def steps(found):
    return [row.found.step for row in found.rows]


def test_ranked(scored, tmp_path):
    scored(900, 0.5, 0.5)
    scored(1000, 0.0, 0.0, 0.0, segments=0)  # Nothing: no error, and last.
    scored(20, 0.25, 0.5, 0.4)
    scored(3, 0.5, 0.25, 0.6)
    scored(4, 0.5, 0.25, 0.6)
    folders = ranking.checkpoints(tmp_path / "run")
    assert [ranking.step_of(f) for f in folders] == [3, 4, 20, 900, 1000]
    found = ranking.ranked(folders)
    assert steps(found) == [3, 4, 20, 900, 1000]
    assert found.best.folder == folders[0] == ranking.best(folders)
    assert found.left_out == () and found.doubt == ""


def test_only_alike_are_compared(scored, tmp_path):
    """With the settings of the newest that has been scored."""
    scored(1, 0.1, 0.1, settings={"image": "other"})
    scored(2, 0.9, 0.1)
    scored(3, 0.8, 0.1)
    late = tmp_path / "run/checkpoints/step-00000004"
    late.mkdir()
    (late / "model.json").touch()
    found = ranking.ranked(ranking.checkpoints(tmp_path / "run"))
    assert steps(found) == [3, 2]
    assert [f.name[-1] for f in found.left_out] == ["1", "4"]
    text = ranking.as_markdown(found)
    assert "lack of scores on this box: step-00000001, step-00000004." in text


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ((0.0, 3.9, 0.0, 0), "no checkpoint segments anything"),
        ((2.5, 1.5, 0.9, 7), "at all (VOI 4.0000): train longer, or"),
        ((2.5, 1.4, 0.9, 7), ""),
    ],
)
def test_doubt(scored, scores, says):
    *values, segments = scores
    found = ranking.ranked([scored(1, *values, segments=segments)])
    assert says in found.doubt and bool(says) == bool(found.doubt)
    text = ranking.as_markdown(found)
    assert (f"But {found.doubt}" in text) == bool(says)


def test_nothing_to_rank(scored, tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoints in it"):
        ranking.checkpoints(tmp_path)
    folder = scored(1, 0.1, 0.1)
    (folder / "validation.json").unlink()
    assert ranking.best([folder]) is None
    assert ranking.best([]) is None
    with pytest.raises(ValueError, match=r"None of 1 checkpoints in .* Give"):
        ranking.ranked([folder])


def test_completed(scored, tmp_path):
    """What is missing is made, and kept; what is of another box is not."""
    wanted = {"image": "em"}
    scored(1, 0.3, 0.3)
    (scored(2, 0, 0) / "validation.json").unlink()
    scored(3, 0.0, 0.0, settings={"image": "other"})
    folders = ranking.checkpoints(tmp_path / "run")
    asked = []

    def validated(folder, step):
        asked.append((folder, step))
        scores = record.Scores(0.5, step / 10, 0.0, 0.25, 3, 1.5, 4.0)
        return record.Record(step, scores, wanted, {})

    found = ranking.completed(folders, wanted, validated)
    assert asked == [(folders[1], 2), (folders[2], 3)]
    assert steps(found) == [2, 3, 1]
    assert record.read(folders[1]).scores.voi == 0.2
    assert record.read(folders[2]).settings == {"image": "other"}


def test_removed_meanwhile(scored, tmp_path):
    scored(1, 0.3, 0.3)
    (scored(2, 0, 0) / "validation.json").unlink()
    folders = ranking.checkpoints(tmp_path / "run")

    def validated(folder, step):
        shutil.rmtree(folder)
        raise FileNotFoundError(folder)

    found = ranking.completed(folders, {"image": "em"}, validated)
    assert steps(found) == [1]
    assert found.left_out == (folders[1],)
    shutil.rmtree(folders[0])
    with pytest.raises(FileNotFoundError, match="were removed meanwhile"):
        ranking.completed(folders, {"image": "em"}, validated)


def test_a_damaged_checkpoint_is_left_out(scored, tmp_path, capsys):
    for step in (1, 2):
        (scored(step, 0, 0) / "validation.json").unlink()
    folders = ranking.checkpoints(tmp_path / "run")

    def validated(folder, step):
        if step == 1:
            raise ValueError("truncated weights")
        scores = record.Scores(0.5, 0.1, 0.0, 0.25, 3, 1.5, 4.0)
        return record.Record(step, scores, {}, {})

    found = ranking.completed(folders, {}, validated)
    assert (steps(found), found.left_out) == ([2], (folders[0],))
    warning = f"warning: {folders[0]} is left out: truncated weights"
    assert warning in capsys.readouterr().err
    with pytest.raises(ValueError, match="truncated weights"):
        ranking.completed(folders[:1], {}, validated)


def test_written(scored, tmp_path):
    scored(1000, 0.5, 0.25, 0.875, erl_nm=1234.5, normalised_erl=0.5)
    scored(2000, 0.25, 0.25, 0.75, erl_nm=2000, normalised_erl=0.75)
    found = ranking.ranked(ranking.checkpoints(tmp_path / "run"))
    ranking.write(tmp_path / "out", found)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["ranking.json", "ranking.md", "ranking.png"]
    content = json.loads((tmp_path / "out/ranking.json").read_text())
    assert content["best"] == content["checkpoints"][0]
    assert content["best"]["step"] == 2000
    assert content["best"]["voi"] == 0.5
    assert content["best"]["checkpoint"].endswith("step-00002000")
    assert content["checkpoints"][1]["erl_nm"] == 1234.5
    assert content["settings"] == {"image": "em"}
    text = (tmp_path / "out/ranking.md").read_text()
    assert "**Best: step 2,000**" in text
    assert (
        "| 1,000 | 0.8750 | 0.5000 | 0.2500 | 0.7500 | 0.2500 | 1,234.5 |"
        in text
    )
    assert "- image: `em`" in text
    with Image.open(tmp_path / "out/ranking.png") as picture:
        assert picture.width == 900


def test_text(scored):
    found = ranking.ranked([scored(1000, 0.5, 0.25, 0.875)])
    heading, row, last = ranking.as_text(found).splitlines()
    assert heading.split() == (
        "step coverage VOI split merge sum ARAND ERL nm".split()
    )
    assert row.split() == "1,000 0.8750 0.5000 0.2500 0.7500 0.2500".split()
    assert last == f"Best: {found.best.folder}"


def test_a_strange_name(tmp_path):
    with pytest.raises(ValueError, match="a name like step-00001200"):
        ranking.step_of(tmp_path / "step-latest")
