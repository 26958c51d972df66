"""Audits: each asks one question about what is stored and answers with what it found. They only read.

What belongs here: the questions behind the asset checks, as functions of a read connection and the months to look at
(None: all), and the order in which they are asked. What does not: Dagster (`orchestration.asset_checks`).

An audit computes its answer another way than the code that it audits, or it could not find that code wrong.
"""

from vanc311_pipeline.warehouse.audits import (
    convergence,
    curves,
    landed,
    metrics,
    plausibility,
    published,
    statistics,
    stored,
)
from vanc311_pipeline.warehouse.audits.register import Audit

AUDITS: tuple[Audit, ...] = (
    landed.raw_counts,
    landed.portal_size,
    landed.raw_fields,
    stored.all_areas,
    stored.accounting,
    stored.portal_total,
    convergence.convergence,
    stored.held_months,
    stored.identity,
    stored.completeness,
    stored.derivation,
    stored.known_areas,
    stored.usable_fields,
    stored.silent_changes,
    stored.quarantine,
    stored.status_and_close_date,
    stored.close_before_open,
    stored.plausible_times,
    stored.points_in_the_city,
    stored.points_in_their_area,
    metrics.conservation,
    metrics.recomputed,
    metrics.long_equals_wide,
    statistics.timing,
    curves.curves_agree,
    curves.curves_recomputed,
    statistics.monthly,
    statistics.backlog,
    statistics.outcome_shares,
    statistics.unmapped,
    statistics.standing,
    statistics.comparison,
    statistics.quality_sums,
    plausibility.as_usual,
    plausibility.published_2025,
    published.published_whole,
    published.published_equal,
    published.shipped_equal,
)
"""Every audit, in the order of the assets."""
