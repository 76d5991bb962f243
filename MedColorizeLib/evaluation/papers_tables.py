"""Every table by name. Those of Zeng et al. 2020 have no published values in the text at hand."""

from __future__ import annotations

from . import papers_colormedgan, papers_liang
from .papers import Table

_ZENG = "Zeng et al. 2020, IEEE Access 8"

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *papers_liang.TABLES,
        *papers_colormedgan.TABLES,
        *(
            Table(
                name=f"zeng-{number}",
                title=f"Table {number}: {title}",
                paper=_ZENG,
                data="exemplar",
                columns=papers_colormedgan.LUMA[:2],
                rows=(),
                runs=1,
                steps=2000,
                batch=1,
                proposal="",
                protocol=("One optimisation per picture, 1000 steps in each of two stages, at 224 x 224.",),
                remarks=("The values of this table are not in the text at hand: only trends could be compared.",),
            )
            for number, title in ((1, "weight of the swap loss"), (2, "rate of the weights"), (3, "other systems"))
        ),
    )
}
