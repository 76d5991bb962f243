"""The papers' tables: rows, published values, protocol, and the numbers of steps behind them.

A row names a recipe to be trained or a transfer to be run; whoever can do so (app) does. Published values are copied
from the papers, with their errors: what is inconsistent there is said in `Table.remarks`. Where the values aren't at
hand, what the paper says about them in words is tried (`papers_findings`).
Not for: training, or the arithmetic of a run's scores (papers_scores) and the files (papers_output).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UsageError

Score = tuple[float, float | None]
"""Mean and standard deviation over pictures; None where the paper gives none."""
Data = Literal["drive", "messidor", "brain", "exemplar", "exemplar-pseudo", "exemplar-brain"]
"""The `exemplar` ones train nothing: slices are coloured from references that are real, pseudo-colour, or of brains."""


@dataclass(frozen=True)
class Column:
    """A metric of a table."""

    key: str
    title: str
    higher_is_better: bool
    definition: str
    digits: int = 4
    stand_in: str = ""
    """What ours is called where the published metric can't be had and another is taken, never by the same name."""


@dataclass(frozen=True)
class Row:
    """A line of a table: one system, trained and judged `Table.runs` times."""

    key: str
    title: str
    recipe: str = ""
    """Name of a recipe that came with the library; empty where nothing is trained."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What this row changes in the options of the recipe or the transfer."""
    published: Mapping[str, Score] = field(default_factory=dict)
    published_runs: tuple[Mapping[str, Score], ...] = ()
    segmentation: bool = False
    """Its system reads a segmentation network, which has to be trained first."""
    transfer: str = ""
    """Name of a transfer from a reference picture (`exemplar.registry`), where nothing is trained."""


@dataclass(frozen=True)
class Finding:
    """A sentence of a paper that compares two rows: `above` has the higher score, on the pictures of `group`."""

    text: str
    above: str
    below: str
    column: str
    group: str = ""
    """Which pictures (`RunScores.facts["groups"]`); empty: all."""


@dataclass(frozen=True)
class Table:
    """One table of one paper."""

    name: str
    title: str
    paper: str
    data: Data
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    runs: int
    steps: int
    """Training steps of a row in the paper; for a transfer, iterations a picture, all stages together."""
    batch: int
    proposal: str
    """Key of the row the paper proposes: the others are tested against it."""
    protocol: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    size: int = 256
    """Side of a picture in the paper, pixels."""
    findings: tuple[Finding, ...] = ()
    """What the paper says in words, to be tried here."""

    @property
    def trains(self) -> bool:
        """False for tables of transfers, which optimise each picture by itself."""
        return not self.data.startswith("exemplar")


@dataclass(frozen=True)
class Budget:
    """How much of the paper's training is done."""

    name: str
    steps: int
    size: int


_SIZES = {"tiny": (4, 64), "small": (200, 128), "medium": (1000, 256)}


def budget_of(word: str, table: Table) -> Budget:
    """`tiny`, `small`, `medium`, `paper`, or a number of training steps (at 128 pixels below 500, else at 256)."""
    if word in _SIZES:
        return Budget(word, *_SIZES[word])
    if word == "paper":
        return Budget(word, table.steps, table.size)
    if word.isdigit() and int(word) > 0:
        return Budget(f"{word} steps", int(word), 128 if int(word) < 500 else 256)
    names = ", ".join([*_SIZES, "paper"])
    raise UsageError(f"There is no budget '{word}'. Budgets: {names}, or a number of training steps.")


def table_names() -> list[str]:
    """Every table that can be asked for."""
    from .papers_tables import TABLES

    return list(TABLES)


def find_table(name: str) -> Table:
    """A table by its name."""
    from .papers_tables import TABLES

    if name in TABLES:
        return TABLES[name]
    near = difflib.get_close_matches(name, TABLES, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known tables: {', '.join(TABLES)}."
    raise UsageError(f"There is no table '{name}'. {hint}")
