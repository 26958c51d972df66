"""Faults: what goes wrong, on which dataset and request, how often; and those that change how the rows look."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.releases import CLOSED, OPENED, PORTAL, SCHEMA, TEXT, text_cells

ON = ("metadata", "records", "export", "grouped", "any")
BY_KIND: Final = -1
FLAPS = (True, True, False, False, False, True)  # as seen on another portal: 0, 0, right, right, right, 0


class Kind(NamedTuple):
    """A kind of fault: what it does, on which questions, whether for ever or once, and its details."""

    sentence: str
    on: str = "any"
    lasting: bool = False
    details: tuple[str, ...] = ()


KINDS = {name: Kind(**entry) for name, entry in PORTAL["faults"].items()}


class Fault:
    """One fault to play. `times=None` is for ever, `after=k` spares the first k matching requests; what is left out is as the kind has it."""

    def __init__(
        self,
        kind: str,
        *,
        dataset: str | None = None,
        on: str | None = None,
        times: int | None = BY_KIND,
        after: int = 0,
        **details: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; the kinds are {', '.join(KINDS)}.")
        usual = KINDS[kind]
        if on not in (None, *ON):
            raise ValueError(f"A fault can't be on {on!r}; it is on one of {', '.join(ON)}.")
        if unusual := sorted(set(details) - set(usual.details)):
            takes = ", ".join(usual.details) or "none"
            raise ValueError(f"Fault {kind} has no {', '.join(unusual)}; it takes {takes}.")
        for name, values in (("edit", EDITS), ("field", [*SCHEMA.names, "geom"])):
            if details.get(name) not in (None, *values):
                raise ValueError(f"There is no {name} {details[name]!r}; there are {', '.join(values)}.")
        self.kind, self.dataset, self.on, self.after, self.details = kind, dataset, on or usual.on, after, details
        self.times = (None if usual.lasting else 1) if times == BY_KIND else times
        self._met = 0

    def strikes(self, dataset: str, on: str) -> bool:
        """Whether a request meets it; one that could is counted."""
        if self.dataset not in (None, dataset) or self.on not in ("any", on):
            return False
        turn, self._met = self._met - self.after, self._met + 1
        due = turn >= 0 and (self.times is None or turn < self.times)
        return due and (self.kind != "count_flaps" or FLAPS[turn % len(FLAPS)])


def fault_from_text(text: str) -> Fault | Callable[[pd.DataFrame], pd.DataFrame]:
    """A fault, or an edit of the rows, from `KIND` or `KIND:key=value,key=value`."""
    kind, _, rest = text.partition(":")
    values = {name: _value(value) for name, value in (pair.split("=") for pair in rest.split(",") if pair)}
    return partial(EDITS[kind].function, **values) if kind in EDITS else Fault(kind, **values)


def _value(text: str) -> Any:
    """A number where the text is one; None for `forever`."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return None if text == "forever" else text


def seen_through(table: pa.Table, faults: list[Fault]) -> pa.Table:
    """The rows as a request with these faults sees them, in metadata and answers."""
    for fault in faults:
        name = fault.details.get("field", CLOSED if fault.kind == "field_retyped" else "channel")
        if fault.kind == "field_added" and "ward" not in table.column_names:
            table = table.append_column("ward", pa.nulls(table.num_rows, TEXT))
        elif name not in table.column_names:
            continue  # another fault has dropped it
        elif fault.kind == "field_dropped":
            table = table.drop_columns(name)
        elif fault.kind == "field_reordered":
            table = table.select(sorted(table.column_names, key=lambda other: other != name))
        elif fault.kind == "field_retyped":
            table = _with(table, name, text_cells(table[name]))
    return table


def garbled(table: pa.Table, faults: list[Fault]) -> pa.Table:
    """An answer in which the first `rows` values of a field can't be parsed."""
    for fault in faults:
        name = fault.details.get("field", OPENED)
        if fault.kind == "garbled_field" and name in table.column_names:
            spoilt = pa.array(np.arange(table.num_rows) < fault.details.get("rows", 1))
            values = pc.if_else(spoilt, fault.details.get("value", "not-a-date"), text_cells(table[name]))
            table = _with(table, name, values)
    return table


def _with(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
