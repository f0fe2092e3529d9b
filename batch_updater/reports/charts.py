"""Charts of a run as SVG elements for the report; the only user of pygal.

pygal's own style, script and tooltips are taken out: the page's style sheet colours the charts, so that they follow
its light and dark themes, and its content security policy admits nothing inline.
"""

import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil, floor, log10
from operator import attrgetter
from typing import Any
from xml.etree import ElementTree

import pygal

from batch_updater.reports.activity import Activity, Point

# pygal hooks into imports for its map plugins, in a way that Python 3.11 warns of at every import that follows.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
WIDE, NARROW = (1000, 240, 6), (400, 220, 2)  # width and height in pixels, stretches between labels
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_PERCENTILES = tuple(attrgetter(f"latency.p{share}") for share in (99, 95, 50))
_DROPPED = {"defs", "title", "desc"}


def throughput(activity: Activity, size: tuple[int, int, int]) -> str:
    """Return a chart of the rows that ended per second, done and not done, with pauses behind."""
    top = max((point.done + point.not_done for point in activity.points), default=0.0)
    chart = _chart(activity, size, lambda y: f"{y:,.0f}" if top >= 5 else f"{y:,.1f}")
    bands: list[tuple[float, float]] = []
    for pause in activity.pauses:
        end = pause.offset + (activity.seconds / 300 if pause.is_stop else pause.seconds)  # a stop is a mere mark
        bands += [(pause.offset, 0.0), (pause.offset, top), (end, top), (end, 0.0)]
    chart.add("pauses", bands, fill=True)
    chart.add("all", _steps(activity, lambda point: point.done + point.not_done), fill=True)
    chart.add("not done", _steps(activity, lambda point: point.not_done), fill=True)
    return _svg(chart, "Rows that ended per second")


def latency(activity: Activity, size: tuple[int, int, int]) -> str:
    """Return a chart of milliseconds from first send to last answer: median, 95th, 99th percentile, logarithmic."""
    chart = _chart(activity, size, lambda y: milliseconds(10**y))
    found = [[(x, log10(max(y, 1))) for x, y in _steps(activity, value)] for value in _PERCENTILES]
    levels = [y for line in found for _, y in line]
    chart.range = (floor(min(levels)), ceil(max(levels) + 0.01))  # whole decades
    chart.y_labels = list(range(chart.range[0], chart.range[1] + 1))
    for line in found:  # logarithmic by hand: pygal's own does it to the time as well
        chart.add("", line)
    return _svg(chart, "Time per row: median, 95th and 99th percentile")


def limits(activity: Activity, size: tuple[int, int, int], found: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Return a chart of the limit in requests per second: for each start a line of seconds since the epoch and limit.

    A limit lasts until the next change; the last entry of a line only marks its end.
    """
    top = max(rate for line in found for _, rate in line)
    chart = _chart(activity, size, lambda y: f"{y:,.0f}" if top >= 5 else f"{y:,.1f}")
    chart.range = (0, top)
    for line in found:
        steps: list[tuple[float, float]] = []
        for (when, rate), (end, _) in pairwise(line):
            steps += [(activity.place(when), rate), (activity.place(end), rate)]
        chart.add("", steps)
    return _svg(chart, "Limit of requests per second")


def milliseconds(value: float) -> str:
    """Return milliseconds in words, as seconds from a thousand on."""
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.3g} s"


def _chart(activity: Activity, size: tuple[int, int, int], label: Callable[[float], str]) -> Any:
    width, height, ticks = size
    chart = pygal.XY(
        width=width, height=height, show_legend=False, show_dots=False, js=(), margin=2, margin_right=30,
        xrange=(0, activity.seconds), x_value_formatter=_clock(activity), value_formatter=label, y_labels_major_count=2,
        show_minor_y_labels=True, max_scale=5, min_scale=3,
    )  # fmt: skip
    chart.x_labels = [activity.seconds * tick / ticks for tick in range(ticks + 1)]
    return chart


def _steps(activity: Activity, value: Callable[[Point], float]) -> list[tuple[float, float]]:
    """Return a line with a level step for each stretch of time."""
    found = []
    for point in activity.points:
        found += [(point.offset, value(point)), (min(point.offset + activity.bucket, activity.seconds), value(point))]
    return found


def _clock(activity: Activity) -> Callable[[float], str]:
    """Return a function from a place on the axis to the time of day in UTC."""
    last = activity.points[-1]
    form = "%H:%M:%S" if last.offset < 2 * 3600 else "%H:%M"

    def time_of_day(offset: float) -> str:
        point = max((p for p in activity.points if p.offset <= offset), key=lambda p: p.offset)
        return f"{datetime.fromtimestamp(point.when + offset - point.offset, UTC):{form}}"

    return time_of_day


def _svg(chart: Any, label: str) -> str:
    root = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            name = str(child.tag).removeprefix(_NAMESPACE)
            if callable(child.tag) or name in _DROPPED or "tooltip-overlay" in child.get("class", ""):
                parent.remove(child)
    root.attrib.pop("id", None)
    root.set("class", "chart")
    root.set("role", "img")
    root.set("aria-label", label)
    text = ElementTree.tostring(root, encoding="unicode")
    return re.sub(r"(\d+\.\d)\d+", r"\1", text)  # a tenth of a pixel is enough, and a third of the size
