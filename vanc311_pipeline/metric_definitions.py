"""Every statistic's definition, read from `metric_definitions.toml` and checked, and the constants that computation shares with it."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass

MINIMUM_N = 30
EXPECTED_AT_LEAST = 5
CHANGE_SHARE = 0.05
"""A smaller change has no direction, however sure it is."""

Text = Annotated[str, StringConstraints(min_length=1)]
_STRICT = ConfigDict(extra="forbid")


class State(StrEnum):
    """Why a statistic has a value or none. Every table that may withhold a number says which of these holds."""

    OK = "ok"
    NO_REQUESTS = "no_requests"
    NO_USABLE_TIMING = "no_usable_timing"
    TOO_FEW = "too_few"
    NOT_REACHED = "not_reached"
    IMMATURE = "immature"
    TOO_SHORT = "too_short"


@dataclass(frozen=True, config=_STRICT)
class Metric:
    name: Text
    """The column that holds it."""
    title: Text
    meaning: Text
    """What it says, in plain language: column comment, caption and the first line in the docs."""
    formula: Text
    unit: Text
    direction: str
    """What a larger value means; empty if neither is better."""
    scope: Text
    """Which requests it is about."""
    minimum_n: int
    """Below this many requests no value is published."""
    source: Text

    @property
    def definition(self) -> str:
        """The title and the meaning, as a caption says them."""
        return f"{self.title}: {self.meaning}."


@dataclass(frozen=True, config=_STRICT)
class Family:
    """Statistics that are explained together: a section of docs/methods.md."""

    title: Text
    plain: Text
    """The first paragraph: for a reader without statistics."""
    why: Text
    limits: Text
    details: tuple[Text, ...]
    """Rules that decide the last digit, for whoever computes the numbers again."""
    tables: tuple[Text, ...]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, config=_STRICT)
class Definitions:
    version: Text
    states_meaning: Text
    laws: tuple[Text, ...]
    states: dict[State, Text]
    families: dict[str, Family]


def read(toml: str) -> Definitions:
    """The definitions of a TOML text; lines are joined and phrases put in. A ValidationError or a KeyError says what is wrong with it."""
    raw = tomllib.loads(toml)
    return TypeAdapter(Definitions).validate_python(_filled(raw, raw.pop("phrases")))


def _filled(value: Any, phrases: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, phrases) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, phrases) for each in value]
    return " ".join(value.format_map(phrases).split()) if isinstance(value, str) else value


_definitions = read(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
DEFINITIONS_VERSION = _definitions.version
STATES, STATES_MEANING = _definitions.states, _definitions.states_meaning
LAWS = _definitions.laws
FAMILIES = tuple(_definitions.families.values())
HEADLINE = _definitions.families["headline"]
METRICS = {metric.name: metric for family in FAMILIES for metric in family.metrics}
