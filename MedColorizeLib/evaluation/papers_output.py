"""A paper's table as Markdown, CSV and JSON, with the published values beside ours.

Not for: the numbers (papers_scores) or the runs.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .. import __version__
from .papers import Budget, Column, Score, Table
from .papers_findings import CHANCE, try_findings
from .papers_scores import RunScores, against_proposal, average, between_runs, name_of_ours, order_of_rows

SCHEMA = "medcolorize-papers/1"
_FEWEST_STEPS = 20
"""Below these nothing has been learnt."""
Finished = Mapping[str, Sequence[RunScores]]


def score_text(score: Score | None, digits: int) -> str:
    """`0.1911 ± 0.1109`, or a dash."""
    if score is None or math.isnan(score[0]):
        return "–"
    mean, deviation = score
    text = "∞" if math.isinf(mean) else f"{mean:.{digits}f}"
    return text if deviation is None else f"{text} ± {deviation:.{digits}f}"


def markdown(table: Table, budget: Budget, finished: Finished, data_notes: Sequence[str], runs: int) -> str:
    """The page a person reads."""
    lines = [f"# {table.paper}: {table.title}", "", *_budget(table, budget, runs)]
    lines += [
        "| Row | " + " | ".join(_heads(column, finished) for column in table.columns) + " |",
        "|---|" + "---:|---:|" * len(table.columns),
    ]
    for row in table.rows:
        mine = finished.get(row.key, ())
        for number, published in enumerate(row.published_runs):
            one = next((run for run in mine if run.run == number), None)
            lines.append(_line(f"{row.title}, run {number + 1}", published, one, table.columns))
        for one in mine if not row.published_runs and runs > 1 else ():
            lines.append(_line(f"{row.title}, run {one.run + 1}", {}, one, table.columns))
        cells = []
        for column in table.columns:
            cells.append(score_text(row.published.get(column.key), column.digits))
            cells.append(score_text(average(mine, column.key), column.digits) if mine else "not run")
        lines.append(f"| **{row.title}** | " + " | ".join(f"**{cell}**" for cell in cells) + " |")
    lines += ["", *_comparison(table, finished), *_findings(table, finished), *_list("Protocol", table.protocol)]
    lines += _list("Data of this run", data_notes)
    lines += _list("What is measured", [text for column in table.columns for text in _definitions(column, finished)])
    lines += _list("Remarks", table.remarks)
    lines += _list(f"How the rows were {'trained' if table.trains else 'made'}", _trained(table, finished))
    return "\n".join(lines) + f"\nMedColorize {__version__}. Synthetic colour: not for diagnosis.\n"


def _heads(column: Column, finished: Finished) -> str:
    """Two cells. Ours has its own name where it is not the published quantity."""
    arrow = "↑" if column.higher_is_better else "↓"
    ours = name_of_ours(column, finished)
    return f"{column.title} {arrow}, published | " + ("ours" if ours == column.title else f"{ours} {arrow}, ours")


def _definitions(column: Column, finished: Finished) -> list[str]:
    ours = name_of_ours(column, finished)
    if ours == column.title:
        return [f"{column.title}: {column.definition}"]
    return [
        f"{column.title}: published; not computed here.",
        f"{ours}: ours, {column.definition}; another quantity than {column.title}, never to be compared with it.",
    ]


def _budget(table: Table, budget: Budget, runs: int) -> list[str]:
    """How much of the paper's work was done; said before any number."""
    times = f"{runs} run{'s' if runs > 1 else ''}"
    size = f"{budget.size}x{budget.size} pixels"
    published = f"{table.runs} run{'s' if table.runs > 1 else ''}"
    if table.trains:
        lines = [
            f"Budget: **{budget.name}**: {budget.steps} training steps a row at {size}, batch {table.batch}, {times}. "
            f"Published: {table.steps} steps at {table.size}x{table.size}, {published}."
        ]
        work = "training"
    else:
        lines = [
            f"Budget: **{budget.name}**: {budget.steps} iterations a picture, all stages together, at {size}. "
            f"Published: {table.steps} at {table.size}x{table.size}."
        ]
        work = "iterations"
    if budget.steps < table.steps:
        worth = (
            "that the protocol runs, and nothing about the systems: after so few steps their pictures are noise."
            if table.trains and budget.steps < _FEWEST_STEPS
            else "that the protocol runs, and how the systems compare at this budget; they are no reproduction of the "
            "published values."
        )
        lines += ["", f"**This is {budget.steps / table.steps:.2%} of the published {work}.** The numbers show {worth}"]
    return [*lines, ""]


def _findings(table: Table, finished: Finished) -> list[str]:
    """The paper's sentences and how they fare."""
    titles = {row.key: row.title for row in table.rows}
    columns = {column.key: column for column in table.columns}
    items = [
        f"{columns[one.finding.column].title}: {one.sentence(titles, columns[one.finding.column].digits)}"
        for one in try_findings(table, finished)
    ]
    note = f"Undecided: p of Wilcoxon's signed-rank test, paired by picture, is {CHANCE} or more."
    return _list("What the paper says, tried here", [*items, note] if items else [])


def _line(title: str, published: Mapping[str, Score], one: RunScores | None, columns: Sequence[Column]) -> str:
    cells = []
    for column in columns:
        cells.append(score_text(published.get(column.key), column.digits))
        cells.append(score_text(one.score(column.key), column.digits) if one else "not run")
    return f"| {title} | " + " | ".join(cells) + " |"


def _list(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _comparison(table: Table, finished: Finished) -> list[str]:
    """What the table is about: does the proposal win, by how much more than the seed alone would change."""
    if len(table.rows) < 2 or table.proposal not in finished:
        return []
    titles = {row.key: row.title for row in table.rows}
    items = []
    for column in table.columns:
        published, ours = order_of_rows(table, finished, column.key)
        if len(ours) < 2:
            continue
        name = name_of_ours(column, finished)
        same = "the same order as published" if published == ours else "another order than published"
        by = "" if name == column.title else f" by {column.title}"
        items.append(
            f"{name}, best first: {', '.join(titles[key] for key in ours)} ({same}{by}: "
            f"{', '.join(titles[key] for key in published)})."
        )
        for row in table.rows:
            if row.key == table.proposal or not finished.get(row.key):
                continue
            p = against_proposal(finished[row.key], finished[table.proposal], column.key)
            seed = between_runs(finished[row.key], column.key)
            parts = [f"p = {p:.2g}"] if math.isfinite(p) else []
            parts += [f"runs differ by {seed:.{column.digits}f}"] if math.isfinite(seed) else []
            if parts:
                items.append(f"{name}, {row.title} against {titles[table.proposal]}: {', '.join(parts)}.")
    note = "p: Wilcoxon's signed-rank test, paired by picture, scores averaged over runs. The papers give none."
    return _list("Comparison", [*items, note] if items else [])


def _trained(table: Table, finished: Finished) -> list[str]:
    out = []
    for row in table.rows:
        for one in finished.get(row.key, ()):
            facts = "; ".join(f"{name}: {_plain(value)}" for name, value in one.facts.items())
            out.append(f"{row.title}, run {one.run + 1}: {facts}")
    return out


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def to_csv(table: Table, finished: Finished) -> str:
    """One line per row, run and metric; run `average` as the papers average."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["table", "row", "run", "metric", "published_mean", "published_sd", "mean", "sd"])
    for row in table.rows:
        mine = finished.get(row.key, ())
        for column in table.columns:
            numbers = sorted({*range(len(row.published_runs)), *(run.run for run in mine)})
            for number in numbers:
                published = row.published_runs[number].get(column.key) if number < len(row.published_runs) else None
                one = next((run for run in mine if run.run == number), None)
                ours = one.score(column.key) if one else None
                writer.writerow([table.name, row.key, number + 1, column.key, *_cells(published), *_cells(ours)])
            ours = average(mine, column.key) if mine else None
            published = row.published.get(column.key)
            writer.writerow([table.name, row.key, "average", column.key, *_cells(published), *_cells(ours)])
    return buffer.getvalue()


def _cells(score: Score | None) -> list[str]:
    if score is None or math.isnan(score[0]):
        return ["", ""]
    return [f"{score[0]:.6g}", "" if score[1] is None else f"{score[1]:.6g}"]


def to_document(
    table: Table, budget: Budget, finished: Finished, data_notes: Sequence[str], runs: int
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": SCHEMA,
        "table": table.name,
        "title": table.title,
        "paper": table.paper,
        "budget": {"name": budget.name, "steps": budget.steps, "size": budget.size, "published_steps": table.steps},
        "runs": runs,
        "protocol": list(table.protocol),
        "data": list(data_notes),
        "remarks": list(table.remarks),
        "findings": [
            {
                "text": one.finding.text,
                "column": one.finding.column,
                "group": one.finding.group,
                "verdict": one.verdict,
                "p": _number(one.p),
                "pictures": one.pictures,
                "agree": one.agree,
            }
            for one in try_findings(table, finished)
        ],
        "metrics": {
            column.key: {"published": column.title, "ours": name_of_ours(column, finished)} for column in table.columns
        },
        "rows": [
            {
                "key": row.key,
                "title": row.title,
                "published": {key: list(score) for key, score in row.published.items()},
                "ours": {
                    column.key: [_number(v) for v in average(finished[row.key], column.key)] for column in table.columns
                }
                if finished.get(row.key)
                else None,
                "runs": [run.to_dict() for run in finished.get(row.key, ())],
            }
            for row in table.rows
        ],
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
