"""Claims about logs: one form for every record of a process, ours and libraries', readable by people or by collectors."""

import json
import logging
import warnings

import dagster as dg
import pytest
from dagster._core.execution import context_creation_job

from vanc311_pipeline.charts import words
from vanc311_pipeline.logs import Sparing, in_a_line, set_up_logs
from vanc311_pipeline.orchestration.operations.logs import set_up_location_logs


@pytest.fixture(autouse=True)
def root():
    """The root logger as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)


def test_for_collectors_each_record_is_one_line_of_json(capsys):
    set_up_logs("json")
    logging.getLogger("some.package").warning("lost %d rows\nof many", 3, extra={"month": "2025-01"})
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["logger"]) == ("lost 3 rows\nof many", "warning", "some.package")
    assert line["month"] == "2025-01"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["json", "colored"])
def test_an_exception_is_part_of_its_line_and_what_its_frames_hold_is_nobodys_business(capsys, form):
    set_up_logs(form)

    def answer(cookie: str) -> None:
        raise ValueError("odd")

    try:
        answer("session=" + "secret")
    except ValueError:
        logging.getLogger("ours").exception("No answer")
    output = capsys.readouterr().err
    assert "odd" in output
    assert "session=secret" not in output
    if form == "json":
        [exception] = json.loads(output)["exception"]
        assert (exception["exc_type"], exception["exc_value"]) == ("ValueError", "odd")


def test_a_warning_of_python_is_a_record_like_any_other(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up_logs("json")
        warnings.warn("Deprecated", DeprecationWarning, stacklevel=1)
    assert "Deprecated" in json.loads(capsys.readouterr().err)["event"]


def test_for_people_it_is_a_sentence(capsys):
    set_up_logs("colored")
    logging.getLogger("ours").warning("The disk is nearly full")
    line = capsys.readouterr().err
    assert "warning" in line
    assert "The disk is nearly full" in line
    assert "\x1b" not in line


def test_what_is_below_the_level_is_not_told(capsys):
    set_up_logs("json", logging.ERROR)
    logging.getLogger("ours").warning("nothing to see")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["json", "colored"])
def test_of_a_run_messages_and_failures_are_told_and_none_of_its_events(capsys, monkeypatch, form):
    monkeypatch.setattr(context_creation_job, "default_system_loggers", None)  # restores what is set here
    set_up_location_logs(form)

    @dg.op
    def load(context: dg.OpExecutionContext) -> None:
        secret = "session=" + "secret"
        context.log.info("2025-01: 3 rows")
        raise ValueError(f"odd, {len(secret)} characters")

    @dg.job
    def sync():
        load()

    sync.execute_in_process(raise_on_error=False)
    output = capsys.readouterr().err
    assert "2025-01: 3 rows" in output
    assert "odd, 14 characters" in output
    assert "session=secret" not in output
    assert "STEP_START" not in output
    if form == "json":
        assert [json.loads(line)["level"] for line in output.splitlines()] == ["info", "error", "error"]


def test_of_what_is_said_again_and_again_a_few_records_are_kept_and_the_rest_is_counted():
    def record(second):
        entry = logging.makeLogRecord({"msg": "No answer to %s", "args": ("/",)})
        entry.created = second
        return entry

    sparing = Sparing(at_most=2)
    records = [record(second) for second in (0, 1, 2, 3, 59, 60, 61, 120)]
    assert [each.getMessage() for each in records if sparing.filter(each)] == [
        "No answer to /", "No answer to /",
        "No answer to / (and 3 more like it in an earlier minute, not logged)", "No answer to /", "No answer to /",
    ]  # fmt: skip


def test_a_fault_fits_in_a_line_however_long_what_it_says_is():
    with pytest.raises(ValueError, match="isoformat") as raised:
        words.day("no\nday" * 10_000)
    line = in_a_line(raised.value)
    assert len(line) < 400
    assert "\n" not in line
    assert "in day (words.py:" in line
