"""Rows as files for spreadsheets: CSV and XLSX. What the city writes is text there, whatever it looks like to Excel."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from vanc311_pipeline.errors import printable

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BYTE_ORDER_MARK = "\ufeff"
"""By this Excel takes a file for UTF-8."""


def harmless(text: str) -> str:
    """A text as it may stand in a CSV: no spreadsheet takes it for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    harmless_rows = ([harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\r\n").writerows(harmless_rows)
    return text.getvalue().encode()


def workbook(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], notes: Sequence[tuple[str, Any]], name: str
) -> bytes:
    """A sheet of values under their names, and a sheet of notes on them. Days are dates, numbers are numbers."""
    import xlsxwriter  # takes a while, and few ask for it

    file = io.BytesIO()
    how = {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}
    with xlsxwriter.Workbook(file, how) as book:
        bold, wide = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
        values, about = book.add_worksheet(name), book.add_worksheet("Notes")
        values.freeze_panes(1, 0)
        values.set_column(0, len(columns) - 1, 18)
        about.set_column(0, 0, 22, bold)
        about.set_column(1, 1, 90, wide)
        for sheet, lines in ((values, [columns]), (about, notes)):
            for number, line in enumerate(lines):
                _write(sheet, number, line, bold if sheet is values else None)
        number = 0
        for number, row in enumerate(rows, 1):
            _write(values, number, row)
        values.autofilter(0, 0, number, len(columns) - 1)
    return file.getvalue()


def _write(sheet: Any, number: int, row: Sequence[Any], style: Any = None) -> None:
    for place, value in enumerate(row):
        if isinstance(value, str):
            sheet.write_string(number, place, printable(value), style)
        elif isinstance(value, date):
            sheet.write_datetime(number, place, value)
        elif value is not None:
            sheet.write_number(number, place, value)
