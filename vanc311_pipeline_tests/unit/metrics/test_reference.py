"""Claims about the estimators against R's: what is stored in golden/reference.csv was printed by golden/reference.R, of lung cancer
(R's `survival::lung`) and of the four largest issue types of the bundled sample.
"""

import subprocess
from dataclasses import fields
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vanc311_pipeline.metrics import estimates
from vanc311_pipeline.metrics.comparison import T_95
from vanc311_pipeline.metrics.current_speed import current_speed
from vanc311_pipeline.metrics.facts import NONE, day_number
from vanc311_pipeline.metrics.outcomes import OUTCOMES, outcome_codes
from vanc311_pipeline.metrics.spells import Spells, curves_by_parts
from vanc311_pipeline.metrics.survival import (
    Z_95,
    Curves,
    cumulative_incidence,
    days_until,
    kaplan_meier,
    mean_days_within,
    risk_set,
)
from vanc311_pipeline.metrics.time_to_close import follow

GOLDEN = Path(__file__).parents[2] / "golden"
EXACT = {"rel": 1e-9, "abs": 1e-9}


@pytest.fixture(scope="module")
def requests(sample) -> pd.DataFrame:
    """The usable requests of the sample, as the script reads them."""
    facts, rows = sample.facts, np.flatnonzero(sample.facts.used)
    closed = np.where(facts.event, facts.closed, NONE)[rows]
    outcomes = np.array(OUTCOMES)[outcome_codes(facts)[rows]]
    return pd.DataFrame(
        {
            "issue": np.array(facts.issues)[facts.issue[rows]], "outcome": np.char.replace(outcomes, ",", ""),
            "opened": facts.opened[rows], "closed": pd.array(closed, dtype="Int64"), "as_of": facts.as_of,
        }
    ).replace({"closed": {NONE: pd.NA}})  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> dict[tuple[str, str], pd.Series]:
    """R's values by what they are of and what they are, each by its place."""
    return _values((GOLDEN / "reference.csv").read_text())


def _values(printed: str) -> dict[tuple[str, str], pd.Series]:
    table = pd.read_csv(StringIO(printed), skiprows=[1])
    return {key: rows.set_index("at")["value"] for key, rows in table.groupby(["data", "quantity"])}


@pytest.mark.rehearsal
def test_the_stored_values_are_what_r_prints(requests, reference, tmp_path):
    requests.to_csv(tmp_path / "requests.csv", index=False, na_rep="NA")
    command = ["Rscript", "--vanilla", str(GOLDEN / "reference.R"), str(tmp_path / "requests.csv")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (tmp_path / "reference.csv").write_text(printed)
    anew, replacement = (
        _values(printed),
        f"if they are right, {tmp_path / 'reference.csv'} takes the stored ones' place",
    )
    assert anew.keys() == reference.keys(), replacement
    for key, values in anew.items():
        pd.testing.assert_series_equal(values, reference[key], rtol=1e-12, obj=f"{key}: {replacement}")


def by_day(*days: np.ndarray) -> list[np.ndarray]:
    """How often each day occurs, a row of one group."""
    length = max(int(each.max(initial=0)) for each in days) + 1
    return [np.bincount(each, minlength=length)[None, :] for each in days]


def agree(reference, data, curves):
    limits = ("low", "high") if (data, "low") in reference else ()  # R gives none where it can't tell a variance
    for quantity in ("open_share", *limits):
        values, ours = reference[data, quantity], getattr(curves, quantity)[0]
        assert len(values) > 10
        assert ours[np.minimum(values.index.astype(int), len(ours) - 1)] == pytest.approx(values.to_numpy(), **EXACT), (
            quantity
        )


def restricted_means_agree(reference, data, curves):
    for tau, mean in reference[data, "mean_within"].items():
        spread = Z_95 * reference[data, "mean_error"][tau]
        assert mean_days_within(curves, int(tau))[:, 0] == pytest.approx([mean, mean - spread, mean + spread], **EXACT)


def test_lungs_curve_quantiles_and_restricted_means(reference):
    days, closed = (reference["lung", name].to_numpy().astype(int) for name in ("day", "closed"))
    events, left = by_day(days[closed == 1], days)
    curves = kaplan_meier(events, risk_set(left))
    agree(reference, "lung", curves)
    restricted_means_agree(reference, "lung", curves)
    for closed_share, day in reference["lung", "quantile"].items():
        assert days_until(curves, closed_share)[0][0, 0] == day


@pytest.fixture(scope="module")
def issues(requests) -> list[str]:
    return requests["issue"].value_counts().index[:4].tolist()


def test_the_curves_of_the_largest_issue_types_and_their_outcomes(sample, reference, issues, cohort_of):
    codes = outcome_codes(sample.facts)
    for some in follow(cohort_of(sample.facts, "issue", "all")):
        curves = kaplan_meier(some.curves.closed, some.curves.at_risk)
        incidence = np.stack(cumulative_incidence(curves, some.closed_by(codes, len(OUTCOMES))))
        for place, issue in enumerate(some.cohort.names["issue_type"][some.groups]):
            if issue not in issues:
                continue
            curve = group_of(curves, place)
            agree(reference, issue, curve)
            restricted_means_agree(reference, issue, curve)
            for number, outcome in enumerate(OUTCOMES):
                for quantity, ours in zip(
                    ("closed_share", "closed_low", "closed_high"), incidence[:, number, place], strict=True
                ):
                    values = reference.get((f"{issue}|{outcome}".replace(",", ""), quantity), pd.Series(dtype=float))
                    assert ours[values.index.astype(int)] == pytest.approx(values.to_numpy(), **EXACT)


def group_of(curves: Curves, place: int) -> Curves:
    return Curves(*(getattr(curves, each.name)[place : place + 1] for each in fields(Curves)))


def test_the_speed_of_the_last_13_weeks_is_that_of_delayed_entry(sample, reference, issues, grouped, requests):
    table = current_speed(grouped(sample.facts, "issue", "all")).set_index("issue_type")
    first, last = (day_number(table[name].iloc[0]) for name in ("weeks_from", "weeks_to"))
    for issue in issues:
        row, now = table.loc[issue], f"{issue} now"
        for name, share in (("median", 0.5), ("p75", 0.25)):
            if row[f"{name}_state"] == "ok":
                assert row[f"{name}_days"] == (reference[now, "open_share"] <= share + 1e-9).idxmax()
        rows = requests[requests["issue"] == issue]
        opened, left = rows["opened"].to_numpy(), rows["closed"].fillna(sample.facts.as_of).to_numpy(dtype=np.int64)
        inside = (opened <= last) & (left >= first)
        entry, days = np.maximum(first - opened, 0)[inside], (np.minimum(left, last) - opened)[inside]
        event = (rows["closed"].notna().to_numpy() & (left <= last))[inside]
        [(_, curves)] = curves_by_parts(Spells(np.zeros_like(days), days, event, entry), 1)
        agree(reference, now, curves)


def test_intervals_and_probabilities(reference):
    for data, interval in (("poisson", estimates.poisson), ("wilson of 30", lambda part: estimates.wilson(part, 30))):
        low, high = (reference[data, side] for side in ("low", "high"))
        for ours, values in zip(interval(low.index.to_numpy()), (low, high), strict=True):
            assert ours == pytest.approx(values.to_numpy(), **EXACT), data
    for mean in (0.5, 5, 29.5):
        p = reference[f"poisson {mean}", "p"]
        assert estimates.poisson_p(p.index.to_numpy(), mean) == pytest.approx(p.to_numpy(), **EXACT)
    assert estimates.false_discovery(reference["p", "p"].to_numpy()) == pytest.approx(
        reference["p", "q"].to_numpy(), **EXACT
    )
    t = reference["t of 11", "p"]
    assert estimates.t_p(t.index.to_numpy(), 11) == pytest.approx(t.to_numpy(), **EXACT)
    assert reference["t of 11", "quantile"].item() == pytest.approx(T_95, **EXACT)


def test_the_error_of_a_mean_whose_neighbours_are_alike(reference):
    series = reference["lung", "day"].to_numpy()
    for n, error in reference["hac", "error"].items():
        assert estimates.newey_west(series[: int(n)]) == pytest.approx(error, **EXACT)
        assert estimates.t_95(int(n) - 1) == pytest.approx(reference["hac", "t"][n], **EXACT)
