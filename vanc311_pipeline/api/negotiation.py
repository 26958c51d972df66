"""What a client says that it takes and has: pure functions of header values (RFC 9110)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

JSON, CSV, GEOJSON, PROBLEM = "application/json", "text/csv", "application/geo+json", "application/problem+json"
HTML = "text/html"
GZIP_LEVEL = 5


def prefers_csv(accept: str) -> bool:
    """Whether CSV is asked for, and more than JSON."""
    weights = _weights(accept)
    return weights.get(CSV, 0.0) > weights.get(JSON, 0.0)


def prefers_html(accept: str) -> bool:
    """Whether a page is asked for, and more than JSON: by a browser, of whatever its reader follows or types."""
    weights = _weights(accept)
    return weights.get(HTML, 0.0) > max(weights.get(JSON, 0.0), weights.get(PROBLEM, 0.0))


def accepts_gzip(accept_encoding: str) -> bool:
    weights = _weights(accept_encoding)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def not_modified(etag: str, last_modified: datetime | None, asked: Mapping[str, str]) -> bool:
    """Whether the client has this already, by its headers. An ETag is the better witness, so a date counts only without one."""
    if_none_match, if_modified_since = asked.get("if-none-match"), asked.get("if-modified-since")
    if if_none_match:
        return if_none_match.strip() == "*" or _opaque(etag) in {_opaque(each) for each in if_none_match.split(",")}
    if last_modified is None or not if_modified_since:
        return False
    try:
        since = parsedate_to_datetime(if_modified_since)
    except (ValueError, OverflowError):  # no date, or of a year that none has
        return False
    return last_modified <= (since if since.tzinfo else since.replace(tzinfo=UTC))


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def gzipped(etag: str) -> str:
    """The ETag of the same answer compressed: other bytes, so another strong ETag."""
    return f'{etag[:-1]}{_GZIP}"'


_GZIP = "-gzip"


def _opaque(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"').removesuffix(_GZIP)


def _weights(header: str) -> dict[str, float]:
    """What a list of preferences says of each item; 1 if it says nothing."""
    weights = {}
    for part in header.lower().split(","):
        item, *options = (piece.strip() for piece in part.split(";"))
        weight = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            weights[item] = float(weight)
        except ValueError:
            weights[item] = 0.0
    return weights
