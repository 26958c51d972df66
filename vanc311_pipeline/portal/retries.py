"""When to ask the portal again: what is tried once more and after which pause, and what its 429 means: a moment or the day, and
until when, by the portal's own clock if it sends a readable one.
"""

import json
from collections.abc import Callable, Mapping
from datetime import MAXYEAR, UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import tenacity

from vanc311_pipeline.errors import CountMismatch, PortalError, PortalUnavailable, QuotaExceeded, TooManyRequests
from vanc311_pipeline.portal.contract import instant
from vanc311_pipeline.settings import BURST_SECONDS, QUOTA_SECONDS, RETRY_WAIT_MAX_SECONDS


def retrying(attempts: int, first_wait: float) -> tenacity.Retrying:
    """Tries what the portal did not answer, or not as it counted, with pauses of seconds that double, and are as long as it asks."""
    backoff = tenacity.wait_exponential_jitter(multiplier=first_wait, max=RETRY_WAIT_MAX_SECONDS, jitter=first_wait)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((PortalUnavailable, CountMismatch)),
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: max(backoff(state), _asked_to_wait(state)),
        reraise=True,
    )


def _asked_to_wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.seconds if isinstance(error, TooManyRequests) else 0.0


def refusal_of_calls(headers: Mapping[str, str], body: bytes) -> PortalError:
    """The error that a 429 is: `TooManyRequests` if it ends within `BURST_SECONDS`, else `QuotaExceeded`."""
    now = moment(parsedate_to_datetime, headers.get("date")) or datetime.now(UTC)
    document = _object(body)
    ends = (
        moment(lambda text: now + timedelta(seconds=int(text)), headers.get("retry-after")),
        moment(parsedate_to_datetime, headers.get("retry-after")),
        moment(instant, document.get("reset_time")),
        moment(instant, headers.get("x-ratelimit-reset")),
    )
    until = next((min(end, now + timedelta(seconds=QUOTA_SECONDS)) for end in ends if end and end >= now), None)
    seconds = (until - now).total_seconds() if until else 0.0
    if document.get("limit_time_unit") in ("second", "minute") or (until and seconds <= BURST_SECONDS):
        return TooManyRequests(
            "The portal refuses so many questions at once (status 429).", min(seconds, BURST_SECONDS)
        )
    when = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until the next day (00:00 UTC)"
    return QuotaExceeded(
        f"The portal's calls for the day are used up, {when}. Nothing was lost; what was loaded before stays. "
        "Run `vanc311 sync` again after that, or set VANC311_API_KEY to have a quota of your own.",
        until,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def moment(read: Callable[[str], datetime], text: object) -> datetime | None:
    """What `read` makes of a text, in UTC; None if it can't."""
    try:
        instant = read(text) if isinstance(text, str) else None
        if instant is None or instant.year == MAXYEAR:  # after which no day can be added
            return None
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
