"""The plan: which months are stale, and why; the same for the schedule and for `vanc311 sync`.

A quiet portal costs one request (the metadata). A release that we don't know costs one more: the grouped question, whose
fingerprints tell which months differ. Nothing but those months is loaded, and the rolling refresh: an edit that leaves
`last_modified` as it was is outside the fingerprint's sight, so with each release a few months that were read longest ago are read
again, and each month at least every 30 days.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil

from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import EMPTY, Fingerprint, fingerprints
from vanc311_pipeline.settings import LIVE, REREAD_AFTER_DAYS, REREAD_SLACK_DAYS, REREAD_WITHIN_DAYS
from vanc311_pipeline.timezone import local_day
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import NAMED, Hold, KnownRelease, MonthRecord, Plan, advice
from vanc311_pipeline.warehouse.restraint import shrinkage

_SHORT = 12  # digits of a fingerprint in a plan: enough to tell two states of one month apart


def ask_anew(client: Portal, warehouse: Warehouse) -> None:
    """Have the portal say what it has of each dataset that the warehouse holds: two requests each."""
    with warehouse.read() as connection:
        months = ledger.months(connection)
    releases = [client.release(dataset) for dataset in sorted({window.dataset for window in months})]
    answers = ask(client, releases, months)
    with warehouse.write() as connection:
        ledger.note_portal_months(connection, releases, answers)


def make_plan(
    portal: Portal,
    records: Mapping[Window, MonthRecord],
    last_releases: Mapping[str, KnownRelease | None],
    code_version: str,
    datasets: Sequence[str] = (LIVE,),
    held: Sequence[Hold] = (),
    consent: Collection[str] = (),
    now: datetime | None = None,
) -> Plan:
    """Ask the portal what it has and compare it with the ledger.

    Args:
        last_releases: the release of each dataset that we dealt with last.
        code_version: of the cleaning rules; months cleaned by others are cleaned again.
        held: what was not followed when we looked last; a day later the same release is looked at again.
        consent: months that somebody agreed to follow, or `all`; with any, a held release is looked at at once.
    """
    releases = tuple(portal.release(dataset) for dataset in datasets)
    odd = "".join(f" {release.dataset}: {note}." for release in releases for note in release.drift())
    days = {release.dataset: str(local_day(release.data_processed)) for release in releases}
    outdated = {
        window
        for window, record in records.items()
        if record.code_version != code_version or (record.dates_ahead or "9999") <= days.get(window.dataset, "")
    }
    known = {
        (name, last.data_processed, last.records_count): last.state for name, last in last_releases.items() if last
    }
    states = {known.get((release.dataset, *release.identity), "unknown") for release in releases}
    what = " and ".join(f"the release of {each.data_processed} with {each.records_count:,} rows" for each in releases)
    if states == {"settled"} and not outdated:
        return Plan("skip", f"Nothing changed: the portal still has {what}, and we have all of it.{odd}", releases)
    now = now or datetime.now(UTC)
    again = "held" in states and not consent
    # Once in a day the release that is held is looked at again.
    looked_at = [each.seen_at for each in last_releases.values() if each and each.state == "held"]
    if again and min(looked_at) > f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}":
        return Plan("skip", _why_held(what, held), releases, held=True)
    answers = ask(portal, releases, records)
    for release in releases:
        if losses := shrinkage(release, records, answers, consent):
            why = f"Held, not followed: {'; '.join(map(str, losses))}."
            return Plan("load", why, releases, answers=answers)
    read_anyway = outdated | {line.window for line in held}
    changed = {
        window
        for window, state in answers.items()
        if window in read_anyway or window not in records or records[window].fingerprint != state.digest
    }
    reread = longest_ago(records, answers.keys() - changed, now)
    # What was mended under the release's old name may show in no fingerprint.
    stale = {window: "" if again else answers[window].digest[:_SHORT] for window in sorted(changed | reread)}
    return Plan("load", _why(what, answers, changed, reread) + odd, releases, stale, reread, answers)


def ask(portal: Portal, releases: Sequence[Release], records: Collection[Window]) -> dict[Window, Fingerprint]:
    """The portal's fingerprint of each window of some datasets; of one that we hold and it no longer has, `EMPTY`."""
    datasets = {release.dataset for release in releases}
    answers = {window: EMPTY for window in records if window.dataset in datasets}
    for release in releases:
        served = fingerprints(portal.cells(release.dataset), release.last_month)
        answers |= {Window(release.dataset, month): state for month, state in served.items()}
    return answers


def longest_ago(
    records: Mapping[Window, MonthRecord], unchanged: Collection[Window], now: datetime
) -> frozenset[Window]:
    """The rolling refresh's share of this release: the unchanged windows that were read longest ago, and all that are overdue."""
    datasets = {window.dataset for window in unchanged}  # one without any, as the frozen archive, makes no share larger
    windows = sum(window.dataset in datasets for window in records)
    read = {window: datetime.fromisoformat(records[window].loaded_at) for window in unchanged}
    aged = sorted((at, window) for window, at in read.items() if at <= now - timedelta(days=REREAD_AFTER_DAYS))
    overdue = [window for at, window in aged if at <= now - timedelta(days=REREAD_WITHIN_DAYS - REREAD_SLACK_DAYS)]
    share = ceil(windows / (REREAD_WITHIN_DAYS - REREAD_SLACK_DAYS - REREAD_AFTER_DAYS))
    return frozenset(overdue) | {window for _, window in aged[:share]}


def _why(
    what: str, answers: Mapping[Window, Fingerprint], changed: Collection[Window], reread: Collection[Window]
) -> str:
    def months(kind: str, windows: Collection[Window]) -> str:
        return f"{len(windows)} {kind} month{'' if len(windows) == 1 else 's'}"

    rows = sum(answers[window].rows for window in changed)
    stale = f": {months('stale', changed)} of {rows:,} rows" if changed else ", with no month changed"
    if reread:
        stale += f"; {months('unchanged', reread)} read longest ago {'is' if len(reread) == 1 else 'are'} read again"
    return f"The portal has {what}{stale}."


def _why_held(what: str, held: Sequence[Hold]) -> str:
    lines = "; ".join(str(line) for line in held[:NAMED]) + (" …" if len(held) > NAMED else "")
    return f"Held: {what} is not followed. {lines}. The data before that stays published. {advice(held)}"
