"""Changes: what moved between two loads of a month, request by request, as a pure function of their rows.

The portal gives no id, so rows are compared as multisets within those that share an identity (department, issue type and
opening instant): two twins that swap places, and so their ids, have not changed. A row that vanishes under one label while
its equal appears under another was relabelled; once a label is known to have been renamed, its rows that changed otherwise
in the same release are recognised too. Replaying the changes on the first state gives the second (the tests' law).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import product
from operator import itemgetter, ne
from typing import Any, Literal

from vanc311_pipeline.requests.identity import CONTENT, KEY, LABEL
from vanc311_pipeline.requests.rows import Row
from vanc311_pipeline.schema import service_requests

Kind = Literal["opened", "closed", "reopened", "edited", "relabelled", "vanished"]
KINDS: tuple[Kind, ...] = ("relabelled", "closed", "reopened", "edited", "vanished", "opened")
Fields = dict[str, Any]
Label = tuple[str, str]
"""Department and issue type."""

_AT = {column.name: place for place, column in enumerate(service_requests.columns)}


def _of(*names: str) -> Callable[[Row], Any]:
    return itemgetter(*(_AT[name] for name in names))


_id, _occurrence, _opened_at, _status = map(_of, ("request_id", "occurrence", "opened_at", "status"))
_identity, _label, _content = _of(*KEY), _of(*LABEL), _of(*CONTENT)

_Pairs = list[tuple[Row, Row]]
"""Rows as they were and as they are."""


@dataclass(frozen=True)
class Change:
    kind: Kind
    request_id: str
    """The id that the request has now; of a vanished one, the id that it had."""
    previous_request_id: str | None
    """The id that it had before, if that was another one."""
    department: str
    issue_type: str
    opened_at: str
    sharing: int
    """How many requests share these three, itself included; above 1 the city's data can't tell them apart over time."""
    before: Fields | None
    """The changed fields as they were; all of them if it vanished, None if it is new."""
    after: Fields | None
    """The changed fields as they are; all of them if it is new, None if it vanished."""

    @property
    def label(self) -> Label:
        return self.department, self.issue_type


def compare(before: Iterable[Row], after: Iterable[Row]) -> list[Change]:
    """Every change that leads from one state of a month to the next, both in the column order of `schema.service_requests`."""
    old, new = set(before), set(after)
    if old == new:
        return []
    # What differs in its occurrence number only has not changed.
    _, gone, come = _match(old - new, new - old, lambda row: (_identity(row), _content(row)))
    pairs, gone, come = _match(gone, come, _identity)
    renamed, vanished, opened = _relabelled(gone, come)
    before_sharing, sharing = Counter(map(_identity, old)), Counter(map(_identity, new))
    changes = [_change("relabelled", one, other, LABEL, sharing) for one, other in renamed]
    changes += [
        _change(_kind(one, other), one, other, CONTENT, sharing)
        for one, other in (*pairs, *renamed)
        if _content(one) != _content(other)
    ]
    changes += [_change("vanished", row, None, CONTENT, before_sharing) for row in vanished]
    changes += [_change("opened", None, row, CONTENT, sharing) for row in opened]
    return sorted(
        changes, key=lambda change: (change.opened_at, change.label, KINDS.index(change.kind), change.request_id)
    )


def _match(
    gone: Iterable[Row], come: Iterable[Row], mark: Callable[[Row], Hashable]
) -> tuple[_Pairs, set[Row], set[Row]]:
    """Pair rows of equal mark, the most alike first; the pairs, and what is left over on each side."""
    sides: dict[Hashable, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((gone, come)):
        for row in rows:
            sides[mark(row)][side].append(row)
    pairs: dict[Row, Row] = {}
    taken: set[Row] = set()
    for alike in sides.values():
        for one, other in sorted(product(*alike), key=_unlikeness):
            if one not in pairs and other not in taken:
                pairs[one] = other
                taken.add(other)
    return list(pairs.items()), set(gone) - pairs.keys(), set(come) - taken


def _unlikeness(pair: tuple[Row, Row]) -> tuple[Any, ...]:
    """How many fields differ; of equally unlike pairs, those with the first numbers come first."""
    return sum(map(ne, *map(_content, pair))), *map(_occurrence, pair), *map(_id, pair)


def _relabelled(gone: set[Row], come: set[Row]) -> tuple[_Pairs, set[Row], set[Row]]:
    """Match rows that vanished under one label with rows that appeared under another; the matches and what is left over."""
    pairs, gone, come = _match(gone, come, lambda row: (_opened_at(row), _content(row)))
    for label, name in sorted({(_label(one), _label(other)) for one, other in pairs}):
        more, _, _ = _match(
            [row for row in gone if _label(row) == label], [row for row in come if _label(row) == name], _opened_at
        )
        pairs += more
        gone -= {one for one, _ in more}
        come -= {other for _, other in more}
    return pairs, gone, come


def _kind(old: Row, new: Row) -> Kind:
    was, is_ = _status(old), _status(new)
    return "closed" if is_ == "Close" != was else "reopened" if was == "Close" != is_ else "edited"


def _change(
    kind: Kind, old: Row | None, new: Row | None, names: Iterable[str], sharing: Counter[tuple[str, str, str]]
) -> Change:
    row = new or old
    assert row
    previous = None if old is None or new is None or _id(old) == _id(new) else _id(old)
    # That the id moved with the label is said once, by the relabelling.
    if kind != "relabelled" and old and _label(old) != _label(row):
        previous = None
    return Change(
        kind=kind,
        request_id=_id(row),
        previous_request_id=previous,
        department=row[_AT["department"]],
        issue_type=row[_AT["issue_type"]],
        opened_at=_opened_at(row),
        sharing=sharing[_identity(row)],
        before=_fields(names, old, new),
        after=_fields(names, new, old),
    )


def _fields(names: Iterable[str], row: Row | None, other: Row | None) -> Fields | None:
    """Of these fields of a row, those that differ from another row's; without one, those that hold something."""
    if row is None:
        return None
    return {name: row[at] for name in names if row[at := _AT[name]] != (other[at] if other else None)}
