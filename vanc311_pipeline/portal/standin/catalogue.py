"""Everything that can go wrong, in one list: the faults and the edits.

Belongs here: the joint catalogue with a sentence each, and reading `KIND:key=value,...` as given on a command line.
Does not belong here: what each of them does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from vanc311_pipeline.portal.standin.edits import EDITS
from vanc311_pipeline.portal.standin.faults import KINDS, Fault

RowChange = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue; `item` is its letter in the list of faults that the portal contract asks for."""

    item: str
    sentence: str
    details: str
    is_edit: bool


def _entries() -> dict[str, Entry]:
    faults = {
        name: Entry(
            kind.item,
            kind.sentence,
            ", ".join([f"on={kind.on}", f"times={'forever' if kind.times is None else kind.times}", *kind.details]),
            False,
        )
        for name, kind in KINDS.items()
    }
    edits = {
        name: Entry(edit.item, edit.sentence, ", ".join(f"{k}={v}" for k, v in edit.details.items()), True)
        for name, edit in EDITS.items()
    }
    return dict(sorted({**faults, **edits}.items(), key=lambda pair: pair[1].item))


CATALOGUE = _entries()


def fault_from_text(text: str) -> Fault | RowChange:
    """A fault, or a change of the rows, from `KIND` or `KIND:key=value,key=value`."""
    kind, _, rest = text.partition(":")
    values: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} in fault {text!r} is no key=value.")
        values[name.strip()] = value.strip()
    if kind in EDITS:
        return _edit(kind, values)
    for name in ("times", "after"):
        if name in values:
            values[name] = None if values[name] == "forever" else _number(name, values[name])
    return Fault(kind, **values)


def _edit(kind: str, values: dict[str, str]) -> RowChange:
    defaults = EDITS[kind].details
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise ValueError(f"{kind} has no {', '.join(unknown)}; it takes {', '.join(defaults) or 'none'}.")
    typed = {name: _number(name, v) if isinstance(defaults[name], int) else v for name, v in values.items()}
    return partial(EDITS[kind].function, **typed)


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(f"{name} is a whole number, not {value!r}.") from error
