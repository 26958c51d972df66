"""The three datasets as the portal holds them: rows, release instant, metadata.

Belongs here: what a release of a dataset is and the metadata document in the portal's key order.
Does not belong here: questions about the rows, and who publishes when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pyarrow.compute as pc

from vanc311_pipeline.portal.standin.tables import ARCHIVE, AREAS, LIVE, Table

_NIGHTLY = time(13, 48, 7, 123456)
_DCAT = ["created", "issued", "creator", "contributor", "contact_name", "contact_email", "accrualperiodicity"]
_DCAT += ["spatial", "temporal", "granularity", "dataquality", "publisher_type", "conforms_to"]
_DCAT += ["temporal_coverage_start", "temporal_coverage_end", "accessRights", "relation"]
_TITLES = {
    LIVE: ("3-1-1 service requests", "Customer initiated service requests received by 3-1-1 Contact Centre from 2022."),
    ARCHIVE: ("3-1-1 service requests 2009-2021", "Service requests received by 3-1-1 Contact Centre until 2021."),
    AREAS: ("Local area boundary", "Boundaries for the city's 22 local areas."),
}


@dataclass(frozen=True)
class Release:
    """The contents of a dataset from one publication to the next."""

    dataset_id: str
    table: Table
    data_processed: datetime
    modified: datetime | None = None

    def metadata(self, now: datetime, geom_type: str, records_count: int) -> dict[str, Any]:
        """The body of `/catalog/datasets/{id}`."""
        fields = [
            {
                "name": field.name,
                "description": None,
                "annotations": field.annotations,
                "label": field.label or field.name,
                "type": geom_type if field.name == "geom" and field.kind == "geo_point_2d" else field.kind,
            }
            for field in self.table.fields
        ]
        return {
            "visibility": "domain",
            "fields": fields,
            "dataset_id": self.dataset_id,
            "dataset_uid": f"da_{self.dataset_id.replace('-', '')[:6]}",
            "has_records": records_count > 0,
            "features": ["geo", "analyze"],
            "attachments": [],
            "alternative_exports": [],
            "data_visible": True,
            "metas": {
                "dcat": dict.fromkeys(_DCAT),
                "default": self._default_metas(now, records_count),
                "custom": {
                    "note": None,
                    "data-owner": ["City of Vancouver"],
                    "data-team": ["3-1-1 Contact Centre"],
                    "search-term": None,
                    "change-log": None,
                },
            },
        }

    def _default_metas(self, now: datetime, records_count: int) -> dict[str, Any]:
        title, description = _TITLES[self.dataset_id]
        is_area = self.dataset_id == AREAS
        return {
            "title": title,
            "description": f"<div><p>{description}</p></div>",
            "theme": ["Government and finance"],
            "keyword": ["local areas"] if is_area else ["3-1-1", "service requests"],
            "license": "Open Government Licence - Vancouver",
            "license_url": "https://opendata.vancouver.ca/pages/licence/",
            "language": "en",
            "metadata_languages": ["en"],
            "timezone": None,
            "modified": _seconds(self.modified or self.data_processed),
            "modified_updates_on_metadata_change": False,
            "modified_updates_on_data_change": self.dataset_id == LIVE,
            "data_processed": _seconds(self.data_processed),
            "metadata_processed": self._metadata_processed(now).isoformat(timespec="microseconds"),
            "geographic_reference": None,
            "geographic_reference_auto": None,
            "territory": None,
            "geometry_types": ["Polygon"] if is_area else ["Point"],
            "bbox": self._bbox(),
            "publisher": "City of Vancouver",
            "references": None,
            "records_count": records_count,
            "attributions": None,
            "source_domain": None,
            "source_domain_title": None,
            "source_domain_address": None,
            "source_dataset": None,
            "shared_catalog": None,
            "federated": False,
            "parent_domain": None,
            "update_frequency": None,
        }

    def _metadata_processed(self, now: datetime) -> datetime:
        """Moves with every release, and every night for every dataset whether it changed or not."""
        tonight = datetime.combine(now.date(), _NIGHTLY, tzinfo=UTC)
        last_night = tonight if tonight <= now else tonight - timedelta(days=1)
        return max(last_night, self.data_processed + timedelta(milliseconds=861))

    def _bbox(self) -> dict[str, Any]:
        if not {"latitude", "longitude"} <= self.table.columns.keys():
            return {}
        if any(self.table.columns[name].type != "double" for name in ("latitude", "longitude")):
            return {}
        west, east = pc.min_max(self.table.columns["longitude"]).as_py().values()
        south, north = pc.min_max(self.table.columns["latitude"]).as_py().values()
        if west is None:
            return {}
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        geometry = {"coordinates": [ring], "type": "Polygon"}
        return {"type": "Feature", "geometry": geometry, "properties": {}}


def _seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
