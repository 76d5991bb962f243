"""One page of the papers' tables, from folders that `medcolorize bench papers` made.

    python Testing/Benchmarks/papers_page.py DIR... -o Docs/PapersTables.md

DIR is the result folder of one table, or a folder of such folders. Tables are rendered anew from the stored runs, as
the command prints them, so that a page never mixes formats; a table without results is left out and named. No pictures:
the photographs may not be passed on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MedColorizeLib.app.papers_bench import read_finished
from MedColorizeLib.evaluation.papers import Budget, Table, find_table, table_names
from MedColorizeLib.evaluation.papers_output import markdown
from MedColorizeLib.evaluation.papers_scores import RunScores
from MedColorizeLib.imaging.atomic import write_atomically

HEAD = """\
# The tables of the papers, at small budgets

What `medcolorize bench papers` printed on two cores of a shared computer, next to the published values ([how it
works](Report.md#the-tables-of-the-papers)). **These are minutes of training where the papers took hours to days: they
show that every row can be run, judged by its protocol and compared, not that a paper is right or wrong.** With a
graphics card and the papers' data, `--budget paper` runs the same tables as published.

Made by `python Testing/Benchmarks/papers_page.py DIR... -o Docs/PapersTables.md` from the command's result folders.
"""

_GAN = (
    "That each row trains and is judged by the paper's protocol, and how far each is after the same few steps. Not "
    "which row is better in the end: one seed can't tell a difference from luck (p is over pictures, not over "
    "trainings), and terms that slow a GAN's first steps may pay later."
)
_LUMA = (
    "SSIM and PSNR compare luma with the gray input, so whoever leaves the picture gray wins"
    "{keeps}. The distance to photographs is the only figure about colour, and at this budget no row is near them."
)
_MESSIDOR = " The photographs are DRIVE's, not Messidor's."
_TRANSFERS = (
    "Nothing is trained here: each slice is optimised by itself, so the verdicts hold for these slices, references and "
    "iterations. Few slices make weak tests, and the paper's numbers aren't in the text at hand, only what it says "
    "about them."
)


def reading(table: Table, budget: Budget) -> str:
    """What can and what can't be read out of a table at a small budget, however its rows came out."""
    if not table.trains:
        return _TRANSFERS
    if budget.steps < 20:
        return "That every row trains and is judged by the paper's protocol, and nothing else; the order is chance."
    if table.data != "brain":
        return _GAN + (_MESSIDOR if table.data == "messidor" else "")
    kept = ": Zhang's network and ChromaGAN keep the input's lightness by construction"
    return f"{_GAN} {_LUMA.format(keeps=kept if table.name == 'colormedgan-5' else '')}"


@dataclass(frozen=True)
class Result:
    """What a folder holds."""

    table: Table
    budget: Budget
    pictures: int | None
    runs: int
    finished: dict[str, list[RunScores]]


def read_result(folder: Path) -> Result | None:
    """The table in a folder; None where no row has been run."""
    state = json.loads((folder / "bench.json").read_text())
    table = find_table(state["table"])
    steps, size = state["budget"]
    finished = read_finished(folder, table.runs)
    if not any(finished.get(row.key) for row in table.rows):
        return None
    runs = 1 + max(one.run for each in finished.values() for one in each)
    return Result(table, Budget(f"{steps} steps", steps, size), state.get("pictures"), runs, finished)


def find_results(paths: Sequence[Path]) -> dict[str, Result]:
    """By table; of a table that was run twice, the one given last."""
    folders = [
        each for path in paths for each in ([path] if (path / "bench.json").is_file() else sorted(path.iterdir()))
    ]
    found = [read_result(folder) for folder in folders if (folder / "bench.json").is_file()]
    return {one.table.name: one for one in found if one is not None}


def section(one: Result) -> str:
    """One table, as the command prints it, with the command, what was run, and what can be read out of it."""
    table, notes = one.table, [note for each in one.finished.values() for run in each for note in run.data]
    text = markdown(table, one.budget, one.finished, [], one.runs).partition("\n## Protocol")[0]
    title, _, body = text.partition("\n")
    body = body.replace("\n## Comparison\n", "\n**Comparison**\n")
    body = body.replace("\n## What the paper says, tried here\n", "\n**What the paper says, tried here**\n")
    done = sum(bool(one.finished.get(row.key)) for row in table.rows)
    command = f"medcolorize bench papers --table {table.name} --budget {one.budget.steps} --size {one.budget.size}"
    command += f" --pictures {one.pictures}" if one.pictures else ""
    command += f" --runs {one.runs}" if one.runs != table.runs else ""
    lines = [
        f"## {table.name}: {title.removeprefix('# ').partition(': ')[2]}",
        "",
        f"{table.paper}." + ("" if done == len(table.rows) else f" **{done} of {len(table.rows)} rows were run.**"),
        "",
        f"    {command} -o {table.name}/",
        "",
        body.strip(),
        "",
        "**Data**",
        "",
        *(f"- {note}" for note in dict.fromkeys(notes)),
        "",
        f"**What can be read out of it.** {reading(table, one.budget)}",
        "",
    ]
    return "\n".join(lines)


def page(found: dict[str, Result]) -> str:
    """All tables in the order of their names in `--list`."""
    missing = [name for name in table_names() if name not in found]
    parts = [HEAD, *(section(found[name]) for name in table_names() if name in found)]
    if missing:
        parts.append(f"Not run for this page: {', '.join(missing)}.\n")
    return "\n".join(parts)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="results of `medcolorize bench papers`")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the page")
    args = parser.parse_args(words)
    found = find_results(args.folders)
    if not found:
        parser.error("none of these folders holds a table")
    write_atomically(args.output, page(found))
    print(f"{args.output}: {', '.join(found)}")


if __name__ == "__main__":
    main()
