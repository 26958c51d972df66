"""Every knob of the pipeline, once: what the environment may set, and the constants that we chose.

What belongs here: names, defaults, limits, and the validation of what a user sets, as far as a look tells. What does not: anything
that reads a file, opens a connection or knows Dagster. Nothing is read at import; call `Settings.from_environment()`.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import sqlalchemy as sa

from vanc311_pipeline.addresses import sqlite_url
from vanc311_pipeline.errors import SettingsError

Source = Literal["portal", "sample"]
LogFormat = Literal["colored", "json"]

LICENCE = "Contains information licensed under the Open Government Licence – Vancouver."

CITY_PORTAL = "opendata.vancouver.ca"
LICENCE_PAGE = f"https://{CITY_PORTAL}/pages/licence/"

TITLE = "Vancouver 3-1-1 service requests and their statistics"

# The portal's datasets. The live one starts in 2022; the archive before it is frozen.
LIVE = "3-1-1-service-requests"
ARCHIVE = "3-1-1-service-requests-2009-2021"
AREAS = "local-area-boundary"

# UTC months of the opening instant. Local New Year's Eve 2021 ends eight hours into 2022 by UTC,
# so the two months at the seam may hold rows of both datasets.
FIRST_MONTH = "2009-06"
FIRST_LIVE_MONTH = "2022-01"
SEAM_MONTHS = ("2021-12", "2022-01")
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

# The deep pass: every month is read again within 30 days, though its fingerprint stands still. A month that was read in
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

ALERT_SECONDS = 20.0  # all that a message to the webhook may take
SILENT_SECONDS = (
    90_000.0  # without an answer for so long, the schedule is silent: a quota may last a day, and a tick is late
)
MOST_DAYS = 36_500

LONGEST_NAME, LONGEST_PATH = 200, 3_800  # bytes, with room for what we add; file systems take 255 and 4,096
_SHOWN = 80  # characters of a value that is refused


@dataclass(frozen=True)
class Settings:
    """What a user may set. Build it with `from_environment`, which validates."""

    portal_url: str = f"https://{CITY_PORTAL}"
    """Where the city's portal, or a stand-in, answers."""
    api_key: str | None = field(default=None, repr=False)
    """Sent to the portal if set; the datasets are public without it."""
    data_dir: Path = Path("data")
    """Holds raw/, warehouse.sqlite and published/vanc311.sqlite."""
    database_url: str | None = field(default=None, repr=False)
    """The warehouse, if it is not warehouse.sqlite in the data directory: another file, or a PostgreSQL, whose address holds a
    password."""
    dagster_home: Path = Path(".dagster")
    """Where Dagster keeps its runs, schedules and logs."""
    dagster_database_url: str | None = field(default=None, repr=False)
    """The PostgreSQL in which Dagster keeps them instead, as several containers need; the address holds a password."""
    source: Source = "portal"
    """`portal`, or `sample` when the bundled sample is served by the stand-in; never mixed in one data directory."""
    read_timeout_seconds: float = 60.0
    """How long the portal may be silent before a request counts as failed."""
    retry_wait_seconds: float = 1.0
    """The first pause between two attempts; it doubles, with jitter."""
    alert_webhook: str | None = field(default=None, repr=False)
    """Where failed runs and held months are told of, as Slack takes it; nowhere by default. The address is a secret."""
    ship_url: str | None = field(default=None, repr=False)
    """An fsspec address, such as s3://bucket/folder, to which each published file is shipped; nowhere by default."""
    ship_key: str | None = field(default=None, repr=False)
    """What is shipped is signed with it, and a replica that has it takes nothing else; a secret of pipeline and replicas."""
    replica_seconds: float = 60.0
    """How often a replica looks for a new shipment."""
    ui_url: str | None = None
    """Where people reach Dagster's UI, for the links in alerts."""
    log_format: LogFormat = "colored"
    """How what happens is told on standard error: `colored` for people, `json` for collectors. Dagster's own words."""
    site_url: str | None = None
    """Where people reach the dashboard, for the links in Dagster's UI."""
    metrics_address: str | None = None
    """Where the site tells Prometheus what it measures, such as 127.0.0.1:9311; nowhere by default, and never on its own port."""
    keep_runs_days: int = 30
    """How long Dagster keeps finished runs and their logs; those that the UI still needs stay longer."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from the environment.

        Raises:
            SettingsError: a value can't be used; the message names the variable, the value and what it may be.
        """
        env = os.environ if environment is None else environment
        default = cls()
        return cls(
            portal_url=_portal(env.get("VANC311_PORTAL_URL") or default.portal_url),
            api_key=_api_key(env.get("VANC311_API_KEY")),
            data_dir=_directory("VANC311_DATA_DIR", env.get("VANC311_DATA_DIR") or str(default.data_dir)),
            database_url=_warehouse(env.get("VANC311_DATABASE_URL")),
            dagster_home=_directory("DAGSTER_HOME", env.get("DAGSTER_HOME") or str(default.dagster_home)),
            dagster_database_url=_dagster_database(env.get("VANC311_DAGSTER_DATABASE_URL")),
            source=_source(env.get("VANC311_SOURCE") or default.source),
            read_timeout_seconds=_positive(env, "VANC311_READ_TIMEOUT_SECONDS", default.read_timeout_seconds),
            retry_wait_seconds=_positive(env, "VANC311_RETRY_WAIT_SECONDS", default.retry_wait_seconds),
            alert_webhook=_webhook(env.get("VANC311_ALERT_WEBHOOK")),
            ship_url=_ship(env.get("VANC311_SHIP_URL")),
            ship_key=_ship_key(env.get("VANC311_SHIP_KEY")),
            replica_seconds=_positive(env, "VANC311_REPLICA_SECONDS", default.replica_seconds),
            ui_url=_address("VANC311_UI_URL", env.get("VANC311_UI_URL"), "Dagster's UI", "http://127.0.0.1:3000"),
            site_url=_address(
                "VANC311_SITE_URL", env.get("VANC311_SITE_URL"), "the dashboard", "http://127.0.0.1:8311"
            ),
            metrics_address=_listening(env.get("VANC311_METRICS_ADDRESS")),
            log_format=_log_format(env.get("VANC311_LOG_FORMAT") or default.log_format),
            keep_runs_days=_days(env, "VANC311_KEEP_RUNS_DAYS", default.keep_runs_days),
        )

    def to_environment(self) -> dict[str, str]:
        """Every variable of ours, for a child process or this one: what is not set here is empty, or it would be inherited."""
        values = {
            "VANC311_PORTAL_URL": self.portal_url,
            "VANC311_API_KEY": self.api_key,
            "VANC311_DATA_DIR": str(self.data_dir),
            "VANC311_DATABASE_URL": self.database_url,
            "DAGSTER_HOME": str(self.dagster_home),
            "VANC311_DAGSTER_DATABASE_URL": self.dagster_database_url,
            "VANC311_SOURCE": self.source,
            "VANC311_READ_TIMEOUT_SECONDS": str(self.read_timeout_seconds),
            "VANC311_RETRY_WAIT_SECONDS": str(self.retry_wait_seconds),
            "VANC311_ALERT_WEBHOOK": self.alert_webhook,
            "VANC311_SHIP_URL": self.ship_url,
            "VANC311_SHIP_KEY": self.ship_key,
            "VANC311_REPLICA_SECONDS": str(self.replica_seconds),
            "VANC311_UI_URL": self.ui_url,
            "VANC311_SITE_URL": self.site_url,
            "VANC311_METRICS_ADDRESS": self.metrics_address,
            "VANC311_LOG_FORMAT": self.log_format,
            "VANC311_KEEP_RUNS_DAYS": str(self.keep_runs_days),
        }
        return {name: value or "" for name, value in values.items()}

    def for_sample(self) -> "Settings":
        """Settings for the bundled sample: a data directory and a Dagster home of its own, and what is harmless of these.

        All else is as it is by default, so that no address or secret of the user's reaches the sample.
        """
        return Settings(
            source="sample",
            data_dir=self.data_dir.with_name(f"{self.data_dir.name}-sample"),
            dagster_home=self.dagster_home.with_name(f"{self.dagster_home.name}-sample"),
            read_timeout_seconds=self.read_timeout_seconds,
            retry_wait_seconds=self.retry_wait_seconds,
            log_format=self.log_format,
            keep_runs_days=self.keep_runs_days,
        )

    def reached_at(self, ui_url: str, site_url: str) -> "Settings":
        """These settings with the addresses that links lead to, for whoever listens there; those that the user set stay."""
        return replace(self, ui_url=self.ui_url or ui_url, site_url=self.site_url or site_url)

    @property
    def lacks_sample(self) -> bool:
        """Whether the sample is wanted, but of the city's portal, which doesn't have it."""
        return self.source == "sample" and urlsplit(self.portal_url).hostname == CITY_PORTAL

    @property
    def warehouse_url(self) -> str:
        return self.database_url or sqlite_url(self.data_dir / "warehouse.sqlite")

    @property
    def raw_dir(self) -> Path:
        return self.data_dir / "raw"

    @property
    def measures_path(self) -> Path:
        return self.data_dir / "measures.prom"

    @property
    def published_path(self) -> Path:
        return self.data_dir / "published" / "vanc311.sqlite"


def _shown(value: str) -> str:
    """A refused value in a message: its beginning tells which it is."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r} …"


def _directory(name: str, value: str) -> Path:
    with suppress(RuntimeError):  # the home of a user who isn't there
        path = Path(value).expanduser().absolute()
        if _may_be_directory(path):
            return path
    raise SettingsError(
        f"{name} is {_shown(value)}, which is no directory and can't become one. Set it to a directory, or unset it."
    )


def _may_be_directory(path: Path) -> bool:
    """Whether it is one, or can be made: nothing else stands on the way to it, and no name is too long for a file system."""
    nearest = next(place for place in (path, *path.parents) if os.path.exists(place))
    longest = max(len(os.fsencode(part)) for part in path.parts)
    return os.path.isdir(nearest) and longest <= LONGEST_NAME and len(os.fsencode(path)) <= LONGEST_PATH


def _portal(value: str) -> str:
    if any(sign in value for sign in "@?#"):
        raise SettingsError(
            "VANC311_PORTAL_URL has more than the portal's root in it; it is not repeated here, because a key or a password may be part "
            "of it. Set it to the root alone, such as https://opendata.vancouver.ca, and VANC311_API_KEY to the key."
        )
    if not _is_address(value):
        raise SettingsError(
            f"VANC311_PORTAL_URL is {_shown(value)}, which is not an http(s) address. "
            "Set it to the portal's root, such as https://opendata.vancouver.ca, or unset it."
        )
    return value.rstrip("/")


def _api_key(value: str | None) -> str | None:
    # An HTTP header can't hold anything else, and whatever is refused later would be refused with the key in its words.
    if value and not (value.isascii() and value.isprintable() and value == value.strip()):
        raise SettingsError(
            "VANC311_API_KEY has a character that a key can't have: a line end, a blank at its edge or one outside ASCII; it is not "
            "repeated here, because it is a secret. Set it to the key alone, or unset it: the datasets are public without it."
        )
    return value or None


def _webhook(value: str | None) -> str | None:
    if value and not _is_address(value):
        raise SettingsError(
            "VANC311_ALERT_WEBHOOK is not an http(s) address; it is not repeated here, because such an address is a secret. "
            "Set it to what Slack, or a service that takes the same messages, gave you, or unset it to have no alerts."
        )
    return value or None


def _address(name: str, value: str | None, what: str, example: str) -> str | None:
    if value and not _is_address(value):
        raise SettingsError(
            f"{name} is {_shown(value)}, which is not an http(s) address. Set it to where people reach {what}, such as {example}, or unset it."
        )
    return value.rstrip("/") if value else None


def _listening(value: str | None) -> str | None:
    if value and (
        ":" not in value or "/" in value or "@" in value or not _is_address(f"http://{value}") or value.endswith(":")
    ):
        raise SettingsError(
            f"VANC311_METRICS_ADDRESS is {value!r}, which is not a host and a port. Set it to where Prometheus is to ask, such as "
            "127.0.0.1:9311, or unset it to tell nobody."
        )
    return value or None


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        return False


_DATABASES = (
    "Set it to sqlite:////absolute/path.sqlite or to postgresql+psycopg://user:password@host:5432/database, with every sign but "
    "letters, digits, '-', '.', '_' and '~' in a name, password or path written as % and its two hex digits, or unset it to use "
    "warehouse.sqlite in the data directory."
)


def _warehouse(value: str | None) -> str | None:
    """The address in SQLAlchemy's words; a refused one is not repeated, because it may hold a password anywhere."""
    if not value:
        return None
    if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise SettingsError(
            f"VANC311_DATABASE_URL does not begin with sqlite:/// or postgresql+psycopg://, and the warehouse is in one of the two. {_DATABASES}"
        )
    try:
        url = sa.make_url(value if len(value) <= LONGEST_PATH else "")
    except (sa.exc.ArgumentError, ValueError) as error:
        raise SettingsError(f"VANC311_DATABASE_URL can't be read as an address. {_DATABASES}") from error
    if "@" in (url.host or ""):
        raise SettingsError(f"VANC311_DATABASE_URL has two @: one in a name or password is written %40. {_DATABASES}")
    if url.get_backend_name() == "sqlite" and (url.query or not _may_be_file(url.database or "")):
        raise SettingsError(
            f"VANC311_DATABASE_URL is {_shown(value)}, which can't be the absolute path of a file. {_DATABASES}"
        )
    return value


def _may_be_file(path: str) -> bool:
    file = Path(path)
    whole = path.startswith("/") and not path.endswith("/") and len(os.fsencode(file.name)) <= LONGEST_NAME
    return whole and _may_be_directory(file.parent)


def _ship(value: str | None) -> str | None:
    if not value:
        return None
    from fsspec.registry import known_implementations  # takes a while, and few ship

    scheme, _, place = value.partition("://")
    driver = known_implementations.get(scheme, {"class": ""})["class"].partition(".")[0]
    relative = scheme in ("file", "local") and not place.startswith("/")
    if not place or relative or not driver or find_spec(driver) is None:
        raise SettingsError(
            "VANC311_SHIP_URL is not the absolute address of a store whose driver is installed. It is not repeated here, because it "
            "may hold a secret. Set it to an address such as s3://bucket/folder (with `pip install 'vanc311_pipeline[s3]'`) or "
            "file:///absolute/folder, or unset it to ship nowhere."
        )
    return value


def _ship_key(value: str | None) -> str | None:
    # A line end that a file brought along would make two keys of one.
    if value and not (value.isascii() and value.isprintable() and value == value.strip() and len(value) >= 32):
        raise SettingsError(
            "VANC311_SHIP_KEY is shorter than 32 signs, or has one that a key can't have: a line end, a blank at its edge or one outside "
            "ASCII; it is not repeated here, because it is a secret. Set it to what `openssl rand -hex 32` prints, on the pipeline and "
            "on every replica, or unset it to sign nothing."
        )
    return value or None


def _dagster_database(value: str | None) -> str | None:
    # With the driver's name: SQLAlchemy takes another one for a bare postgresql://, and that one refuses Dagster's NOTIFY.
    if value and not value.startswith("postgresql+psycopg2://"):
        raise SettingsError(
            "VANC311_DAGSTER_DATABASE_URL is not a postgresql+psycopg2:// address; it is not repeated here, because it may hold a "
            "password. Set it to postgresql+psycopg2://user:password@host:5432/dagster, or unset it to keep Dagster's storage in "
            "DAGSTER_HOME."
        )
    return value or None


def _source(value: str) -> Source:
    if value == "sample":
        return "sample"
    if value == "portal":
        return "portal"
    raise SettingsError(f"VANC311_SOURCE is {_shown(value)}; it may be 'portal' or 'sample'.")


def _log_format(value: str) -> LogFormat:
    if value == "json":
        return "json"
    if value == "colored":
        return "colored"
    raise SettingsError(f"VANC311_LOG_FORMAT is {_shown(value)}; it may be 'colored' or 'json'.")


def _positive(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise SettingsError(f"{name} is {_shown(text)}; it must be a number of seconds greater than 0.")
    return number


def _days(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= days <= MOST_DAYS:
        raise SettingsError(f"{name} is {_shown(text)}; it must be a whole number of days from 1 to {MOST_DAYS}.")
    return days
