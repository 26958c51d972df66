"""Claims about the growth benchmark: what it calls the month's work is steps that the job has."""

from benchmarks.bench import Line
from benchmarks.growth import MONTH_STEPS, SIZES, Result, table
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.settings import Settings


def test_the_steps_of_the_months_work_are_steps_of_the_job():
    job = build_definitions(Settings()).resolve_job_def("sync")
    assert set(MONTH_STEPS) < {node.name for node in job.nodes}


def test_seconds_are_told_apart_by_what_they_grow_with():
    steps = {
        "raw_service_requests": 1.0, "check_service_requests": 0.5, "metrics_by_issue": 0.25, "published_database": 4.0,
    }  # fmt: skip
    line = Line("load", 300_000, 60.0, 50.0, 500.0)
    result = Result(SIZES[0], line, 120.0, line, 1, line, 5, steps)
    assert (result.month_seconds, result.whole_seconds) == (1.5, 4.25)
    assert "| **one month changed**: requests | 5 |" in table([result])
