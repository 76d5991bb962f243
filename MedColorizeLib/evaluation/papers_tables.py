"""Every table by name."""

from __future__ import annotations

from . import papers_colormedgan, papers_liang, papers_zeng
from .papers import Table

TABLES: dict[str, Table] = {
    table.name: table for table in (*papers_liang.TABLES, *papers_colormedgan.TABLES, *papers_zeng.TABLES)
}
