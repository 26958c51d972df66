"""Prints the methods as Markdown: `python -m vanc311_pipeline.commands.methods > docs/methods.md`."""

from collections.abc import Iterator

from vanc311_pipeline.registry import DEFINITIONS_VERSION, FAMILIES, LAWS, STATES, Family
from vanc311_pipeline.settings import LICENCE


def markdown() -> Iterator[str]:
    """The lines of docs/methods.md, all from the registry."""
    yield "# Methods: what the numbers mean"
    yield ""
    yield f"Version {DEFINITIONS_VERSION} of the definitions. Written by `make docs` from `vanc311_pipeline/registry.py`; don't edit."
    yield "Each section begins in plain words; why it is done so, the formulas and the limits follow."
    yield f"{LICENCE}"
    yield ""
    yield "Quote a number with its n, its scope and its as_of. `all` is the whole workload; `located` are the requests with a local area,"
    yield "the part that can be compared between areas; a fifth of requests have none. Days are calendar days in Vancouver."
    yield "Closed does not mean fixed."
    for family in FAMILIES:
        yield from _section(family)
    yield from _states()
    yield from _laws()


def _section(family: Family) -> Iterator[str]:
    yield ""
    yield f"## {family.title}"
    yield ""
    yield family.plain
    yield ""
    yield f"**Why so.** {family.why}"
    yield ""
    yield f"**Limits.** {family.limits}"
    yield ""
    yield "| statistic | meaning | formula | unit | a larger value means | which requests | least n | source |"
    yield "|---|---|---|---|---|---|---:|---|"
    for metric in family.metrics:
        cells = (
            f"`{metric.name}`",
            metric.meaning,
            metric.formula,
            metric.unit,
            metric.direction or "–",
            metric.scope,
            str(metric.minimum_n),
            metric.source,
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""
    yield f"Tables: {', '.join(f'`{name}`' for name in family.tables)}. To compute it again:"
    yield ""
    for line in family.details:
        yield f"- {line}"


def _states() -> Iterator[str]:
    yield ""
    yield "## States"
    yield ""
    yield "A statistic that can't be given is null, and a state beside it says why; never 0, never left out without a word."
    yield ""
    yield "| state | meaning |"
    yield "|---|---|"
    for state, meaning in STATES.items():
        yield f"| `{state}` | {meaning} |"


def _laws() -> Iterator[str]:
    yield ""
    yield "## Laws"
    yield ""
    yield "They hold exactly, in whole numbers; each is an asset check, and a failure blocks publishing. Laws 1 to 3 hold for every count"
    yield "and sum of every table with levels; averages and quantiles don't add up."
    yield ""
    for number, law in enumerate(LAWS, start=1):
        yield f"{number}. {law}"


if __name__ == "__main__":
    print("\n".join(markdown()))
