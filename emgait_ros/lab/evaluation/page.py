"""One self-contained HTML page of an evaluation: tables, CMC, ROC and Rank-1 by range, view and condition."""

from __future__ import annotations

import html
import io
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from emgait_ros.lab.evaluation.protocols import Figure
from emgait_ros.lab.evaluation.published import Scored

DEEPEST = 20
COLORS = ("#1b6ca8", "#c8553d", "#588157", "#8d6a9f", "#b08900", "#444444")
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #1d2530 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em } p.note { color: #56606e }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .25em .8em; border-bottom: 1px solid #dde2e8; text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left } small { color: #6a7482 }
div.plots { display: flex; flex-wrap: wrap; gap: 1em } div.plots svg { width: 34em; max-width: 100%; height: auto }
div.wide { overflow-x: auto }
"""


def page(
    title: str,
    notes: list[str],
    methods: dict[str, Scored],
    figures: dict[str, dict[str, Figure]],
    by_group: dict[str, dict[str, Figure]],
) -> str:
    """The page.

    Args:
        title: what was measured.
        notes: sentences under the title.
        methods: comparisons of each method, ours first.
        figures: headline figures of each method, by the same names.
        by_group: every measure of every group, of ours.
    """
    first = next(iter(methods))
    plots = [
        plot("CMC, all probes of the overall figure", "rank k", "Rank-k, %", lambda axes: _cmc(axes, methods)),
        plot("ROC", "false-accept rate", "true-accept rate, %", lambda axes: _roc(axes, methods)),
        *(_groups_plot(kind, names, figures) for kind, names in _kinds(list(methods[first].groups)).items()),
    ]
    body = f"""<h2>Percent, with 95 % interval over identities</h2>
<div class="wide">{_table({key: {name: figures[name][key] for name in figures} for key in figures[first]})}</div>
<h2>{html.escape(first)} by range, view and condition</h2>
<div class="wide">{_table(by_group, counts=True)}</div>
"""
    return document(title, notes, plots, body)


def document(title: str, notes: list[str], plots: list[str], body: str) -> str:
    """A page of a title, sentences and plots (SVG), and what stands below them (HTML)."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
{"".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)}
<div class="plots">{"".join(plots)}</div>
{body}</body></html>
"""


def _kinds(groups: list[str]) -> dict[str, list[str]]:
    """Groups sorted into plots: ranges by day and at night, views, conditions."""
    ranges = [name for name in groups if name[0] in "DN" and name[1:].isdigit()]
    views = [name for name in groups if name.startswith("view ")]
    others = [name for name in groups if name not in ranges and name not in views]
    kinds = {"range": ranges, "view": views, "condition": others}
    return {kind: names for kind, names in kinds.items() if len(names) > 1}


def plot(title: str, x: str, y: str, draw: Callable[[Axes], None]) -> str:
    canvas = Canvas(figsize=(6.4, 4.6), layout="constrained")
    axes = canvas.add_subplot()
    draw(axes)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    canvas.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    text = io.StringIO()
    canvas.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def _cmc(axes: Axes, methods: dict[str, Scored]) -> None:
    ranks = np.arange(1, DEEPEST + 1)
    for color, (name, scored) in zip(COLORS, methods.items(), strict=False):
        axes.plot(
            ranks, 100 * scored.comparison.cmc(scored.groups["overall"], DEEPEST), color=color, label=name, marker="."
        )
    axes.set_xticks(range(1, DEEPEST + 1, 2))
    axes.set_ylim(0, 101)


def _roc(axes: Axes, methods: dict[str, Scored]) -> None:
    for color, (name, scored) in zip(COLORS, methods.items(), strict=False):
        accept, true = scored.comparison.verification(scored.groups["overall"]).curve()
        shown = accept > 0
        axes.plot(accept[shown], 100 * true[shown], color=color, label=name)
    axes.set_xscale("log")
    axes.set_xlim(1e-3, 1)
    axes.set_ylim(0, 101)


def _groups_plot(kind: str, groups: list[str], figures: dict[str, dict[str, Figure]]) -> str:
    def draw(axes: Axes) -> None:
        width = 0.8 / len(figures)
        for number, (name, found) in enumerate(figures.items()):
            values = [found[f"rank1_{group.replace(' ', '')}"] for group in groups]
            centre = 100 * np.array([v.value for v in values])
            spread = np.abs(100 * np.array([[v.low, v.high] for v in values]).T - centre)
            place = np.arange(len(groups)) + (number - (len(figures) - 1) / 2) * width
            axes.bar(
                place, centre, width, yerr=spread, color=COLORS[number % len(COLORS)], label=name, ecolor="#888888"
            )
        axes.set_xticks(range(len(groups)), [group.removeprefix("view ") for group in groups])
        axes.set_ylim(0, 101)

    return plot(f"Rank-1 by {kind}", kind, "Rank-1, %", draw)


def _table(rows: dict[str, dict[str, Figure]], counts: bool = False) -> str:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *columns))
    body = []
    for name, row in rows.items():
        cells = []
        for column in columns:
            found = row.get(column)
            text = (
                "–"
                if found is None
                else f"{100 * found.value:.1f} <small>{100 * found.low:.0f}–{100 * found.high:.0f}</small>"
            )
            if counts and found is not None:
                text += f" <small>n={found.comparisons}</small>"
            cells.append(f"<td>{text}</td>")
        body.append(f"<tr><td>{html.escape(name)}</td>{''.join(cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"
