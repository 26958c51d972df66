"""Rows as files for spreadsheets: CSV and XLSX. What the city writes is text there, whatever it looks like to Excel.

A hundred thousand rows as XLSX take a processor for some ten seconds. A process of its own writes them, so that no other answer waits
for the interpreter meanwhile.
"""

import csv
import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from itertools import chain
from typing import Any

from vanc311_pipeline.errors import printable

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BYTE_ORDER_MARK = "\ufeff"
"""By this Excel takes a file for UTF-8."""

_NICENESS = 10  # as of the process that draws pictures
_END = None  # comes after the last piece of a workbook


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
    columns: Sequence[str], pieces: Iterable[Sequence[Sequence[Any]]], notes: Sequence[tuple[str, Any]], name: str
) -> bytes:
    """A sheet of values under their names, and a sheet of notes on them. Days are dates, numbers are numbers."""
    command = [sys.executable, "-P", "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        for part in chain([(columns, notes, name)], pieces, [_END]):
            pickle.dump(part, process.stdin)
        process.stdin.close()
        book = process.stdout.read()
    if process.returncode:
        raise ChildProcessError(f"The process that writes workbooks ended with {process.returncode}.")
    return book


def main() -> None:
    """Write the workbook whose parts come; none, if they end early: nobody wants it any more."""
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: our parent decides
    with suppress(EOFError):
        columns, notes, name = pickle.load(sys.stdin.buffer)
        pieces = iter(lambda: pickle.load(sys.stdin.buffer), _END)
        sys.stdout.buffer.write(_workbook(columns, chain.from_iterable(pieces), notes, name))


def _workbook(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], notes: Sequence[tuple[str, Any]], name: str
) -> bytes:
    import xlsxwriter  # whoever only asks for a workbook does without

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


if __name__ == "__main__":
    main()
