"""Claims about the growth benchmark: what it calls the month's work is steps that the job has."""

from benchmarks.growth import MONTH_STEPS, by_growth
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.settings import Settings


def test_the_steps_of_the_months_work_are_steps_of_the_job():
    job = build_definitions(Settings()).resolve_job_def("sync")
    assert set(MONTH_STEPS) < {node.name for node in job.nodes}


def test_seconds_are_told_apart_by_what_they_grow_with():
    steps = {
        "raw_service_requests": 1.0, "check_service_requests": 0.5, "metrics_by_issue": 0.25, "published_database": 4.0,
    }  # fmt: skip
    assert by_growth(steps) == (1.5, 4.25)
