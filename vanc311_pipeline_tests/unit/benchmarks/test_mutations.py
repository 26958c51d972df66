"""Claims about planted faults: every module that decides what people read is tried, with tests that are there."""

from benchmarks.mutations import COVERED, ROOT, SURVIVORS, chosen, places


def test_every_module_has_its_tests_and_they_are_there() -> None:
    package = ROOT / "vanc311_pipeline"
    modules = [*(package / "requests").glob("*.py"), *(package / "dashboard").glob("*.py")]
    modules += [package / name for name in ("plan.py", "reading/changes.py", "warehouse/publishing.py")]
    assert {str(path.relative_to(ROOT)) for path in modules if path.name != "__init__.py"} == COVERED.keys()
    assert all((ROOT / test).is_file() for tests in COVERED.values() for test in tests)


def test_what_is_excused_is_in_the_code() -> None:
    assert SURVIVORS.keys() <= COVERED.keys()
    for file, excuses in SURVIVORS.items():
        lines = {line.strip() for line in (ROOT / file).read_text().splitlines()}
        for change in excuses:
            assert any(change.startswith(f"- {line} ") for line in lines if line), change


def test_the_faults_are_drawn_by_the_seed_and_change_one_line_each() -> None:
    file = "vanc311_pipeline/requests/identity.py"
    first, again = (chosen([file], 0, seed=311) for _ in range(2))
    assert first == again
    assert 0 < len(first) <= len(places(file))
    before = (ROOT / file).read_text().splitlines()
    for mutant in first:
        pairs = enumerate(zip(before, mutant.source.splitlines(), strict=True), start=1)
        assert [number for number, (old, new) in pairs if old != new] == [mutant.line]
