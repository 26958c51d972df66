"""Lists of requests as people ask for them: what is chosen, in the address; the rows of a page, of a file, and of a map."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import sqlalchemy as sa

from vanc311_pipeline.api.problems import Problem, Wrong
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell
from vanc311_pipeline.dashboard.view import View, day_of
from vanc311_pipeline.reading import addresses, pages, places, requests
from vanc311_pipeline.reading.find import point_of
from vanc311_pipeline.reading.labels import branches_of, group_name, groups, is_group, label_of, plain, slug, to_choose
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import overdue_limits, service_requests
from vanc311_pipeline.settings import LICENCE

ROWS, SHOWN = 25, 10
"""So many are on a page of a list, and where a list stands on a page of something else."""
COUNTED = 10_000
"""At most so many are looked at for a map's points."""
POINTS, ROWS_OF_A_FILE = 5_000, 100_000
ORDERS = {
    "newest": "newest first", "oldest": "oldest first", "longest": "longest open first", "overdue": "most overdue first",
    "problem": "open ones by problem and street", "closest": "closest first",
}  # fmt: skip
OVERDUE = (
    "open for longer than nine in ten of the type took that were opened in the last 12 months, "
    "or in all years where too few of those are closed"
)
STATUSES = {"open": "Open", "closed": "Close"}
_IN_FILES = {status: word for word, status in STATUSES.items()}
RADII = (100, 250, 500, 1_000, 2_000)
FILE_COLUMNS = (
    "request_id", "name", "issue_type", "department", "address", "local_area", "channel", "status", "closure_reason", "opened_on",
    "closed_on", "days_open", "days_to_close", "longer_than_share", "overdue", "latitude", "longitude",
)  # fmt: skip
COLUMNS = {
    "problem": "what", "address": "where", "area": "area", "opened": "since", "state": "state", "among its kind": "standing",
}  # fmt: skip
"""The headings of a list, with the cells of its rows that stand below them."""
IN_AN_AREA = {heading: cell for heading, cell in COLUMNS.items() if cell != "area"}
_LABELS, _DAYS = ("area", "issue"), ("opened_from", "opened_to", "closed_from", "closed_to")

Row = dict[str, Any]
Page = tuple[list[Row], str | None]
"""The rows of a page of a list, and the address of the next."""


@dataclass(frozen=True)
class RequestFilters:
    """Which requests, in the release's own names and in this order in the address; None stands for all."""

    area: str | None = None
    issue: str | None = None
    department: str | None = None
    street: str | None = None
    address: str | None = None
    near: str | None = None
    radius: int | None = None
    bia: str | None = None
    status: str | None = None
    channel: str | None = None
    opened_from: str | None = None
    opened_to: str | None = None
    closed_from: str | None = None
    closed_to: str | None = None
    overdue: str | None = None
    order: str | None = None
    after: str | None = None
    """Where the page begins."""

    @property
    def url(self) -> str:
        """The one address of this list."""
        return self.file("")

    def file(self, kind: str) -> str:
        """The address of the list as a file: `.csv`, `.xlsx`, `.geojson`; all of its pages."""
        asked = {name: value for name, value in self._fields if value is not None and not (kind and name == "after")}
        for name in ("area", "issue", "department"):
            if name in asked and (name != "department" or not is_group(asked[name])):
                asked[name] = slug(name, asked[name])
        return f"/requests{kind}" + (f"?{urlencode(asked, quote_via=quote, safe=',')}" if asked else "")

    def but(self, **changes: Any) -> "RequestFilters":
        """The same otherwise, from its first page on; what needs a point goes with it, and an order that is the usual one."""
        other = replace(self, **{"after": None, **changes})
        if other.near is None:
            other = replace(other, radius=None, order=None if other.order == "closest" else other.order)
        if other.status == "closed":  # no closed one is overdue, or open for longest
            other = replace(other, overdue=None, order=None if other.order in requests.OF_OPEN else other.order)
        return replace(other, order=None) if other.order == other.usual_order else other

    @property
    def usual_order(self) -> str:
        return "overdue" if self.overdue else "newest"

    @property
    def order_or_usual(self) -> str:
        return self.order or self.usual_order

    @property
    def narrowing(self) -> dict[str, Any]:
        """As `reading.requests` takes them."""
        asked = {name: value for name, value in self._fields if name not in ("order", "after")}
        return asked | {"status": STATUSES[self.status] if self.status else None}

    @property
    def _fields(self) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))

    def listing(self, release: Release) -> pages.Listing:
        return requests.seen(release, self.narrowing, self.order_or_usual)


def filters_of(release: Release, parameters: Mapping[str, str]) -> RequestFilters:
    """What the parameters of an address mean; what is unknown, empty or usual is left out. UnknownName or Problem, if a value means nothing."""
    asked: dict[str, Any] = {
        field.name: text for field in fields(RequestFilters) if (text := parameters.get(field.name, "").strip())
    }
    for kind in _LABELS:
        if kind in asked:
            asked[kind] = label_of(release, kind, asked[kind])
    if "department" in asked:
        department = asked["department"]
        group = branches_of(release, department)
        asked["department"] = department.lower() if group else label_of(release, "department", department)
    for kind in ("street", "bia", "channel"):
        if kind in asked:
            asked[kind] = known(release, kind, asked[kind])
    if "address" in asked:
        asked["address"] = places.known_address(release, asked["address"])
    for name in _DAYS:
        if name in asked:
            asked[name] = _day(name, asked[name])
    if "near" in asked:
        asked["near"] = _point(release, asked["near"])
        asked["radius"] = _radius(asked.get("radius"))
    asked["status"] = _one_of("status", {**STATUSES, "close": "Close"}, asked.get("status"))
    asked["status"] = "closed" if asked["status"] == "close" else asked["status"]
    asked["order"] = _one_of("order", ORDERS, asked.get("order"))
    asked["overdue"] = "yes" if asked.get("overdue") else None
    filters = RequestFilters(**asked)
    return _from_its_page(release, filters.but(after=filters.after))


def _from_its_page(release: Release, filters: RequestFilters) -> RequestFilters:
    """From the first page, if there is none that begins there any more."""
    with suppress(pages.NoSuchPage, pages.OtherRelease):
        return filters if _place(release, filters) else replace(filters, after=None)
    return replace(filters, after=None)


def _place(release: Release, filters: RequestFilters) -> pages.Place | None:
    of = filters.but().url
    return pages.place_of(release, filters.listing(release), of, filters.after) if filters.after else None


def refused(name: str, message: str, allowed: list[str] | None = None) -> Problem:
    """A parameter whose value means nothing, and the values that it may have."""
    wrong = Wrong(parameter=name, message=message, allowed=allowed)
    return Problem("invalid-parameters", f"{name}: {message}.", [wrong])


def _day(name: str, text: str) -> str:
    if day := day_of(text):
        return str(day)
    raise refused(name, "it must be a day such as 2025-08-25")


def _point(release: Release, text: str) -> str:
    """The point that is meant, by its degrees or by an address or a crossing."""
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        point = point_of(release, text)
    else:
        is_on_map = -85 < latitude < 85 and -180 <= longitude <= 180
        point = addresses.near(latitude, longitude) if is_on_map else None
    if point:
        return point
    raise refused(
        "near", "it must be an address, a crossing such as Main St and E 5th Av, or a point such as 49.2827,-123.1207"
    )


def _radius(text: str | None) -> int | None:
    try:
        radius = int(text or places.RADIUS)
    except ValueError as error:
        raise refused("radius", "it must be a whole number of metres") from error
    radius = max(1, min(radius, places.RADIUS_AT_MOST))
    return None if radius == places.RADIUS else radius


def _one_of(name: str, allowed: Mapping[str, str], text: str | None) -> str | None:
    if text is not None and text.lower() not in allowed:
        raise refused(name, "it is unknown", list(allowed))
    return text and text.lower()


class Chip(NamedTuple):
    """Something chosen, and the list without it."""

    text: str
    without: str


def chips(release: Release, filters: RequestFilters) -> list[Chip]:
    texts = in_words(filters, filters.near and point_name(release, filters.near))
    return [Chip(text, filters.but(**{name: None}).url) for name, text in texts.items()]


def in_words(filters: RequestFilters, point: str | None) -> dict[str, str]:
    """What each filter says, by its parameter; `point` is what the one is called that it is near."""
    texts = {
        "area": filters.area,
        "issue": filters.issue and plain("issue", filters.issue),
        "department": filters.department and department_name(filters.department),
        "street": filters.street and f"on {plain('street', filters.street)}",
        "address": filters.address and f"at {plain('address', filters.address)}",
        "near": filters.near and f"within {filters.radius or places.RADIUS:,} m of {point}",
        "bia": filters.bia,
        "status": filters.status,
        "channel": filters.channel and f"by {plain('channel', filters.channel)}",
        "opened_from": filters.opened_from and f"opened {words.day(filters.opened_from)} or later",
        "opened_to": filters.opened_to and f"opened {words.day(filters.opened_to)} or earlier",
        "closed_from": filters.closed_from and f"closed {words.day(filters.closed_from)} or later",
        "closed_to": filters.closed_to and f"closed {words.day(filters.closed_to)} or earlier",
        "overdue": filters.overdue and "overdue for its kind",
    }
    return {name: text for name, text in texts.items() if text}


def point_name(release: Release, point: str) -> str:
    """A point by its address, or the one that it is by, if there is one."""
    address = addresses.address_by(release, point)
    if address is None:
        return point
    name = plain("address", address)
    return name if addresses.point_of(release, address) == point else f"a point by {name}"


def around(release: Release, filters: RequestFilters) -> RequestFilters | None:
    """What is open around the address of a list, the closest first; None if it is of none that has a point."""
    point = filters.address and addresses.point_of(release, filters.address)
    return RequestFilters(near=point, status="open", order="closest") if point else None


def department_name(department: str) -> str:
    return f"{group_name(department)} (all branches)" if is_group(department) else plain("department", department)


def choices(release: Release, filters: RequestFilters) -> dict[str, Any]:
    """What there is to choose from, by parameter: values and how they are said."""

    def spoken(kind: str) -> list[tuple[str, str]]:
        return [(label, name) for label, name, _ in to_choose(release, kind)]

    return {
        "area": spoken("area"),
        "issue": spoken("issue"),
        "department": [*((group, department_name(group)) for group in groups(release)), *spoken("department")],
        "bia": spoken("bia"),
        "channel": spoken("channel"),
        "radii": sorted({*RADII, filters.radius or places.RADIUS}),
        "radius": places.RADIUS,
        "orders": ORDERS.items(),
    }


class Counts(NamedTuple):
    """How many pass the filters, or at least; and of so many, the first by their order, how many have a point."""

    requests: int
    located: int
    first: int
    is_bound: bool = False

    def sentence(self, order: str) -> str:
        """How many there are, and how many of them a map can show."""
        if not self.requests:
            return "No request is like this."
        number = words.requests(self.requests)
        of = f"the first {self.first:,} ({order})" if self.is_bound or self.first < self.requests else f"{self.first:,}"
        return f"{'At least ' if self.is_bound else ''}{number}; {self.located:,} of {of} {words.be(self.located, 'has', 'have')} a location."


def counts(release: Release, filters: RequestFilters, shown: Page | None = None) -> Counts:
    """Of a list of which this page is shown: if that is all of it, nothing need be counted."""
    if filters.after or shown is None:
        return counts(release, filters.but(), page(release, filters.but()))
    rows, following = shown
    located = sum(row["latitude"] is not None for row in rows)
    if following is None:
        return Counts(len(rows), located, len(rows))
    counted = pages.count_first(release, filters.listing(release), service_requests.c.latitude)
    first, located = (counted.rows, counted.with_value) if counted else (len(rows), located)
    number = requests.number(release, filters.narrowing, filters.order_or_usual)
    if number is None:
        return Counts(first, located, first, is_bound=counted is None or first == counted.bound)
    return Counts(number, located, first)


def unaddressed(release: Release, filters: RequestFilters) -> str | None:
    """That the city publishes the chosen type without addresses, if it does: so no street, point or map can show one."""
    if filters.issue is None:
        return None
    listing = requests.requests(release, {"issue": filters.issue})
    counted = pages.count_first(release, listing, service_requests.c.address)
    if counted is None or counted.with_value or not counted.rows:
        return None
    number = counted.rows
    which = f"none of the newest {number:,} has one" if number == counted.bound else f"none of all {number:,} has one"
    return f"{plain('issue', filters.issue)} requests are published without an address: {which}."


def page(release: Release, filters: RequestFilters) -> Page:
    """The rows of a page, and the address of the next, if there is one."""
    listing = filters.listing(release)
    read = pages.read_page(release, listing, _place(release, filters), ROWS)
    cursor = pages.cursor_of(release, filters.but().url, read.after) if read.after else None
    limits = _limits(release)
    rows = [_shown(dict(zip(listing.columns, row, strict=False)), limits) for row in read.rows]
    return rows, replace(filters, after=cursor).url if cursor else None


def _shown(row: Row, limits: Mapping[str, str]) -> Row:
    address = row["address"] and RequestFilters(address=row["address"]).url
    area = row["local_area"] and View(area=row["local_area"]).url
    return row | {
        "what": Cell(plain("issue", row["issue_type"]), f"/requests/{row['request_id']}", number=False),
        "where": Cell(plain("address", row["address"]) if row["address"] else "no address", address, number=False),
        "area": Cell(row["local_area"] or "no local area", area, number=False),
        "since": Cell(words.day(row["opened_on"]), number=False),
        "state": Cell(state_of(row), number=False),
        "standing": Cell(standing_of(row, overdue_days(row, limits)), number=False),
    }


def state_of(row: Mapping[str, Any]) -> str:
    """Open for 10 days, closed after 3 days, closed."""
    if row["status"] == "Open":
        return f"open for {words.days(row['days_open'])}" if row["days_open"] else "open for less than a day"
    if row["status"] != "Close":
        return row["status"] or words.NOTHING
    days = row["days_to_close"]
    return "closed" if days is None else f"closed after {words.days(days)}" if days else "closed the same day"


def standing_of(row: Mapping[str, Any], days_over: int) -> str:
    """Of an open one: how many of its kind took less."""
    share = row["closed_sooner_share"]
    if row["status"] != "Open":
        return ""
    overdue = f"overdue by {words.days(days_over)}: " if days_over else ""
    if share is None:
        return f"{overdue}longer than nine in ten of its kind took" if overdue else "too few of its kind to say"
    return f"{overdue}{longer_than(share)}"


def longer_than(share: float) -> str:
    """What part of its kind took less: never that it is more than none or all of them where no digit shows it."""
    if share in (0, 1):
        return "all of its kind were closed sooner" if share else "none of its kind was closed sooner"
    part = words.percent(share)
    part = {"0.0 %": "fewer than 1 in 1,000", "100.0 %": "more than 999 in 1,000"}.get(part, part)
    return f"longer than {part} of its kind took"


def overdue_days(row: Mapping[str, Any], limits: Mapping[str, str]) -> int:
    """How many days longer than nine in ten of its type took it is open; 0 if it is not overdue, or that is not judged."""
    limit = limits.get(row["issue_type"])
    if row["status"] != "Open" or limit is None:
        return 0
    return max(0, (date.fromisoformat(limit) - date.fromisoformat(row["opened_on"])).days)


def _limits(release: Release) -> dict[str, str]:
    """By type, the day since which what is open is overdue; types that aren't judged have none."""
    of = overdue_limits.c
    return dict(release.remembered("overdue limits", lambda: sa.select(of.issue_type, of.opened_before)))


def file_rows(release: Release, filters: RequestFilters) -> Iterator[list[list[Any]]]:
    """The first ROWS_OF_A_FILE rows of all pages as a file has them, in pieces."""
    listing, limits, left = filters.listing(release), _limits(release), ROWS_OF_A_FILE
    for piece in pages.read_all(release, listing):
        rows = (dict(zip(listing.columns, row, strict=False)) for row in piece[:left])
        yield [_filed(row, limits) for row in rows]
        left -= len(piece)
        if left <= 0:
            return


def _filed(row: Row, limits: Mapping[str, str]) -> list[Any]:
    is_open = row["status"] == "Open"
    judged = is_open and row["issue_type"] in limits
    more = {
        "name": plain("issue", row["issue_type"]),
        "status": _IN_FILES.get(row["status"], row["status"]),
        "days_open": row["days_open"] if is_open else None,
        "longer_than_share": row["closed_sooner_share"],
        "overdue": ("yes" if overdue_days(row, limits) else "no") if judged else None,
    }
    days = {name: date.fromisoformat(row[name]) for name in ("opened_on", "closed_on") if row[name]}
    filed = row | more | days
    return [filed[name] for name in FILE_COLUMNS]


def origin_notes(release: Release) -> list[tuple[str, Any]]:
    """What the numbers of a workbook come from."""
    source = "the bundled sample: not a picture of the city" if release.is_sample else "City of Vancouver open data"
    return [("As of", date.fromisoformat(release.about["as_of"])), ("Release", release.id), ("Source", source)]


def notes(release: Release, filters: RequestFilters) -> list[tuple[str, Any]]:
    """What a workbook says of itself: what was asked, how much it is, and what it rests on."""
    order, asked = ORDERS[filters.order_or_usual], [chip.text for chip in chips(release, filters)]
    return [
        ("What", "Vancouver's 3-1-1 service requests, one a row, as the city's open data has them"),
        ("Asked", "; ".join(asked) or "all requests"),
        ("Order", order),
        ("Requests", counts(release, filters).sentence(order)),
        ("At most", f"the first {ROWS_OF_A_FILE:,} requests are in this file"),
        ("Address", filters.but().url),
        *origin_notes(release),
        (
            "longer_than_share",
            "of an open request: the share of its type that was closed sooner, counting those still open",
        ),
        ("overdue", f"{OVERDUE}; empty where that is not judged, or it is closed"),
        ("Closed", "does not mean fixed"),
        ("Licence", LICENCE),
    ]


def points(release: Release, filters: RequestFilters) -> dict[str, Any]:
    """The first POINTS requests that have one, as GeoJSON; and of how many."""
    listing, limits = filters.listing(release), _limits(release)
    features: list[Any] = []
    number = located = 0
    for piece in pages.read_all(release, listing):
        for read in piece:
            row = dict(zip(listing.columns, read, strict=False))
            number += 1
            located += row["latitude"] is not None
            if row["latitude"] is not None and row["longitude"] is not None and len(features) < POINTS:
                features.append(_feature(row, limits))
        if number >= COUNTED:
            break
    counted = {"requests": number, "located": located, "shown": len(features), "bounded": number >= COUNTED}
    return {"type": "FeatureCollection", **counted, "features": features}


def _feature(row: Row, limits: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]},
        "properties": {
            "id": row["request_id"],
            "name": plain("issue", row["issue_type"]),
            "address": plain("address", row["address"]) if row["address"] else "no address",
            "opened_on": row["opened_on"],
            "state": state_of(row),
            "open": row["status"] == "Open",
            "overdue": overdue_days(row, limits) > 0,
        },
    }
