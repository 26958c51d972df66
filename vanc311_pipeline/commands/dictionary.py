"""Prints the data dictionary as Markdown: `python -m vanc311_pipeline.commands.dictionary > docs/data_dictionary.md`."""

from collections.abc import Iterator
from itertools import groupby

from vanc311_pipeline.settings import LICENCE
from vanc311_pipeline.warehouse.publishing import dictionary_rows


def markdown() -> Iterator[str]:
    """The lines of docs/data_dictionary.md; the same rows are the table `dictionary` of the published file."""
    yield "# Data dictionary"
    yield ""
    yield "Every table and view of `published/vanc311.sqlite`. Written by `make docs` from `vanc311_pipeline/schema.py`; don't edit."
    yield f"{LICENCE}"
    for name, rows in groupby(dictionary_rows(), key=lambda row: row["table_name"]):
        yield ""
        yield f"## {name}"
        yield ""
        table, *columns = rows
        yield table["meaning"] or ""
        yield ""
        yield "| column | meaning | unit |"
        yield "|---|---|---|"
        for row in columns:
            yield f"| `{row['column_name']}` | {row['meaning']} | {row['unit']} |"


if __name__ == "__main__":
    print("\n".join(markdown()))
