"""Charts as inline SVG. Built as XML trees, so that no text in them can be markup."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from easytransfer_mtl.evaluation.run_metrics import STEP, Panel, Series
from easytransfer_mtl.reporting.calibration import Calibration

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#999999")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""
DASHES = ("", "6 3", "2 3")
WIDTH, HEIGHT, SQUARE = 360, 210, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34
POINTS = 80
MOST_DOTS = 400
"""Rows that a scatter plot marks one by one; more are counted in squares."""
SQUARES = 30
"""Squares in a row of such a plot."""
MOST_LINES = len(COLOURS) * len(DASHES)


@dataclass(frozen=True)
class Line:
    """A line's legend: its name, colour and dashes."""

    name: str
    colour: str
    dashes: str


@dataclass(frozen=True)
class Chart:
    """A picture and its legend, which is empty if there is one line only."""

    title: str
    svg: Markup
    legend: list[Line]


class _Plane:
    """An SVG with two axes; x and y are in the data's units."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], labels: tuple[str, str], title: str, height: int = HEIGHT
    ) -> None:
        self.x, self.y, self.height = x, y, height
        attributes = {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "class": "chart"}
        self.root = ElementTree.Element("svg", attributes)
        ElementTree.SubElement(self.root, "title").text = _printable(title)
        for value in _ticks(*y):
            self.line((x[0], value), (x[1], value), "grid")
            self.text(LEFT - 5, self.down(value) + 4, f"{value:.4g}", "end")
        for value in _ticks(*x):
            self.text(
                self.across(value), height - BOTTOM + 15, f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}", "middle"
            )
        self.text((LEFT + WIDTH - RIGHT) / 2, height - 4, labels[0], "middle")
        if labels[1]:
            self.text(LEFT + 4, TOP + 10, labels[1], "start")

    def across(self, value: float) -> float:
        return LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)

    def down(self, value: float) -> float:
        return self.height - BOTTOM - (value - self.y[0]) / (self.y[1] - self.y[0]) * (self.height - TOP - BOTTOM)

    def text(self, x: float, y: float, text: str, anchor: str) -> None:
        attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
        ElementTree.SubElement(self.root, "text", attributes).text = _printable(text)

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str, **more: str) -> None:
        places = zip(("x1", "y1", "x2", "y2"), (*self._place(start), *self._place(end)))
        ElementTree.SubElement(self.root, "line", {name: f"{value:.1f}" for name, value in places} | {"class": kind} | more)

    def curve(self, points: list[tuple[float, float]], line: Line, dots: bool) -> None:
        placed = [self._place(point) for point in points]
        attributes = {"class": "curve", "stroke": line.colour, "stroke-dasharray": line.dashes}
        attributes["points"] = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        ElementTree.SubElement(self.root, "polyline", attributes)
        for point in points if dots else ():
            self.dot(point, f"{line.name}: {point[1]:.4f} at step {point[0]:,.0f}", r="3", fill=line.colour)

    def dot(self, point: tuple[float, float], title: str, **more: str) -> None:
        x, y = self._place(point)
        circle = ElementTree.SubElement(self.root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}"} | more)
        ElementTree.SubElement(circle, "title").text = _printable(title)

    def bar(self, x: tuple[float, float], height: float, kind: str, title: str) -> None:
        self.box((x[0], self.y[0]), (x[1], height), title, 1, **{"class": kind})

    def box(self, low: tuple[float, float], high: tuple[float, float], title: str, gap: float, **more: str) -> None:
        (left, bottom), (right, top) = self._place(low), self._place(high)
        width, height = max(0.0, right - left - 2 * gap), max(0.0, bottom - top)
        places = {"x": left + gap, "y": top, "width": width, "height": height}
        attributes = {name: f"{value:.1f}" for name, value in places.items()} | more
        ElementTree.SubElement(ElementTree.SubElement(self.root, "rect", attributes), "title").text = _printable(title)

    def markup(self) -> Markup:
        return Markup(ElementTree.tostring(self.root, encoding="unicode"))

    def _place(self, point: tuple[float, float]) -> tuple[float, float]:
        return self.across(point[0]), self.down(point[1])


def curves(title: str, panel: Panel, levels: Mapping[str, float] | None = None, dots: bool = False) -> Chart:
    """Draws series over the steps, as means of about ``POINTS`` windows.

    Args:
        title: of the chart.
        panel: the series by name, at least one with a value; of more than ``MOST_LINES`` the first ones are drawn.
        levels: name -> height of a dotted line.
        dots: whether to mark every value, of which no means are taken then.
    """
    shown = {name: _points(series, dots) for name, series in list(panel.items())[:MOST_LINES]}
    heights = [value for points in shown.values() for _, value in points] + [(levels or {}).get(name, 0.0) for name in shown]
    steps = [step for points in shown.values() for step, _ in points]
    plane = _Plane((0.0, max([1.0, *steps])), _range(heights), ("step", ""), title)
    legend = _legend([*shown])
    for line in legend:
        name, points = line.name, shown[line.name]
        if levels and name in levels:
            plane.line((0.0, levels[name]), (plane.x[1], levels[name]), "level", stroke=line.colour)
        plane.curve(points, line, dots or len(points) < 3)
    return Chart(title, plane.markup(), [] if list(panel) == [STEP] else legend)


def reliability(title: str, calibration: Calibration, axes: tuple[str, str], what: str = "row") -> Chart:
    """Draws accuracy over confidence: a bar per bin, and the diagonal on which probabilities are what they say.

    Args:
        title: of the chart.
        calibration: the bins.
        axes: what the horizontal and the vertical axis have.
        what: one of those that are in the bins.
    """
    plane = _Plane((0.0, 1.0), (0.0, 1.0), axes, title, SQUARE)
    for item in calibration.bins:
        rows = f"{item.rows:,} {what}{'s' if item.rows > 1 else ''}"
        about = (
            f"{rows} of {item.low:.1f} to {item.high:.1f}: mean probability {item.confidence:.3f}, share {item.accuracy:.3f}"
        )
        plane.bar((item.low, item.high), item.accuracy, "bin", about)
        middle = (item.low + item.high) / 2
        height = max(TOP + 9, min(plane.down(item.accuracy), plane.down(0.06)) - 3)
        plane.text(plane.across(middle), height, _short(item.rows), "middle")
    plane.line((0.0, 0.0), (1.0, 1.0), "diagonal")
    return Chart(title, plane.markup(), [])


def shares(title: str, axis: str, lines: Mapping[str, Sequence[tuple[float, float]]], mark: float | None = None) -> Chart:
    """Draws lines of shares from 0 to 1 over a share.

    Args:
        title: of the chart.
        axis: what the horizontal axis has.
        lines: name -> points; of more than ``MOST_LINES`` the first ones are drawn.
        mark: a place on the horizontal axis to mark; None draws the diagonal instead.
    """
    plane = _Plane((0.0, 1.0), (0.0, 1.0), (axis, ""), title, SQUARE if mark is None else HEIGHT)
    legend = _legend(list(lines)[:MOST_LINES])
    for line in legend:
        plane.curve([*lines[line.name]], line, False)
    if mark is None:
        plane.line((0.0, 0.0), (1.0, 1.0), "diagonal")
    else:
        plane.line((mark, 0.0), (mark, 1.0), "mark")
        plane.text(
            plane.across(mark) + (4 if mark < 0.8 else -4),
            HEIGHT - BOTTOM - 5,
            f"{mark:g}",
            "start" if mark < 0.8 else "end",
        )
    return Chart(title, plane.markup(), legend)


def scatter(title: str, truth: np.ndarray, predicted: np.ndarray) -> Chart:
    """Draws predicted over true numbers, float [N], and the diagonal.

    There is a dot for each row; of more than ``MOST_DOTS`` rows each square is as dark as it has rows.
    """
    both = (truth, predicted)
    low, high = _widened(min(float(part.min()) for part in both), max(float(part.max()) for part in both))
    plane = _Plane((low, high), (low, high), ("true", "predicted"), title, SQUARE)
    if len(truth) <= MOST_DOTS:
        for point in zip(truth.tolist(), predicted.tolist()):
            plane.dot(point, f"true {point[0]:.4g}, predicted {point[1]:.4g}", r="3", **{"class": "point"})
    else:
        counts, *edges = np.histogram2d(*both, bins=SQUARES, range=[(low, high)] * 2)
        for column, row in np.argwhere(counts):
            count, lower = int(counts[column, row]), (float(edges[0][column]), float(edges[1][row]))
            upper = (float(edges[0][column + 1]), float(edges[1][row + 1]))
            about = f"{count:,} rows: true {lower[0]:.3g} to {upper[0]:.3g}, predicted {lower[1]:.3g} to {upper[1]:.3g}"
            opacity = f"{0.15 + 0.85 * math.log1p(count) / math.log1p(counts.max()):.2f}"
            plane.box(lower, upper, about, 0, fill=COLOURS[0], **{"fill-opacity": opacity})
    plane.line((low, low), (high, high), "diagonal")
    return Chart(title, plane.markup(), [])


def histogram(title: str, axis: str, values: np.ndarray, mark: float) -> Chart:
    """Draws how many of the values, float [N], are in each of about 25 ranges, and marks a place."""
    low, high = _widened(min(mark, float(values.min())), max(mark, float(values.max())))
    counts, edges = np.histogram(values, bins=25, range=(low, high))
    plane = _Plane((low, high), (0.0, float(counts.max())), (axis, "rows"), title)
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist()):
        if count:
            plane.bar((left, right), float(count), "bin", f"{count:,} rows of {left:.3g} to {right:.3g}")
    plane.line((mark, 0.0), (mark, plane.y[1]), "mark")
    return Chart(title, plane.markup(), [])


def _legend(names: Sequence[str]) -> list[Line]:
    return [
        Line(name, COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)])
        for number, name in enumerate(names)
    ]


def _short(count: int) -> str:
    """Returns a count as short as a bar is wide: 5,563 is 5.6k."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k" if count < 100_000 else f"{count / 1e6:.1f}M"


def _widened(low: float, high: float) -> tuple[float, float]:
    """Returns a range with some room at its ends, which is not empty."""
    room = 0.03 * (high - low) or 0.5
    return low - room, high + room


def _points(series: Series, dots: bool) -> list[tuple[float, float]]:
    steps, values = series.smoothed(1 if dots else max(1, len(series.values) // POINTS))
    return [point for point in zip(steps.tolist(), values.tolist()) if math.isfinite(point[1])]


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min([0.0, *values]), max([0.0, *values])
    return (low, high) if high > low else (low, low + 1.0)


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns round numbers (1, 2 or 5 times a power of ten apart) in a range."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    width = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / width - 1e-9), math.floor(high / width + 1e-9)
    return [round(number * width, 12) for number in range(first, last + 1)]


def _printable(text: str) -> str:
    """Returns text without the characters that XML cannot hold."""
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cs") or char in "\ufffe\uffff" else char for char in text
    )
