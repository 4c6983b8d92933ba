"""Charts as inline SVG. Built as XML trees, so that no text in them can be markup."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

from easytransfer_mtl.evaluation.run_metrics import STEP, Panel, Series
from easytransfer_mtl.reporting.calibration import Calibration

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#999999")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""
DASHES = ("", "6 3", "2 3")
WIDTH, HEIGHT, SQUARE = 360, 210, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34
POINTS = 80
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
        for (x, y), (step, value) in zip(placed, points) if dots else ():
            dot = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3", "fill": line.colour}
            circle = ElementTree.SubElement(self.root, "circle", dot)
            ElementTree.SubElement(circle, "title").text = _printable(f"{line.name}: {value:.4f} at step {step:,.0f}")

    def bar(self, x: tuple[float, float], height: float, kind: str, title: str) -> None:
        left, right, top, bottom = self.across(x[0]), self.across(x[1]), self.down(height), self.down(self.y[0])
        places = {"x": left + 1, "y": top, "width": max(0.0, right - left - 2), "height": max(0.0, bottom - top)}
        attributes = {name: f"{value:.1f}" for name, value in places.items()} | {"class": kind}
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
    legend = []
    for number, (name, points) in enumerate(shown.items()):
        line = Line(name, COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)])
        if levels and name in levels:
            plane.line((0.0, levels[name]), (plane.x[1], levels[name]), "level", stroke=line.colour)
        plane.curve(points, line, dots or len(points) < 3)
        legend.append(line)
    return Chart(title, plane.markup(), [] if list(panel) == [STEP] else legend)


def reliability(title: str, calibration: Calibration) -> Chart:
    """Draws accuracy over confidence: a bar per bin, and the diagonal on which probabilities are what they say."""
    plane = _Plane((0.0, 1.0), (0.0, 1.0), ("probability of the prediction", "share that is right"), title, SQUARE)
    for item in calibration.bins:
        rows = f"{item.rows:,} row{'s' if item.rows > 1 else ''}"
        about = (
            f"{rows} of {item.low:.1f} to {item.high:.1f}: mean probability {item.confidence:.3f}, right {item.accuracy:.3f}"
        )
        plane.bar((item.low, item.high), item.accuracy, "bin", about)
        middle = (item.low + item.high) / 2
        plane.text(plane.across(middle), min(plane.down(item.accuracy), plane.down(0.06)) - 3, f"{item.rows:,}", "middle")
    plane.line((0.0, 0.0), (1.0, 1.0), "diagonal")
    return Chart(title, plane.markup(), [])


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
