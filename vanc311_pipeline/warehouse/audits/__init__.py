"""Audits: each asks one question about what is stored and answers with what it found. They only read.

What belongs here: the questions behind the asset checks, as functions of a read connection and the months to look at
(None: all), and the order in which they are asked. What does not: Dagster (`orchestration.asset_checks`).

An audit computes its answer another way than the code that it audits, or it could not find that code wrong.
"""

from vanc311_pipeline.warehouse.audits import convergence, files, metrics, plausibility, statistics, stored
from vanc311_pipeline.warehouse.audits.questions import Audit

AUDITS = tuple(
    each
    for module in (files, stored, convergence, metrics, statistics, plausibility)
    for each in vars(module).values()
    if isinstance(each, Audit)
)
"""Every audit."""
