"""SVG charts: whole, within their frame, with text that is no markup."""

import math
from xml.etree import ElementTree

import pytest

from easytransfer_mtl.evaluation.run_metrics import STEP, Series
from easytransfer_mtl.reporting.calibration import Bin, Calibration
from easytransfer_mtl.reporting.charts import HEIGHT, WIDTH, curves, reliability


def points_in(svg: str) -> list[list[tuple[float, float]]]:
    lines = [node.get("points", "") for node in ElementTree.fromstring(svg).iter("polyline")]
    return [[tuple(map(float, point.split(","))) for point in line.split()] for line in lines]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1e-5, 2e-5, 3e-5], [-1.0, 1e300], list(range(500))])
def test_curves_stay_in_their_frame(values: list[float]) -> None:
    chart = curves("loss", {"A": Series(list(range(1, len(values) + 1)), values)})
    [line] = points_in(chart.svg)
    assert 1 <= len(line) <= 100 and all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)


@pytest.mark.parametrize("values", [[], [math.nan, math.inf]])
def test_a_series_without_finite_values_is_an_empty_line(values: list[float]) -> None:
    assert points_in(curves("cosine", {"A": Series(list(range(len(values))), values)}).svg) == [[]]


def test_higher_values_stand_higher_and_later_ones_to_the_right() -> None:
    [line] = points_in(curves("loss", {"A": Series([1, 2, 3], [0.5, 1.0, 2.0])}, dots=True).svg)
    assert [x for x, _ in line] == sorted(x for x, _ in line) and [-y for _, y in line] == sorted(-y for _, y in line)


def test_text_is_no_markup() -> None:
    name = '</svg><script>alert("1")</script>\x01\ud800&'
    chart = curves(name, {name: Series([1, 2], [1.0, 2.0]), "B": Series([1], [1.0])}, {name: 1.5}, dots=True)
    assert "<script>" not in chart.svg and "&lt;script&gt;" in chart.svg
    assert ElementTree.fromstring(chart.svg.encode("utf-8")).tag == "svg" and chart.legend[0].name == name


def test_one_line_for_the_whole_step_needs_no_legend() -> None:
    assert curves("rate", {STEP: Series([1, 2], [1.0, 2.0])}).legend == []
    assert [line.name for line in curves("loss", {"A": Series([1], [1.0])}).legend] == ["A"]


def test_reliability_has_a_bar_per_bin() -> None:
    bins = [Bin(0.5, 0.6, 1, 0.55, 0.0), Bin(0.9, 1.0, 1234, 0.95, 1.0)]
    chart = reliability("R", Calibration(bins, 0.1, 0.9, 0.9), ("x", "y"))
    first, second = ElementTree.fromstring(chart.svg).iter("rect")
    assert float(first.get("height", "")) == 0 and float(second.get("height", "")) > 200
    assert "1,234 rows of 0.9 to 1.0" in chart.svg and "1 row of 0.5" in chart.svg
