"""The tables of the paper as JSON, Markdown and a page with a plot by range; published figures stand beside ours in grey."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from emgait_ros.lab.evaluation.page import COLORS, document, plot
from emgait_ros.whole_files import write_text

_BY_RANGE = [f"rank1_{light}{metres}" for light, most in (("D", 50), ("N", 40)) for metres in range(10, most + 1, 10)]
_MEANS = ("rank1_overall", "rank5_overall", "mAP")
COLUMNS = {  # as the paper prints them; those that a set does not have are left out
    "lrgait": (*_BY_RANGE, *_MEANS),
    "ablation": (*_BY_RANGE, *_MEANS),
    "sustech1k": (
        *(
            f"rank1_{kind}"
            for kind in ("normal", "bag", "clothing", "carrying", "umbrella", "uniform", "occlusion", "night")
        ),
        *_MEANS,
    ),
    "freegait": (*_MEANS, "mINP"),
}
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {  # percent, arXiv:2603.14189, as far as its figures could be read
    "lrgait": {
        "emgaitnet": {
            "rank1_D20": 88.5, "rank1_D50": 74.4, "rank1_N20": 38.2, "rank1_N30": 31.7, "rank1_N40": 21.9, "rank1_overall": 68.9,
        },
    },
    "sustech1k": {"emgaitnet": {"rank1_clothing": 81.7, "rank1_overall": 96.0}},
    "freegait": {"emgaitnet": {"rank1_overall": 85.2, "mAP": 89.0}},
    "ablation": {
        "baseline": {"rank1_overall": 52.3},
        "+SGA": {"rank1_overall": 58.5},
        "+SGA+SeMi": {"rank1_overall": 64.2},
        "+SGA+SeMi+ST": {"rank1_overall": 68.9},
    },
}  # fmt: skip
FACTS = ("steps", "training_s", "ms_per_frame")


def gather(
    table: str, results: Mapping[str, Mapping[int, dict[str, Any]]], notes: list[str], simulated: bool
) -> dict[str, Any]:
    """The table as plain types, of the runs that are finished.

    Args:
        table: one of ``COLUMNS``.
        results: system, seed, what its run wrote (``training.systems_table``).
        notes: sentences under the title.
        simulated: nobody in it is real.

    Returns:
        ``title``, ``table``, ``notes``, ``columns``, ``published`` and ``systems``: of each ``seeds`` (figures by seed), ``mean``,
        ``spread`` (standard deviation over the seeds, None for a single one), ``ci95`` (of the first seed, over people),
        ``parameters``, ``gflop`` and ``ms_per_frame`` of a pedestrian's frame, ``steps``, ``training_s``. Percent.
    """
    finished = {name: runs for name, runs in results.items() if runs}
    systems = {}
    for name, runs in finished.items():
        seeds = {
            str(seed): {key: v for key, v in run["figures"].items() if not key.endswith("_ci95")}
            for seed, run in runs.items()
        }
        values = {key: np.array([found[key] for found in seeds.values()]) for key in next(iter(seeds.values()))}
        first = next(iter(runs.values()))
        systems[name] = {
            "seeds": seeds,
            "mean": {key: round(float(v.mean()), 2) for key, v in values.items()},
            "spread": {key: round(float(v.std(ddof=1)), 2) if len(v) > 1 else None for key, v in values.items()},
            "ci95": {key: first["figures"].get(f"{key}_ci95") for key in COLUMNS[table] if key in values},
            "parameters": first["parameters"],
            "gflop": first["gflop"],
            **{key: round(float(np.mean([run[key] for run in runs.values()])), 2) for key in FACTS},
        }
    names = {"lrgait": "LRGait", "sustech1k": "SUSTech1K", "freegait": "FreeGait", "ablation": "LRGait, ablation"}
    seen = {key for found in systems.values() for key in found["mean"]}
    return {
        "title": f"SIMULATED people in the layout of {names[table]}" if simulated else names[table],
        "table": table,
        "notes": notes,
        "columns": [key for key in COLUMNS[table] if key in seen],
        "published": PUBLISHED[table],
        "systems": systems,
    }


def write(found: dict[str, Any], path: Path) -> None:
    """Write PATH.json, PATH.md, PATH.html and, where there are ranges, PATH.svg."""
    write_text(path.with_suffix(".json"), json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    write_text(path.with_suffix(".md"), markdown(found))
    write_text(path.with_suffix(".html"), page(found))
    for svg in _plots(found):
        write_text(path.with_suffix(".svg"), svg)


def markdown(found: dict[str, Any]) -> str:
    """The table alone, under its title and notes."""
    rows = _rows(found, '<span style="color:#888888">{}</span>')
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join([f"**{found['title']}**", "", *(f"{note}\n" for note in found["notes"]), *lines, ""])


def page(found: dict[str, Any]) -> str:
    """One self-contained HTML page with the table and Rank-1 by range."""
    rows = _rows(found, '<span style="color:#999999">{}</span>')
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:])
    shown = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>\n'
    return document(found["title"], found["notes"], _plots(found), shown)


def _rows(found: dict[str, Any], grey: str) -> list[list[str]]:
    """Header, then a row a system; what was published of it in a grey row below."""
    columns = found["columns"]
    heads = [key.removeprefix("rank1_").replace("overall", "R-1").replace("rank5_R-1", "R-5") for key in columns]
    facts = ("R-1, 95 % over people", "seeds", "M parameters", "GFLOP a frame", "ms a frame", "steps", "training, s")
    rows = [["", *heads, *facts]]
    for name, row in found["systems"].items():
        cells = [
            f"{row['mean'][key]:.1f}" + (f" ± {row['spread'][key]:.1f}" if row["spread"][key] is not None else "")
            for key in columns
        ]
        interval = row["ci95"].get("rank1_overall")
        own = [
            f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "",
            str(len(row["seeds"])),
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['gflop']:.3f}",
            *(
                _number(row[key], form)
                for key, form in (("ms_per_frame", ".1f"), ("steps", ".0f"), ("training_s", ".0f"))
            ),
        ]
        rows.append([html.escape(name), *cells, *own])
        if published := found["published"].get(name):
            cells = [f"{published[key]:.1f}" if key in published else "" for key in columns]
            rows.append([grey.format(cell) if cell else "" for cell in ("published", *cells)] + [""] * len(facts))
    return rows


def _number(value: float | None, form: str) -> str:
    """Empty where nothing was measured."""
    return "" if value is None else format(value, form)


def _plots(found: dict[str, Any]) -> list[str]:
    """Rank-1 by range as SVG; none of a table without ranges."""
    ranged = [key for key in found["columns"] if key in _BY_RANGE]
    return [plot("Rank-1 by range", "range", "Rank-1, %", lambda axes: _draw(axes, found, ranged))] if ranged else []


def _draw(axes: Axes, found: dict[str, Any], keys: list[str]) -> None:
    for color, (name, row) in zip(COLORS, found["systems"].items(), strict=False):
        for light in "DN":
            there = [number for number, key in enumerate(keys) if key[len("rank1_")] == light]
            mean = np.array([row["mean"][keys[number]] for number in there])
            spread = np.array([row["spread"][keys[number]] or 0.0 for number in there])
            axes.errorbar(there, mean, spread, color=color, label=name if light == "D" else None, marker=".", capsize=2)
    for name, values in found["published"].items():
        there = [number for number, key in enumerate(keys) if key in values]
        if there:
            axes.plot(
                there, [values[keys[number]] for number in there], "x", color="#999999", label=f"{name}, published"
            )
    axes.set_xticks(range(len(keys)), [key.removeprefix("rank1_") for key in keys])
    axes.set_ylim(0, 101)
