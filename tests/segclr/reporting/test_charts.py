"""Maps and charts show what they are given."""

import re

import numpy as np
import pytest

from segclr.reporting import charts, projection


def test_principal_components():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(500, 2)) * [3, 1]
    vectors = np.stack(
        [hidden[:, 0], hidden[:, 0] + 0.1 * hidden[:, 1], hidden[:, 1]], axis=1
    )
    points, variance = projection.principal(1000 + 7 * vectors)
    assert abs(np.corrcoef(points[:, 0], hidden[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(points[:, 1], hidden[:, 1])[0, 1]) > 0.99
    np.testing.assert_allclose(points.var(0) / 3, variance, rtol=1e-6)
    assert variance.sum() == pytest.approx(1, abs=0.01)
    again, _ = projection.principal(1000 + 7 * vectors)
    np.testing.assert_array_equal(points, again)


def test_a_map_needs_two_numbers():
    with pytest.raises(ValueError, match=r"found \[5, 1\]"):
        projection.principal(np.zeros((5, 1)))
    points, _ = projection.principal(np.ones((4, 3)))
    assert np.isfinite(points).all()


def test_scatter():
    points = np.array([[0.0, 0], [1, 1], [0.5, 0.5]])
    drawn = charts.scatter(points, np.array([0, 1, 11]), edge=100)
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)".*?fill="(#\w+)"', drawn)
    assert dots[0] == ("6.0", "94.0", charts.PALETTE[0])
    assert dots[1] == ("94.0", "6.0", charts.PALETTE[1])
    assert dots[2] == ("50.0", "50.0", charts.PALETTE[1])
    many = charts.scatter(
        np.random.default_rng(0).normal(size=(9000, 2)), np.zeros(9000, int)
    )
    assert many.count("<circle") == 4000


def test_curves():
    drawn = charts.curve([0, 5, 10], {"a<b": [0.5, 0.75, 1.0]}, "um")
    assert "a&lt;b: 0.750" in drawn
    (line,) = re.findall(r'polyline points="([^"]+)"', drawn)
    rows = [float(pair.split(",")[1]) for pair in line.split()]
    assert rows[0] - rows[1] == pytest.approx(rows[1] - rows[2])
    columns = [float(pair.split(",")[0]) for pair in line.split()]
    assert columns[1] - columns[0] == pytest.approx(columns[2] - columns[1])
    logs = charts.curve(
        [10, 100, 1000], {"f": [0, 0, 0]}, "n", is_logarithmic=True
    )
    (line,) = re.findall(r'polyline points="([^"]+)"', logs)
    columns = [float(pair.split(",")[0]) for pair in line.split()]
    assert columns[1] - columns[0] == pytest.approx(columns[2] - columns[1])
    charts.curve([3], {"f": [0.5]}, "one point is fine")


def test_confusion():
    drawn = charts.confusion(np.array([[30, 10], [0, 0]]), ["<a>", "b"])
    assert "&lt;a&gt;" in drawn
    assert re.findall(r"208,([\d.]+)\)[^>]*>(\d+)<", drawn) == [
        ("0.56", "30"),
        ("0.19", "10"),
        ("0.00", "0"),
        ("0.00", "0"),
    ]
