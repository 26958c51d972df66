"""Every knob of the pipeline, once: what the environment may set, and the constants that we chose. The environment is not read at import."""

import logging
import os
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from vanc311_pipeline.disk import sqlite_url
from vanc311_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from apprise.plugins.base import NotifyBase

LICENCE = "Contains information licensed under the Open Government Licence – Vancouver."

CITY_PORTAL = "opendata.vancouver.ca"
LICENCE_PAGE = f"https://{CITY_PORTAL}/pages/licence/"

TITLE = "Vancouver 3-1-1 service requests and their statistics"

# The portal's datasets. The live one starts in 2022; the archive before it is frozen.
LIVE = "3-1-1-service-requests"
ARCHIVE = "3-1-1-service-requests-2009-2021"
AREAS = "local-area-boundary"

# UTC months of the opening instant. Local New Year's Eve 2021 ends eight hours into 2022 by UTC,
# so the two overlap months may hold rows of both datasets.
FIRST_MONTH = "2009-06"
FIRST_LIVE_MONTH = "2022-01"
OVERLAP_MONTHS = ("2021-12", "2022-01")
UNDATED = "undated"  # stands where a month stands, for rows that no month can hold

# The southern, western, northern and eastern end of the city, Stanley Park included: degrees.
CITY_BOUNDS = (49.19, -123.27, 49.32, -123.02)

# Rows opened before this local date are no longer refreshed by the portal.
STATIC_BEFORE = date(2022, 8, 17)

# Restraint: how much may move at once without anybody's consent, and not by new requests and closings. The city edits,
# deletes and enters late a few rows in a thousand; 25 rows let small months breathe, and a release of many of them may move no
# larger share than a month. A month that has ended gets late entries, not a tenth more, unless it was half a month and is now as
# large as others; one that runs, or is new, may become several times as large as any.
MAY_MOVE_ROWS = 25
MAY_MOVE_SHARE = 0.02
MAY_GROW_SHARE = 0.1
MAY_GROW_TIMES = 10
ENDED_DAYS = 2  # after its last day a month is whole: a release holds what was entered until the evening before

# The rolling refresh: every month is read again within 30 days, though its fingerprint stands still. A month that was read in
# the last week is left alone; two days are spare, for days without a release.
REREAD_WITHIN_DAYS = 30
REREAD_AFTER_DAYS = 7
REREAD_SLACK_DAYS = 2

# Manners towards the portal.
CONNECT_TIMEOUT_SECONDS = 10.0
SLOWEST_BYTES_PER_SECOND = 1_000  # measured over one read timeout; below it a download counts as stalled
# No answer is larger or takes longer, whatever it is: the largest month is 10 MB and takes seconds.
ANSWER_BYTES = 256_000_000
ANSWER_SECONDS = 900.0
JSON_BYTES = 32_000_000  # held in memory; the largest, the archive's groups, have some 30,000 lines of 350 bytes
EXPORT_BYTES_PER_ROW = 4_000  # a row has about 250 bytes; to this, by the portal's own count, an export is read
EXPORT_BYTES_AT_LEAST = 1_000_000
HEADER_CHARACTERS = 65_536  # of an export's first line; 13 names have 200
REFUSAL_BYTES = 16_000  # so much of a refusal is read, for its words
MOST_ROWS = 100_000_000  # a count beyond it is none
CLOCKS_MAY_DIFFER = timedelta(minutes=5)  # the portal's and ours; more is said
MAY_LIE_AHEAD = timedelta(days=366)  # a release of the portal's clock; one that is later is refused
PORTAL_ATTEMPTS = 4
RETRY_WAIT_MAX_SECONDS = 20.0
BURST_SECONDS = 60.0  # a 429 that ends within it is waited for; one that lasts longer is a used-up quota
QUOTA_SECONDS = 86_400.0  # the portal counts calls by the day, so no quota is waited for longer, whatever it says
TICK_READ_TIMEOUT_SECONDS = 30.0
TICK_SECONDS = 45.0  # all that a schedule's tick may take with the portal: Dagster gives up on it after 60 s

SLOT_SECONDS = 3_000  # the schedule: a true 50 minutes

ALERT_SECONDS = 20.0  # all that a message to a receiver may take
SILENT_SECONDS = 90_000.0  # without an answer for so long, the schedule is silent: a quota may last a day
MOST_DAYS = 36_500

LONGEST_NAME, LONGEST_PATH = 200, 3_800  # bytes, with room for what we add; file systems take 255 and 4,096
_SHOWN = 80  # characters of a value that is refused


def _shown(value: object) -> str:
    """A refused value in a message: its beginning tells which it is."""
    text = str(value)
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r} …"


def is_address(value: str) -> bool:
    """Whether HTTP can reach it."""
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        return False


def _is_host_and_port(value: str) -> bool:
    return ":" in value and not value.endswith(":") and not {*"/@"} & {*value} and is_address(f"http://{value}")


def _is_key(value: str) -> bool:
    """Whether an HTTP header can hold it. What is refused later would be refused with the key in its words."""
    return value.isascii() and value.isprintable() and value == value.strip()


def _may_be_directory(path: Path) -> bool:
    """Whether it is one, or can be made: nothing else stands on the way to it, and no name is too long for a file system."""
    nearest = next(place for place in (path, *path.parents) if os.path.exists(place))
    longest = max(len(os.fsencode(part)) for part in path.parts)
    return os.path.isdir(nearest) and longest <= LONGEST_NAME and len(os.fsencode(path)) <= LONGEST_PATH


def _parsed(value: str) -> sa.URL | None:
    with suppress(sa.exc.ArgumentError, ValueError):
        return sa.make_url(value if len(value) <= LONGEST_PATH else "")
    return None


def _may_be_file(url: sa.URL) -> bool:
    path = url.database or ""
    file = Path(path)
    whole = path.startswith("/") and not path.endswith("/") and len(os.fsencode(file.name)) <= LONGEST_NAME
    return whole and not url.query and _may_be_directory(file.parent)


def _is_store(value: str) -> bool:
    from fsspec import get_filesystem_class  # takes a while, and few ship

    scheme, _, place = value.partition("://")
    relative = scheme in ("file", "local") and not place.startswith("/")
    with suppress(ImportError, ValueError):
        return bool(place and not relative and get_filesystem_class(scheme))
    return False


def apprise_service(address: str) -> "NotifyBase | None":
    """The service that Apprise has at an address; None if it knows none, or is not installed. What it would log may hold a secret."""
    with suppress(ImportError):
        from apprise import Apprise  # an extra

        logging.getLogger("apprise").propagate = False
        return Apprise.instantiate(address)
    return None


def _are_receivers(value: str) -> bool:
    return all(is_address(each) or apprise_service(each) for each in value.split() or [""])


def _text(value: object) -> str:
    """As the environment has it."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str("" if value is None else value)


def revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


_NO_ADDRESS = "is {value}, which is not an http(s) address"
_HIDDEN = "; it is not repeated here, because a secret may be part of it"
_NO_HEADER = "a line end, a blank at its edge or one outside ASCII"

RULES: dict[str, dict[str, Callable[[str], bool]]] = {
    "portal_url": {
        "has more than the portal's root in it": lambda value: not {*"@?#"} & {*value},
        _NO_ADDRESS: is_address,
    },
    "api_key": {f"has a character that a key can't have: {_NO_HEADER}": _is_key},
    "database_url": {
        "does not begin with sqlite:/// or postgresql+psycopg://, and the warehouse is in one of the two": (
            lambda value: value.startswith(("sqlite:///", "postgresql+psycopg://"))
        ),
        "can't be read as an address": lambda value: _parsed(value) is not None,
        "has two @: one in a name or password is written %40": lambda value: "@" not in (sa.make_url(value).host or ""),
        "is {value}, which can't be the absolute path of a file": (
            lambda value: not value.startswith("sqlite") or _may_be_file(sa.make_url(value))
        ),
    },
    # SQLAlchemy takes another driver for a bare postgresql://, and that one refuses Dagster's NOTIFY.
    "dagster_database_url": {
        "is not a postgresql+psycopg2:// address": lambda value: value.startswith("postgresql+psycopg2://")
    },
    "alert_webhook": {
        "has something in it that is neither an http(s) address nor one that Apprise knows, if that is installed": _are_receivers
    },
    "ship_url": {"is not the absolute address of a store whose driver is installed": _is_store},
    # A line end that a file brought along would make two keys of one.
    "ship_key": {
        f"is shorter than 32 signs, or has one that a key can't have: {_NO_HEADER}": (
            lambda value: _is_key(value) and len(value) >= 32
        )
    },
    "ui_url": {_NO_ADDRESS: is_address},
    "site_url": {_NO_ADDRESS: is_address},
    "metrics_address": {"is {value}, which is not a host and a port": _is_host_and_port},
}
"""What must hold of a value beyond its type, and what is said if it doesn't: without the value where that may be a secret."""

ADVICE: dict[str, str] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["advice"]
"""What a user may set it to instead."""


def _directory(value: str | Path, info: ValidationInfo) -> Path:
    with suppress(RuntimeError):  # the home of a user who isn't there
        path = Path(value).expanduser().absolute()
        if _may_be_directory(path):
            return path
    raise SettingsError(
        f"{Settings.variable(str(info.field_name))} is {_shown(value)}, which is no directory and can't become one. Set it to a "
        "directory, or unset it."
    )


Directory = Annotated[Path, BeforeValidator(_directory)]
Root = Annotated[str, AfterValidator(lambda address: address.rstrip("/"))]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), "it must be a number of seconds greater than 0"]
Days = Annotated[int, Field(ge=1, le=MOST_DAYS), f"it must be a whole number of days from 1 to {MOST_DAYS}"]
Source = Literal["portal", "sample"]
LogFormat = Literal["colored", "json"]


class Settings(BaseSettings):
    """What a user may set: a field is the variable VANC311_ and its name. Only `from_environment` reads the environment."""

    model_config = SettingsConfigDict(
        env_prefix="VANC311_", frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    portal_url: Root = f"https://{CITY_PORTAL}"
    """Where the city's portal, or a stand-in, answers."""
    api_key: SecretStr | None = None
    """Sent to the portal if set; the datasets are public without it."""
    data_dir: Directory = Path("data")
    """Holds raw/, warehouse.sqlite and published/vanc311.sqlite."""
    database_url: SecretStr | None = None
    """The warehouse, if it is not warehouse.sqlite in the data directory: another SQLite file, or a PostgreSQL."""
    dagster_home: Directory = Field(default=Path(".dagster"), validation_alias="dagster_home")
    """Where Dagster keeps its runs, schedules and logs."""
    dagster_database_url: SecretStr | None = None
    """The PostgreSQL in which Dagster keeps them instead, as several containers need."""
    source: Annotated[Source, "it may be 'portal' or 'sample'"] = "portal"
    """`portal`, or `sample` for the bundled sample, served by the stand-in; never mixed in one data directory."""
    read_timeout_seconds: Seconds = 60.0
    """How long the portal may be silent before a request counts as failed."""
    retry_wait_seconds: Seconds = 1.0
    """The first pause between two attempts; it doubles, with jitter."""
    alert_webhook: SecretStr | None = None
    """Where alerts go, by blanks apart: webhooks that take what Slack takes, and whatever Apprise knows; nowhere by default."""
    ship_url: SecretStr | None = None
    """An fsspec address, such as s3://bucket/folder, to which each published file is shipped; nowhere by default."""
    ship_key: SecretStr | None = None
    """Signs what is shipped; a replica that has it takes nothing else."""
    replica_seconds: Seconds = 60.0
    """How often a replica looks for a new shipment."""
    ui_url: Root | None = None
    """Where people reach Dagster's UI, for the links in alerts."""
    log_format: Annotated[LogFormat, "it may be 'colored' or 'json'"] = "colored"
    """The form of log lines on standard error: `colored` for people, `json` for collectors."""
    site_url: Root | None = None
    """Where people reach the dashboard, for the links in Dagster's UI, and for what other sites show of a page."""
    metrics_address: str | None = None
    """Where the site answers Prometheus, such as 127.0.0.1:9311; nowhere by default, and never on its own port."""
    keep_runs_days: Days = 30
    """How long Dagster keeps finished runs and their logs; those that the UI still needs stay longer."""

    @field_validator(*RULES)
    @classmethod
    def _keep_rules(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        field, text = str(info.field_name), _text(value)
        for otherwise, holds in RULES[field].items() if value is not None else ():
            if not holds(text):
                hidden = "" if "{value}" in otherwise else _HIDDEN
                sentence = f"{cls.variable(field)} {otherwise.format(value=_shown(text))}{hidden}"
                raise SettingsError(f"{sentence}. Set it to {ADVICE[field]}.")
        return value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *more: Any, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed counts, so that no variable gets into settings that are made in code."""
        del settings_cls, more, others
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment, an empty variable as none; a SettingsError names what can't be used, its value and what it may be."""
        variables = os.environ if environment is None else environment
        source = EnvSettingsSource(cls)
        source.env_vars = {
            variable.lower(): value
            for field in cls.model_fields
            if (value := variables.get(variable := cls.variable(field)))
        }
        try:
            return cls(**source())
        except ValidationError as error:
            wrong = error.errors()[0]
            field = str(wrong["loc"][0])
            rule = next(each for each in cls.model_fields[field].metadata if isinstance(each, str))
            raise SettingsError(f"{cls.variable(field)} is {_shown(wrong['input'])}; {rule}.") from None

    @classmethod
    def variable(cls, field: str) -> str:
        return field.upper() if cls.model_fields[field].validation_alias else f"VANC311_{field.upper()}"

    def to_environment(self) -> dict[str, str]:
        """Every variable of ours, for a child process or this one: what is not set here is empty, or it would be inherited."""
        return {self.variable(field): _text(value) for field, value in self}

    def changed(self, **changes: object) -> "Settings":
        """The same settings but for some, which are validated."""
        return Settings(**dict(self) | changes)

    def for_sample(self) -> "Settings":
        """Settings for the bundled sample: directories of its own, what is harmless of these, and no address or secret of the user's."""
        return Settings(
            source="sample",
            data_dir=self.data_dir.with_name(f"{self.data_dir.name}-sample"),
            dagster_home=self.dagster_home.with_name(f"{self.dagster_home.name}-sample"),
            **self.model_dump(include={"read_timeout_seconds", "retry_wait_seconds", "log_format", "keep_runs_days"}),
        )

    def reached_at(self, ui_url: str, site_url: str) -> "Settings":
        """These settings with the addresses that links lead to, for whoever listens there; those that the user set stay."""
        return self.changed(ui_url=self.ui_url or ui_url, site_url=self.site_url or site_url)

    @property
    def asks_city(self) -> bool:
        """Whether the portal is the city's own, not a stand-in."""
        return urlsplit(self.portal_url).hostname == CITY_PORTAL

    @property
    def lacks_sample(self) -> bool:
        """Whether the sample is wanted, but of the city's portal, which doesn't have it."""
        return self.source == "sample" and self.asks_city

    @property
    def warehouse_url(self) -> str:
        """SQLAlchemy's address of the warehouse; it may hold a password."""
        return revealed(self.database_url) or sqlite_url(self.data_dir / "warehouse.sqlite")

    @property
    def receivers(self) -> list[str]:
        """The addresses that alerts go to; each may hold a secret."""
        return (revealed(self.alert_webhook) or "").split()

    @property
    def raw_dir(self) -> Path:
        return self.data_dir / "raw"

    @property
    def measures_path(self) -> Path:
        return self.data_dir / "measures.prom"

    @property
    def published_path(self) -> Path:
        return self.data_dir / "published" / "vanc311.sqlite"
