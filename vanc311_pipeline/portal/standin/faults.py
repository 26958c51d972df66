"""Faults: what goes wrong, on which dataset and request, how often.

Belongs here: a fault and its catalogue of kinds, and the board that decides which faults a request meets.
Does not belong here: playing them. Wire faults are played where bodies are sent, release, count and schema faults
where answers are made; changes of rows are edits.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final, Literal

On = Literal["metadata", "records", "export", "grouped", "any"]
ON = ("metadata", "records", "export", "grouped", "any")
BY_KIND: Final = -1


@dataclass(frozen=True)
class Kind:
    """A kind of fault: what it does, its letter in the list of the contract, where and how often it strikes."""

    sentence: str
    item: str
    on: On = "any"
    times: int | None = 1
    details: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "cut_mid_row": Kind("The connection is cut inside a 200, in the middle of a row.", "a", "export", 1, ("rows",)),
    "cut_at_row": Kind("The connection is cut inside a 200, at a row boundary.", "a", "export", 1, ("rows",)),
    "short": Kind("A well-formed 200 ends cleanly with fewer rows than asked for.", "b", "export", 1, ("rows",)),
    "interrupted": Kind(
        "A 200 breaks off with the text 'Streaming interrupted due to the following error: …'.",
        "c",
        "export",
        1,
        ("rows", "message"),
    ),
    "quota_429": Kind("The quota is used up: 429 with the portal's own body.", "d", "any", None),
    "odd_429": Kind(
        "A 429 whose details are odd: a reset time far away and without an offset, a burst with Retry-After.",
        "d",
        "any",
        1,
        ("reset_time", "unit", "retry_after"),
    ),
    "server_500": Kind("The server fails with 500.", "e", "any", 1),
    "server_502": Kind("The gateway fails with 502.", "e", "any", 1),
    "slow_drip": Kind("The body arrives a few bytes at a time.", "f", "export", 1, ("bytes", "seconds")),
    "stall": Kind("Half of the body arrives, then nothing, the connection stays open.", "f", "export", 1, ("seconds",)),
    "refused": Kind("The connection is closed without an answer.", "f", "any", 1),
    "dripping_headers": Kind("The headers arrive byte by byte, for ever.", "f", "any", 1, ("seconds",)),
    "endless": Kind("The body goes on after its end.", "f", "any", 1, ("bytes",)),
    "redirect": Kind("The answer is a redirect.", "g", "any", 1, ("location",)),
    "malformed": Kind("A 200 holds JSON that is not what was asked for.", "g", "any", 1, ("text",)),
    "maintenance_page": Kind("An HTML maintenance page comes with status 200.", "g", "any", 1),
    "release_moves_during_export": Kind(
        "data_processed moves while an export is being sent; `edit` names a change of the rows that comes with it.",
        "h",
        "export",
        1,
        ("edit",),
    ),
    "release_moves_unchanged": Kind("data_processed moves, not one row has changed.", "h", "metadata", 1),
    "records_count_off": Kind("records_count differs from the rows by `by`.", "i", "metadata", None, ("by",)),
    "total_count_off": Kind("total_count differs from the rows by `by`.", "i", "records", None, ("by",)),
    "page_order_changes": Kind("Rows come in another order at every request.", "j", "any", None),
    "field_added": Kind(
        "A field appears, in metadata and answers.", "l", "any", None, ("field", "type", "value", "first")
    ),
    "field_dropped": Kind("A field disappears, from metadata and answers.", "l", "any", None, ("field",)),
    "field_reordered": Kind("A field moves to the front, in metadata and answers.", "l", "any", None, ("field",)),
    "field_retyped": Kind(
        "A field changes its type (to text, or a date to datetime).", "l", "any", None, ("field", "type")
    ),
    "garbled_field": Kind(
        "Some values of a field are text that can't be parsed; the metadata knows nothing of it.",
        "p",
        "export",
        None,
        ("field", "value", "rows"),
    ),
    "parquet_layout": Kind(
        "Parquet exports change layout: naive microseconds, dates as text, no geom.", "r", "export", None
    ),
    "rate_headers_absent": Kind("The rate headers are missing from a 200.", "s", "any", None),
    "dataset_gone": Kind("The dataset is gone: 404.", "t", "any", None),
    "corrupt_gzip": Kind("The gzip stream of a 200 is damaged in its middle.", "t", "export", 1),
    "gzip_bomb": Kind("A body of 2 MB is 2.1 GB when it is unzipped.", "t", "any", 1, ("bytes",)),
    "truncated_gzip": Kind("The gzip stream of a 200 lacks its end, the response ends cleanly.", "t", "export", 1),
}


class Fault:
    """One fault to play. `times=None` is for ever, `after=k` spares the first k matching requests.

    `dataset` None is every dataset; `match` is a text that the request's address must contain; further keywords are
    the details of the kind. Where `on` or `times` is left out, the kind's own default holds.
    """

    def __init__(
        self,
        kind: str,
        *,
        dataset: str | None = None,
        on: On | None = None,
        times: int | None = BY_KIND,
        after: int = 0,
        match: str = "",
        **details: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; the kinds are {', '.join(KINDS)}.")
        known = KINDS[kind]
        unknown = sorted(set(details) - set(known.details))
        if unknown:
            raise ValueError(
                f"Fault {kind} has no {', '.join(unknown)}; it takes {', '.join(known.details) or 'none'}."
            )
        if (on or known.on) not in ON:
            raise ValueError(f"A fault can't be on {on!r}; it is on one of {', '.join(ON)}.")
        self.kind, self.dataset, self.match = kind, dataset, match
        self.details = {name: _typed(name, value) for name, value in details.items()}
        self.on: On = on or known.on
        self.times = known.times if times == BY_KIND else times
        self.after = after

    def __repr__(self) -> str:
        return f"Fault({self.kind!r}, on={self.on!r}, times={self.times}, after={self.after})"


def _typed(name: str, value: Any) -> Any:
    number = {"rows": int, "by": int, "bytes": int, "seconds": float}.get(name)
    if number is None:
        return value
    try:
        return number(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"The detail {name} of a fault is a number, not {value!r}.") from error


@dataclass
class _Posted:
    fault: Fault
    seen: int = 0
    played: int = 0


class Board:
    """The faults that are in play, counted request by request."""

    def __init__(self) -> None:
        self._posted: list[_Posted] = []
        self._lock = threading.Lock()

    def play(self, fault: Fault) -> None:
        with self._lock:
            self._posted.append(_Posted(fault))

    def clear(self) -> None:
        with self._lock:
            self._posted.clear()

    def met_by(self, dataset: str, on: str, address: str) -> list[Fault]:
        """The faults that this request meets; each is counted as played."""
        with self._lock:
            met = []
            for posted in self._posted:
                fault = posted.fault
                if fault.dataset not in (None, dataset) or fault.on not in ("any", on) or fault.match not in address:
                    continue
                posted.seen += 1
                if posted.seen <= fault.after or (fault.times is not None and posted.played >= fault.times):
                    continue
                posted.played += 1
                met.append(fault)
            return met
