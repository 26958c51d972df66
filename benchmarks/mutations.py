"""Small faults planted in the code, one at a time: what part of them the tests notice, and which they don't.

What belongs here: choosing the faults, running the tests that cover the file, the account. What does not: the kinds of fault,
which are cosmic-ray's, and the tests. Each fault is tried in a process of its own, forked with the libraries loaded; the code on
disk is never changed. Faults that no test can notice, or need not, stand in `survivors.toml`, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.util
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import hypothesis
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parent.parent
AIM = 0.9
UNIT, INTEGRATION = "vanc311_pipeline_tests/unit", "vanc311_pipeline_tests/integration"
LINES, PAGES = (
    [f"{UNIT}/dashboard/test_words.py", *(f"{INTEGRATION}/dashboard/test_{name}.py" for name in names)]
    for names in (("rows", "numbers"), ("pages", "problems", "under_load"))
)
COVERED = {
    "vanc311_pipeline/requests/changes.py": [f"{UNIT}/requests/test_changes.py"],
    "vanc311_pipeline/requests/cleaning.py": [f"{UNIT}/requests/test_cleaning.py", f"{UNIT}/requests/test_profile.py"],
    "vanc311_pipeline/requests/identity.py": [f"{UNIT}/requests/test_identity.py"],
    "vanc311_pipeline/requests/profile.py": [f"{UNIT}/requests/test_profile.py"],
    "vanc311_pipeline/requests/replay.py": [f"{UNIT}/requests/test_replay.py"],
    "vanc311_pipeline/requests/rows.py": [f"{UNIT}/requests/test_rows.py", f"{UNIT}/requests/test_changes.py"],
    "vanc311_pipeline/plan.py": [f"{UNIT}/test_plan.py"],
    "vanc311_pipeline/warehouse/publishing.py": [f"{UNIT}/test_schema.py", f"{INTEGRATION}/test_publishing.py"],
    **{f"vanc311_pipeline/dashboard/{name}.py": LINES for name in ("figures", "numbers", "quality", "view")},
    "vanc311_pipeline/dashboard/tables.py": [*LINES, f"{INTEGRATION}/test_reading.py"],
    "vanc311_pipeline/dashboard/index.py": [f"{INTEGRATION}/dashboard/test_index.py"],
    **{
        f"vanc311_pipeline/dashboard/{name}.py": [f"{INTEGRATION}/dashboard/test_{test}.py"]
        for name, test in (("compare", "compare"), ("departments", "compare"), ("estimator", "estimator"))
    },
    **{
        f"vanc311_pipeline/dashboard/{name}.py": [f"{INTEGRATION}/dashboard/test_{name}.py"] for name in ("briefs", "maps")
    },
    **{
        f"vanc311_pipeline/dashboard/{name}.py": [f"{INTEGRATION}/dashboard/test_requests.py"]
        for name in ("dossier", "requests", "spreadsheets")
    },
    **{f"vanc311_pipeline/dashboard/{name}.py": PAGES for name in ("site", "templating")},
    **{f"vanc311_pipeline/dashboard/{name}.py": [f"{INTEGRATION}/dashboard/test_embeds.py", *PAGES] for name in ("embeds", "figure_files")},
    "vanc311_pipeline/dashboard/feeds.py": [f"{INTEGRATION}/dashboard/test_feeds.py"],
    "vanc311_pipeline/reading/changes.py": [f"{INTEGRATION}/dashboard/test_feeds.py", f"{INTEGRATION}/api/test_requests.py"],
}  # fmt: skip
"""The files, and the tests that cover them, those first that are likely to notice."""

SURVIVORS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text())
"""By file and change: why no test notices it."""

GUARDS = {"frozen", "strict"}  # arguments that only refuse what the code never does

LEFT_OUT = {"ExceptionReplacer", "RemoveDecorator", "VariableInserter", "VariableReplacer"}
OURS = {"benchmarks", "vanc311_pipeline", "vanc311_pipeline_tests"}
# Plugins of pytest are loaded before it begins; that isn't the code's fault.
WARNINGS = "filterwarnings=error\nignore::pytest.PytestAssertRewriteWarning\nignore:Parameter `backfill_policy`"
OPTIONS = ["-q", "-x", "-n0", "-p", "no:cacheprovider", "-o", WARNINGS, "-m", "", "--hypothesis-profile=mutations"]

Place = tuple[str, int, str]  # a file, a line of it, and a family of faults


class Mutant(NamedTuple):
    """A file with one fault in it."""

    file: str
    line: int
    change: str  # the lines that differ, as `- before` and `+ after`
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}\n    {self.change}"

    @property
    def excuse(self) -> str | None:
        """Why no test notices it, if that is known."""
        return SURVIVORS.get(self.file, {}).get(self.change)


def meaning(source: str) -> str:
    """The code without its annotations, which are never evaluated, and without its guards."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in GUARDS]
    return ast.dump(tree)


def places(file: str) -> dict[Place, list[tuple[str, int]]]:
    """Where cosmic-ray knows a fault, and which: an operator's name and the how-many-th place of it."""
    faults: defaultdict[Place, list[tuple[str, int]]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast((ROOT / file).read_text())))
    for name in operator_names():
        kind = name.partition("/")[2].partition("_")[0]
        if kind not in LEFT_OUT:
            operator = get_operator(name)()
            starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for occurrence, (line, _) in enumerate(starts):
                faults[file, line, kind].append((name, occurrence))
    return faults


def mutant(place: Place, name: str, occurrence: int) -> Mutant | None:
    """The file with this fault in it; None if it means the same as before."""
    file, line, _ = place
    source = (ROOT / file).read_text()
    mutated = mutate_code(source, get_operator(name)(), occurrence)
    try:
        if mutated is None or meaning(mutated) == meaning(source):
            return None
        with warnings.catch_warnings(action="error"):
            compile(mutated, file, "exec")  # what Python itself warns of needs no test
    except SyntaxError:
        return None
    lines = list(difflib.unified_diff(source.splitlines(), mutated.splitlines(), n=0, lineterm=""))[3:]
    return Mutant(file, line, " ".join(f"{text[0]} {text[1:].strip()}" for text in lines), mutated)


def chosen(files: Sequence[str], sample: int, seed: int) -> list[Mutant]:
    """At most one fault for each line and family of faults, in an order drawn by chance."""
    dice = random.Random(seed)
    faults = {place: choices for file in files for place, choices in places(file).items()}
    picked: list[Mutant] = []
    for place in dice.sample(sorted(faults), len(faults)):
        if (one := mutant(place, *dice.choice(faults[place]))) is not None:
            picked.append(one)
            if len(picked) == sample:
                break
    return picked


class Planted(SourceFileLoader):
    """Finds one module, and loads it with a fault in it."""

    def __init__(self, file: str, source: str) -> None:
        super().__init__(file.removesuffix(".py").replace("/", "."), str(ROOT / file))
        self.source = source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, name: str) -> CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)


def load_libraries(tests: set[str]) -> None:
    """Load all that the tests load, and forget what is ours of it: a process forked from this one loads that with its fault."""
    # Why a test fails is nobody's question here.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    usual: dict[str, Any] = {"deadline": None, "derandomize": True, "database": None, "phases": phases}
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("mutations", max_examples=20, suppress_health_check=slow, **usual)
    if pytest.main([*OPTIONS, "--collect-only", "-qq", *sorted(tests)]) != pytest.ExitCode.OK:
        raise SystemExit("There are no such tests.")
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]


def tested(file: str, source: str | None, folder: Path, number: int, limit: int) -> bool:
    """Whether the tests that cover the file pass with this source of it; those that hang do not."""
    child = os.fork()
    if not child:
        code = 70
        try:
            os.setsid()
            signal.alarm(limit)
            log = os.open(folder / f"{number}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            # What is made once for all processes, as under xdist, is made once for all faults.
            os.environ["PYTEST_XDIST_WORKER"] = "mutations"
            if source is not None:
                sys.meta_path.insert(0, Planted(file, source))
            code = int(pytest.main([*OPTIONS, f"--basetemp={folder}/t{number}", *COVERED[file]]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):  # what the tests started and left
        os.killpg(child, signal.SIGKILL)
    shutil.rmtree(folder / f"t{number}", ignore_errors=True)
    return os.waitstatus_to_exitcode(status) == 0


def judged(picked: Sequence[Mutant], folder: Path, jobs: int, until: float) -> Iterator[tuple[Mutant, bool]]:
    """The faults that were tried before this moment, and whether each survived."""
    suites = {tuple(COVERED[fault.file]): fault.file for fault in picked}

    def limit(numbered: tuple[int, str]) -> int:
        (number, file), before = numbered, time.monotonic()
        if not tested(file, None, folder, number, 1800):
            raise SystemExit(f"Without any fault the tests of {file} fail:\n{(folder / f'{number}.log').read_text()}")
        return int(20 + 4 * (time.monotonic() - before))

    def survived(numbered: tuple[int, Mutant]) -> bool | None:
        number, fault = numbered
        if time.monotonic() > until:
            return None
        return tested(fault.file, fault.source, folder, 1000 + number, limits[tuple(COVERED[fault.file])])

    with ThreadPoolExecutor(jobs) as pool:
        limits = dict(zip(suites, pool.map(limit, enumerate(suites.values())), strict=True))
        for fault, answer in zip(picked, pool.map(survived, enumerate(picked)), strict=True):
            if answer is not None:
                yield fault, answer


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="so many faults; 0 is all")
    parser.add_argument("--minutes", type=float, default=300, help="begin no further one after this time")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="files with this in their name; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=311)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    files = [file for file in COVERED if not options.only or any(text in file for text in options.only)]
    picked = chosen(files, options.sample, options.seed)
    os.chdir(ROOT)
    load_libraries({test for fault in picked for test in COVERED[fault.file]})
    tried, killed, excused = Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="vanc311-mutations-") as folder:
        for fault, survived in judged(picked, Path(folder), options.jobs, begun + options.minutes * 60):
            tried[fault.file] += 1
            killed[fault.file] += not survived
            excused[fault.file] += survived and fault.excuse is not None
            if survived:
                print(f"survived  {fault}\n    {fault.excuse or 'no reason is known'}", flush=True)
            elif fault.excuse:
                print(f"killed, though it stands in survivors.toml  {fault}", flush=True)
    print(f"\n{'file':48}{'faults':>8}{'killed':>8}{'excused':>8}{'score':>8}")
    for file in [*sorted(tried), "all"]:
        n, k, e = (count[file] if file != "all" else count.total() for count in (tried, killed, excused))
        print(f"{file.removeprefix('vanc311_pipeline/'):48}{n:8}{k:8}{e:8}{k / max(n - e, 1):8.1%}")
    used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    seconds = time.monotonic() - begun
    print(f"{tried.total()} of {len(picked)} faults in {seconds:.0f} s, of the processors {used:.0f} s")
    raise SystemExit(tried.total() == 0 or killed.total() < AIM * (tried.total() - excused.total()))


if __name__ == "__main__":
    main()
