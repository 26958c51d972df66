"""The register: what an audit says of itself where it stands, and what it may look at. Nothing here knows of Dagster.

An audit is declared once, by the decorator above its function: which asset it guards, by what name, and whether a problem blocks.
The first paragraph of its docstring is what people read about it, in Dagster's UI, in the published file and on the dashboard.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa

from vanc311_pipeline.warehouse.audits.questions import Finding, Months, Points, locate
from vanc311_pipeline.warehouse.places import Places


@dataclass(frozen=True)
class AuditContext:
    """What an audit may look at. Its function takes what it needs of it, as parameters of these names."""

    places: Places
    connection: sa.Connection
    months: Months = None
    """UTC months; None means all."""
    planned: bool = False
    """The run went by a plan, to load all that differs; else a month that was left alone may be behind, which is only said."""

    @cached_property
    def points(self) -> Points:
        """Where the coordinates lie: two audits ask."""
        return locate(self.connection, self.months)


@dataclass(frozen=True)
class Audit:
    """A question about what is stored, and what follows from its answer."""

    asset: str
    name: str
    blocking: bool
    """A problem stops the run; an audit that doesn't block only has notes."""
    asks_portal: bool
    """It needs the portal's present answer: a planned run has it, any other run asks first."""
    question: Callable[..., Finding]

    @property
    def description(self) -> str:
        """What is claimed: the first paragraph of the docstring, in one line."""
        return " ".join((inspect.getdoc(self.question) or "").split("\n\n")[0].split())

    def __call__(self, context: AuditContext) -> Finding:
        parameters = inspect.signature(self.question).parameters
        return self.question(**{name: getattr(context, name) for name in parameters})


def audit(
    asset: str, name: str, *, blocking: bool = True, asks_portal: bool = False
) -> Callable[[Callable[..., Finding]], Audit]:
    """Declare a function as the audit of that name, of that asset."""
    return lambda question: Audit(asset, name, blocking, asks_portal, question)
