"""Changes: what moved between two loads of a month, request by request.

What belongs here: the comparison of two states of a month, as a pure function of their rows. What does not: the log in
which the changes are kept (`warehouse.changelog`).

The portal gives no id, so rows are compared as multisets within those that share an identity (department, issue type and
opening instant): two twins that swap places, and so their ids, have not changed. A row that vanishes under one label while
its equal appears under another was relabelled; once a label is known to have been renamed, its rows that changed otherwise
in the same release are recognised too. Replaying the changes on the first state gives the second (the tests' law).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vanc311_pipeline.requests.identity import CONTENT, LABEL
from vanc311_pipeline.requests.rows import Row
from vanc311_pipeline.schema import service_requests

Kind = Literal["opened", "closed", "reopened", "edited", "relabelled", "vanished"]
KINDS: tuple[Kind, ...] = ("relabelled", "closed", "reopened", "edited", "vanished", "opened")
Fields = dict[str, Any]
Label = tuple[str, str]
"""Department and issue type."""

_AT = {column.name: place for place, column in enumerate(service_requests.columns)}
_CONTENT_AT = [_AT[name] for name in CONTENT]


@dataclass(frozen=True)
class Change:
    """One change of one request."""

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
    """Every change that leads from one state of a month to the next; empty if they hold the same requests.

    Args:
        before, after: rows in the column order of `schema.service_requests`.
    """
    old, new = set(before), set(after)
    gone, come = _by_identity(old - new), _by_identity(new - old)
    pairs: list[tuple[Row, Row]] = []
    vanished: list[Row] = []
    opened: list[Row] = []
    for identity in sorted(gone.keys() | come.keys()):
        left, right = _without_common(gone.get(identity, []), come.get(identity, []))
        paired, left, right = _pair(left, right)
        pairs += paired
        vanished += left
        opened += right
    renamed, vanished, opened = _relabelled(vanished, opened)
    touched = {_identity(row) for row in (*vanished, *opened, *(row for pair in (*pairs, *renamed) for row in pair))}
    sharing_before, sharing_now = _count(old, touched), _count(new, touched)
    changes = [_relabelling(old_row, new_row, sharing_now) for old_row, new_row in renamed]
    moved = [pair for pair in (*pairs, *renamed) if _content(pair[0]) != _content(pair[1])]
    changes += [_edit(old_row, new_row, sharing_now) for old_row, new_row in moved]
    changes += [_change("vanished", row, None, sharing_before, before=_whole(row)) for row in vanished]
    changes += [_change("opened", row, None, sharing_now, after=_whole(row)) for row in opened]
    return sorted(
        changes, key=lambda change: (change.opened_at, change.label, KINDS.index(change.kind), change.request_id)
    )


def _identity(row: Row) -> tuple[str, str, str]:
    return row[_AT["department"]], row[_AT["issue_type"]], row[_AT["opened_at"]]


def _label(row: Row) -> Label:
    return row[_AT["department"]], row[_AT["issue_type"]]


def _content(row: Row) -> tuple[Any, ...]:
    return tuple(row[place] for place in _CONTENT_AT)


def _whole(row: Row) -> Fields:
    return {name: row[_AT[name]] for name in CONTENT if row[_AT[name]] is not None}


def _by_identity(rows: Iterable[Row]) -> dict[tuple[str, str, str], list[Row]]:
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row[_AT["occurrence"]], row[0])):
        groups[_identity(row)].append(row)
    return groups


def _count(rows: Iterable[Row], touched: set[tuple[str, str, str]]) -> Counter[tuple[str, str, str]]:
    return Counter(identity for row in rows if (identity := _identity(row)) in touched) if touched else Counter()


def _without_common(left: Sequence[Row], right: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Both sides without what is equal in content: rows that only got another occurrence number."""
    common = Counter(map(_content, left)) & Counter(map(_content, right))
    return _less(left, common.copy()), _less(right, common)


def _less(rows: Sequence[Row], common: Counter[tuple[Any, ...]]) -> list[Row]:
    kept = []
    for row in rows:
        if common[_content(row)]:
            common[_content(row)] -= 1
        else:
            kept.append(row)
    return kept


def _pair(left: Sequence[Row], right: Sequence[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Match old rows with new ones, the most alike first; the matches, and what is left over on each side."""
    likeness = [
        (-sum(a == b for a, b in zip(_content(old), _content(new), strict=True)), old, new)
        for old in left
        for new in right
    ]
    pairs, taken_old, taken_new = [], set(), set()
    for _, old, new in sorted(likeness, key=lambda item: (item[0], item[1][0], item[2][0])):
        if old[0] not in taken_old and new[0] not in taken_new:
            pairs.append((old, new))
            taken_old.add(old[0])
            taken_new.add(new[0])
    return pairs, [row for row in left if row[0] not in taken_old], [row for row in right if row[0] not in taken_new]


def _relabelled(vanished: Sequence[Row], opened: Sequence[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Match rows that vanished under one label with rows that appeared under another; the matches and what is left over."""
    equal = [(_same_but_label(row), row) for row in vanished]
    pairs, vanished, opened = _match(equal, [(_same_but_label(row), row) for row in opened])
    renamings: dict[Label, set[Label]] = defaultdict(set)
    for old, new in pairs:
        renamings[_label(old)].add(_label(new))
    more, left, right = [], list(vanished), list(opened)
    for label, names in sorted(renamings.items()):
        for name in sorted(names):
            old_rows = [((row[_AT["opened_at"]],), row) for row in left if _label(row) == label]
            new_rows = [((row[_AT["opened_at"]],), row) for row in right if _label(row) == name]
            matched, _, _ = _match(old_rows, new_rows)
            more += matched
            taken = {row[0] for pair in matched for row in pair}
            left = [row for row in left if row[0] not in taken]
            right = [row for row in right if row[0] not in taken]
    return [*pairs, *more], left, right


def _same_but_label(row: Row) -> tuple[Any, ...]:
    return row[_AT["opened_at"]], *_content(row)


def _match(
    left: Sequence[tuple[tuple[Any, ...], Row]], right: Sequence[tuple[tuple[Any, ...], Row]]
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pair rows of equal mark; several of one mark by likeness."""
    sides: dict[tuple[Any, ...], tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for side, marked in enumerate((left, right)):
        for mark, row in marked:
            sides[mark][side].append(row)
    pairs: list[tuple[Row, Row]] = []
    rest: tuple[list[Row], list[Row]] = ([], [])
    for old, new in sides.values():
        matched, old_left, new_left = _pair(old, new)
        pairs += matched
        rest[0].extend(old_left)
        rest[1].extend(new_left)
    return pairs, *rest


def _relabelling(old: Row, new: Row, sharing: Counter[tuple[str, str, str]]) -> Change:
    return _change("relabelled", new, old, sharing, *_differing(LABEL, old, new))


def _edit(old: Row, new: Row, sharing: Counter[tuple[str, str, str]]) -> Change:
    was, is_ = old[_AT["status"]], new[_AT["status"]]
    kind: Kind = "closed" if is_ == "Close" != was else "reopened" if was == "Close" != is_ else "edited"
    previous = old if _label(old) == _label(new) else None
    return _change(kind, new, previous, sharing, *_differing(CONTENT, old, new))


def _differing(names: Sequence[str], old: Row, new: Row) -> tuple[Fields, Fields]:
    """The fields that differ, as they were and as they are."""
    names = [name for name in names if old[_AT[name]] != new[_AT[name]]]
    return {name: old[_AT[name]] for name in names}, {name: new[_AT[name]] for name in names}


def _change(
    kind: Kind,
    row: Row,
    previous: Row | None,
    sharing: Counter[tuple[str, str, str]],
    before: Fields | None = None,
    after: Fields | None = None,
) -> Change:
    return Change(
        kind=kind,
        request_id=row[_AT["request_id"]],
        previous_request_id=previous[0] if previous and previous[0] != row[0] else None,
        department=row[_AT["department"]],
        issue_type=row[_AT["issue_type"]],
        opened_at=row[_AT["opened_at"]],
        sharing=sharing[_identity(row)],
        before=before,
        after=after,
    )
