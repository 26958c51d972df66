"""Claims about how a command begins and ends: asked to end it says so whenever that is, no letter fails it, no proxy comes between."""

import io
import os
import signal
import subprocess
import sys

import pytest

from vanc311_pipeline.entry import ENDING, lasting, main, spare_loopback
from vanc311_pipeline.errors import EXIT_INTERRUPTED, Interrupted, SettingsError


@pytest.mark.parametrize("module", ["click", "structlog", "pandas", "dagster"])
def test_ctrl_c_while_the_program_is_imported_is_no_traceback(module, tmp_path):
    program = f"""
import signal, sys

class Impatience:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Impatience())
from vanc311_pipeline.__main__ import vanc311
sys.argv = ["vanc311", "verify"]
vanc311()
"""
    environment = os.environ | {"VANC311_DATA_DIR": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ended.returncode == EXIT_INTERRUPTED
    assert ended.stderr.startswith("Error: Interrupted. Nothing was lost")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("module", ["vanc311_pipeline", "vanc311_pipeline.cli"])
def test_as_a_module_it_is_the_same_program(module):
    ended = subprocess.run([sys.executable, "-m", module, "nonsense"], capture_output=True, text=True)
    assert (ended.returncode, "No such command 'nonsense'" in ended.stderr) == (2, True)


@pytest.mark.parametrize("number", ENDING)
def test_every_way_of_asking_a_command_to_end_is_ctrl_c(number, capsys):
    before = [signal.getsignal(each) for each in ENDING]
    with pytest.raises(SystemExit) as ended:
        main(lambda: signal.raise_signal(number))
    assert ended.value.code == EXIT_INTERRUPTED
    assert "Interrupted" in capsys.readouterr().err
    assert [signal.getsignal(each) for each in ENDING] == before


def wrapping_library():
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as error:
        raise RuntimeError("Error calling __set_name__") from error


class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "swallow",
    [
        wrapping_library,
        Finalized,
        lambda: signal.signal(signal.SIGTERM, lambda *_: None) and signal.raise_signal(signal.SIGTERM),
    ],
    ids=["a library makes another error of it", "Python drops it", "another handler takes it"],
)
def test_a_signal_that_is_swallowed_is_an_interruption_once_the_work_is_done(swallow, capsys):
    with pytest.raises(SystemExit) as ended:
        main(swallow)
    assert ended.value.code == EXIT_INTERRUPTED
    assert capsys.readouterr().err == f"Error: {Interrupted()}\n"


@pytest.mark.parametrize("number", ENDING)
def test_what_lasts_until_it_is_asked_to_end_has_then_done_its_work(number):
    after = []

    def last():
        with lasting():
            signal.raise_signal(number)
        after.append("more")

    main(last)
    assert after == ["more"]


def test_what_nohup_protects_from_the_terminals_end_goes_on():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        main(lambda: signal.raise_signal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_of_ours_is_a_sentence_and_its_exit_code(capsys):
    def refuse():
        raise SettingsError("[That] can't be used.")

    with pytest.raises(SystemExit) as ended:
        main(refuse)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Error: [That] can't be used.\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_a_letter_fails_no_run(encoding, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    main(lambda: print("2,446 rows – all of them █"))
    terminal.flush()
    assert terminal.buffer.getvalue().startswith(b"2,446 rows \\u2013 all")


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "example.org, 127.0.0.1"}, "example.org,127.0.0.1,localhost,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,b,127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*,127.0.0.1,localhost,::1"),
    ],
)
def test_no_proxy_is_asked_for_what_is_on_this_machine_and_the_users_own_exceptions_stay(environment, hosts):
    spare_loopback(environment)
    assert environment == {"no_proxy": hosts, "NO_PROXY": hosts}
