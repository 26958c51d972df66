"""The portal's addresses: which question an address asks, and the reply to it.

Belongs here: routes, formats, and the faults that change an answer before it is sent (release, count, schema faults,
and failures instead of an answer). Does not belong here: sockets, quotas, and the meaning of queries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from vanc311_pipeline.portal.standin.answers import Answer, answer, facet_values
from vanc311_pipeline.portal.standin.datasets import Release
from vanc311_pipeline.portal.standin.errors import NotImplementedHere, PortalError, bad_parameter, no_such_dataset
from vanc311_pipeline.portal.standin.evaluate import Setting
from vanc311_pipeline.portal.standin.faults import Fault
from vanc311_pipeline.portal.standin.options import Options
from vanc311_pipeline.portal.standin.parquet import ParquetBody
from vanc311_pipeline.portal.standin.query import (
    WINDOW,
    Parameters,
    Query,
    check_parameters,
    flag,
    one,
    read_query,
    window_error,
)
from vanc311_pipeline.portal.standin.render import csv_body, geojson_body, json_body, jsonl_body, records_body
from vanc311_pipeline.portal.standin.replies import JSON, Body, Document, Reply, json_document, refusal
from vanc311_pipeline.portal.standin.tables import followed_by
from vanc311_pipeline.portal.standin.views import garbled, seen_through
from vanc311_pipeline.portal.standin.zones import Zone, zone_named

BASE = "/api/explore/v2.1"
FORMATS = ("csv", "json", "jsonl", "parquet", "geojson")
_ROUTE = re.compile(rf"{BASE}/catalog/datasets/(?P<dataset>[^/]+)(?:/(?P<rest>.+))?")


class Portal(Protocol):
    """What the endpoints need to know of the portal."""

    options: Options

    def now(self) -> datetime: ...

    def release(self, dataset_id: str) -> Release | None: ...

    def publish_edit(self, edit: str | None) -> None: ...


@dataclass(frozen=True)
class Route:
    """A question: the dataset, the endpoint and, for exports, the format."""

    dataset: str
    endpoint: str
    format: str = ""


def route(path: str) -> Route:
    """The question that a path asks; a refusal where the stand-in knows no answer."""
    if re.fullmatch(rf"{BASE}/catalog/datasets/[^/]+/aggregates", path):
        raise PortalError(410, "Gone", "The aggregates endpoint is gone.")
    match = _ROUTE.fullmatch(path.rstrip("/"))
    if match is None:
        raise NotImplementedHere(f"the address {path}")
    rest = match["rest"] or ""
    if rest in ("", "records", "facets"):
        return Route(match["dataset"], rest or "metadata")
    if rest.startswith("exports/"):
        return Route(match["dataset"], "export", rest.removeprefix("exports/"))
    raise NotImplementedHere(f"the address {path}")


def label(asked: Route, given: Parameters) -> str:
    """What faults call this question: grouped questions have a name of their own."""
    return "grouped" if asked.endpoint in ("records", "export") and one(given, "group_by") else asked.endpoint


def reply_to(asked: Route, given: Parameters, portal: Portal, faults: list[Fault]) -> Reply:
    """The reply, refusals included."""
    try:
        return _reply(asked, given, portal, faults)
    except (PortalError, NotImplementedHere) as error:
        return refusal(error)


def _reply(asked: Route, given: Parameters, portal: Portal, faults: list[Fault]) -> Reply:
    kinds = {fault.kind for fault in faults}
    if "release_moves_unchanged" in kinds:
        portal.publish_edit(None)
    release = portal.release(asked.dataset)
    if release is None or "dataset_gone" in kinds:
        raise no_such_dataset(asked.dataset)
    release = replace(release, table=seen_through(release.table, faults))
    if asked.endpoint == "metadata":
        return _metadata(release, given, portal, faults)
    if asked.endpoint == "facets":
        return _facets(release, given, portal, faults)
    query = read_query(asked.endpoint, given, portal.options)
    setting = _setting(query, portal)
    found = answer(release.table, query, setting, portal.options, asked.endpoint)
    moving = next((fault for fault in faults if fault.kind == "release_moves_during_export"), None)
    midway = None
    if moving and portal.options.export_during_publish == "mix":
        portal.publish_edit(moving.details.get("edit"))
        fresh = portal.release(asked.dataset) or release
        found = _mixed(found, answer(fresh.table, query, setting, portal.options, asked.endpoint))
    elif moving:
        edit = moving.details.get("edit")

        def midway() -> None:
            portal.publish_edit(edit)

    for fault in faults:
        if fault.kind == "garbled_field":
            found = replace(found, table=garbled(found.table, fault))
    if asked.endpoint == "records":
        off = _off(faults, "total_count_off")
        total = None if found.total_count is None else found.total_count + off
        body = records_body(found.table, total, setting.zone, portal.options.nulls)
        body.check()
        return Reply(200, JSON, body, faults)
    return replace(_export(asked, given, found, query, setting.zone, portal.options, faults), midway=midway)


def _setting(query: Query, portal: Portal) -> Setting:
    options = portal.options
    zone = zone_named(query.timezone, options.vancouver_from_2026_11)
    return Setting(zone, portal.now(), options.date_literal_offset == "accepted")


def _metadata(release: Release, given: Parameters, portal: Portal, faults: list[Fault]) -> Reply:
    check_parameters("metadata", given)
    if one(given, "timezone") not in ("", "UTC"):
        raise NotImplementedHere("metadata in a timezone other than UTC")
    count = release.table.num_rows + _off(faults, "records_count_off")
    return Reply(200, JSON, json_document(release.metadata(portal.now(), portal.options.geom_type, count)), faults)


def _facets(release: Release, given: Parameters, portal: Portal, faults: list[Fault]) -> Reply:
    names = given.get("facet", [])
    if not names:
        raise NotImplementedHere("facets without a facet parameter")
    query = read_query("facets", given, portal.options)
    facets = []
    for name in names:
        values = facet_values(release.table, name, query, _setting(query, portal))
        entries = [{"name": v, "count": n, "state": "displayed", "value": v} for v, n in values]
        facets.append({"name": name, "facets": entries})
    return Reply(200, JSON, json_document({"links": [], "facets": facets}), faults)


def _export(
    asked: Route, given: Parameters, found: Answer, query: Query, zone: Zone, options: Options, faults: list[Fault]
) -> Reply:
    content_types = {
        "csv": "text/csv; charset=utf-8",
        "json": JSON,
        "jsonl": options.content_type_jsonl,
        "parquet": options.content_type_parquet,
        "geojson": options.content_type_geojson,
    }
    if asked.format not in FORMATS:
        raise NotImplementedHere(f"the export format {asked.format}")
    body = export_body(asked.format, given, found, zone, options, faults)
    reach = query.offset + (found.table.num_rows if query.limit is None else query.limit)
    body.check()
    if query.offset and reach > WINDOW:
        body = _forbidden_offset(body, reach)
    name = ("content-disposition", f'attachment; filename="{asked.dataset}.{asked.format}"')
    is_text = asked.format != "parquet"
    return Reply(200, content_types[asked.format], body, faults, extra=[name], compressible=is_text)


def export_body(
    format_name: str, given: Parameters, found: Answer, zone: Zone, options: Options, faults: list[Fault]
) -> Body:
    use_labels = flag(given, "use_labels", default=False)
    if use_labels and format_name != "csv":
        raise NotImplementedHere(f"use_labels on {format_name}")
    match format_name:
        case "csv":
            delimiter = (given.get("delimiter") or [";"])[-1]
            if delimiter not in (";", ",", "\t", "|"):
                raise bad_parameter("delimiter", delimiter, "one of ; , TAB |")
            return csv_body(found.table, zone, delimiter, flag(given, "with_bom", default=True), use_labels)
        case "json":
            return json_body(found.table, zone, options.nulls)
        case "jsonl":
            return jsonl_body(found.table, zone, options.nulls, options.jsonl_last_newline)
        case "geojson":
            return geojson_body(found.table, zone, options.nulls)
    compression = one(given, "parquet_compression") or "snappy"
    if compression not in ("snappy", "zstd"):
        raise bad_parameter("parquet_compression", compression, "snappy or zstd")
    changed = any(fault.kind == "parquet_layout" for fault in faults)
    return ParquetBody(found.table, zone, options, compression, changed)


def _forbidden_offset(body: Body, reach: int) -> Document:
    """An export with an offset past the window: the refusal comes as text after the head of the body."""
    error = window_error(reach)
    text = f"Streaming interrupted due to the following error: {error.message} (error_code: {error.error_code})"
    return Document(b"".join(body.broken(0)) + text.encode())


def _mixed(old: Answer, new: Answer) -> Answer:
    """The first half of one release's answer, then the second half of the next one's."""
    half = old.table.num_rows // 2
    later = new.table.slice(min(half, new.table.num_rows), new.table.num_rows)
    return replace(old, table=followed_by(old.table.slice(0, half), later))


def _off(faults: list[Fault], kind: str) -> int:
    return sum(int(fault.details.get("by", 1)) for fault in faults if fault.kind == kind)
