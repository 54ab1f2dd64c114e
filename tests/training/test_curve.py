"""The curve of a training: read from event files, drawn."""

import numpy as np
import pytest

from ffn_tf.training import curve, summaries


def test_read_and_draw(tmp_path):
    # Two attempts: two files.
    with summaries.Summaries(tmp_path) as written:
        written.add(10, {"loss": 4.0, "other": 7.0})
        written.add(30, {"loss": 2.0})
    with summaries.Summaries(tmp_path) as written:
        written.add(50, {"loss": 1.0})
    found = curve.read(tmp_path, "loss")
    assert found == {10: 4.0, 30: 2.0, 50: 1.0}
    picture = np.asarray(curve.draw(found, "loss"))
    # The panel is 240 pixels high from 30 on; steps go from x = 70 to 880.
    for x, y in ((70, 30), (475, 30 + 120), (880, 30 + 180)):
        assert tuple(picture[y, x]) == (24, 24, 28)


def test_no_such_scalar(tmp_path):
    with summaries.Summaries(tmp_path) as written:
        written.add(10, {"loss": 4.0})
    with pytest.raises(FileNotFoundError, match="no event file has 'lost'"):
        curve.read(tmp_path, "lost")
