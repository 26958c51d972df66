"""The stand-in's state: releases, clock, quota, faults, and the log of requests.

Belongs here: what is published and when, what time it is, how much of the quota is left, and who asked what.
Does not belong here: HTTP, and how questions are answered.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from vanc311_pipeline.portal.standin.datasets import Release
from vanc311_pipeline.portal.standin.edits import EDITS
from vanc311_pipeline.portal.standin.faults import Board, Fault
from vanc311_pipeline.portal.standin.intake import SAMPLE_REQUESTS, Source, area_table, request_frame, request_table
from vanc311_pipeline.portal.standin.options import Options
from vanc311_pipeline.portal.standin.replies import Headers, next_midnight
from vanc311_pipeline.portal.standin.tables import ARCHIVE, AREAS, LIVE
from vanc311_pipeline.portal.standin.views import check

RELEASED_AT = datetime(2026, 1, 13, 14, 6, 58, tzinfo=UTC)  # the day after the sample's newest change


@dataclass
class RequestRecord:
    """One request: what was asked, and the status and number of rows that were answered."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    url: str = ""
    status: int | None = None
    rows: int = 0
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The record for a log file: without an API key, which a client may have sent by mistake."""
        record = asdict(self)
        record["url"] = re.sub(r"(?<=apikey=)[^&]+", "***", self.url)
        record["query"] |= {"apikey": "***"} if "apikey" in self.query else {}
        record["headers"] |= {"authorization": "***"} if "authorization" in self.headers else {}
        return record


class PortalState:
    """Everything that the stand-in remembers between requests."""

    def __init__(
        self,
        requests: Source | None = None,
        archive: Source | None = None,
        areas: str | Path | None = None,
        released_at: datetime | None = None,
        options: Options | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self.options = options or Options()
        self.requests_log: list[RequestRecord] = []
        self._on_request = on_request
        self._board = Board()
        self._clock: datetime | None = None
        self._used: Counter[tuple[str, str]] = Counter()
        self._lock = threading.RLock()
        live = request_table(SAMPLE_REQUESTS if requests is None else requests)
        frozen = datetime(2024, 4, 24, 22, 32, 28, tzinfo=UTC)
        drawn = datetime(2023, 6, 24, 13, 47, 12, tzinfo=UTC)
        self._releases = {
            LIVE: Release(LIVE, live, _aware(released_at or RELEASED_AT)),
            ARCHIVE: Release(
                ARCHIVE, request_table(archive), frozen, modified=datetime(2024, 4, 24, 20, 8, 41, tzinfo=UTC)
            ),
            AREAS: Release(AREAS, area_table(areas), drawn),
        }

    @property
    def frame(self) -> pd.DataFrame:
        """The live rows as a frame: text, UTC instants, Python dates, floats; no geom."""
        return request_frame(self._releases[LIVE].table)

    @property
    def released_at(self) -> datetime:
        """data_processed of the live dataset."""
        return self._releases[LIVE].data_processed

    def release(self, dataset_id: str) -> Release | None:
        return self._releases.get(dataset_id)

    def publish(self, requests: Source, released_at: datetime | None = None) -> None:
        """Replace the live rows; data_processed moves to the given moment, or by one day."""
        table = request_table(requests)
        with self._lock:
            old = self._releases[LIVE]
            moment = _aware(released_at) if released_at else old.data_processed + timedelta(days=1)
            self._releases[LIVE] = Release(LIVE, table, moment)

    def publish_edit(self, edit: str | None) -> None:
        """Publish the live rows again, one day later, changed by the named edit if there is one."""
        if edit:
            self.publish(EDITS[edit].function(self.frame))
            return
        with self._lock:
            old = self._releases[LIVE]
            self._releases[LIVE] = replace(old, data_processed=old.data_processed + timedelta(days=1))

    def play(self, fault: Fault) -> None:
        """Put a fault in play; ValueError if it does not fit the dataset."""
        edit, release = fault.details.get("edit"), self.release(fault.dataset or LIVE)
        if edit is not None and edit not in EDITS:
            raise ValueError(f"There is no edit {edit!r}; the edits are {', '.join(EDITS)}.")
        if release is None:
            raise ValueError(f"There is no dataset {fault.dataset!r}; there are {', '.join(self._releases)}.")
        check(fault, release.table)
        self._board.play(fault)

    def clear_faults(self) -> None:
        self._board.clear()

    def faults_met(self, dataset: str, on: str, address: str) -> list[Fault]:
        return self._board.met_by(dataset, on, address)

    def set_clock(self, moment: datetime | None) -> None:
        """Stop the clock at a moment; None lets it run with the computer's again."""
        self._clock = None if moment is None else _aware(moment)

    def now(self) -> datetime:
        return self._clock or datetime.now(UTC)

    def count_call(self, client: str) -> int:
        """Count a call against the quota; the calls left, negative when it is used up."""
        who = "everyone" if self.options.quota_scope == "shared" else client
        with self._lock:
            self._used[who, self.now().date().isoformat()] += 1
            return self.options.quota - self._used[who, self.now().date().isoformat()]

    def rate_headers(self, left: int) -> Headers:
        return [
            ("x-ratelimit-remaining", str(left)),
            ("x-ratelimit-limit", str(self.options.quota)),
            ("x-ratelimit-reset", next_midnight(self.now()).strftime("%Y-%m-%d %H:%M:%S+00:00")),
        ]

    def log(self, record: RequestRecord) -> None:
        with self._lock:
            self.requests_log.append(record)
            if self._on_request:
                self._on_request(record)

    def clear_log(self) -> None:
        with self._lock:
            self.requests_log.clear()


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
