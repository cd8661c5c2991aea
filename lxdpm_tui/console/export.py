"""The shown table as CSV or JSON: its rows in their order, with the columns that are chosen."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from lxdpm_tui.console.columns import Column, Look

SLICE = 500  # rows between two breaths


async def table_text(rows: Sequence[Any], columns: Sequence[Column], look: Look, format: str) -> str:
    """format: "csv" or "json". JSON has numbers where the column orders by one (bytes, seconds, percent)."""
    shown = [column for column in columns if column.when is None or column.when(look)]
    if format == "json":
        objects = []
        for number, row in enumerate(rows, 1):
            objects.append({column.id: _value(column, row, look) for column in shown})
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return json.dumps(objects, indent=1, ensure_ascii=False) + "\n"
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow([column.title for column in shown])
    for number, row in enumerate(rows, 1):
        writer.writerow([_safe(column.value(row, look)) for column in shown])
        if number % SLICE == 0:
            await asyncio.sleep(0)
    return sheet.getvalue()


def _value(column: Column, row: Any, look: Look) -> Any:
    number = column.sort(row) if column.sort is not None else None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else column.value(row, look)


def _safe(text: str) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and len(text) > 1 else text
