"""The stand-in's options: one for each thing about the portal that is not settled.

Belongs here: the names, the allowed values and the defaults (the likelier answer comes first), and reading them
from `name=value` text. Does not belong here: what an option does; each is read where it matters.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints


@dataclass(frozen=True)
class Options:
    """Unsettled behaviour of the portal; the defaults are the best present knowledge."""

    grouped_total_count: Literal["rows", "groups", "absent"] = "rows"
    group_cap: int = 20_000
    quota: int = 15_000
    quota_scope: Literal["per_client", "shared"] = "per_client"
    parquet_timestamp: Literal["ms_utc", "us_utc", "naive", "string"] = "ms_utc"
    parquet_geom: Literal["wkb", "absent"] = "wkb"
    geom_type: Literal["geo_point_2d", "geo_shape"] = "geo_point_2d"
    group_keys: Literal["first", "last"] = "first"
    limit_zero: Literal["allowed", "refused"] = "allowed"
    date_literal_offset: Literal["accepted", "refused"] = "accepted"
    retry_after: Literal["absent", "present"] = "absent"
    vancouver_from_2026_11: Literal["-07:00", "-08:00"] = "-07:00"
    content_type_parquet: str = "application/vnd.apache.parquet"
    content_type_jsonl: str = "application/jsonl; charset=utf-8"
    content_type_geojson: str = "application/geo+json"
    nulls: Literal["present", "omitted"] = "present"
    jsonl_last_newline: Literal["present", "absent"] = "present"
    export_during_publish: Literal["one_release", "mix"] = "one_release"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            allowed, value = get_args(hints[field.name]), getattr(self, field.name)
            if allowed and value not in allowed:
                raise ValueError(f"Option {field.name} can't be {value!r}; it is one of {', '.join(allowed)}.")


def options_from_text(settings: list[str]) -> Options:
    """Options from `name=value` texts, as given on a command line."""
    values: dict[str, Any] = {}
    types = {field.name: field.type for field in fields(Options)}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in types:
            raise ValueError(f"No option {setting!r}; write name=value with a name of {', '.join(types)}.")
        if types[name] == "int" and not value.isdigit():
            raise ValueError(f"Option {name} is a whole number, not {value!r}.")
        values[name] = int(value) if types[name] == "int" else value
    return Options(**values)
