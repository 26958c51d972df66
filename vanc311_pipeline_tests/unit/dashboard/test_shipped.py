"""Claims about what the pages ship that is not ours: it is what its maker published, it is in the package, and its licence is, too."""

import hashlib
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "vanc311_pipeline"
VENDOR = PACKAGE / "dashboard/static/vendor"


def test_what_is_not_ours_is_what_its_maker_published() -> None:
    sums = {
        name: digest for digest, name in (line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    }
    files = {file.name: file for file in VENDOR.iterdir() if file.name != "SHA256SUMS"}
    assert sums == {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    [fetched] = re.findall(r"^MAPLIBRE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"maplibre-gl-js/blob/v{fetched}/" in (VENDOR / "maplibre-gl.mjs").read_text()[:300]
    assert f"MapLibre GL JS {fetched} (" in (ROOT / "docs/maps.md").read_text()


def test_all_that_the_program_reads_is_in_its_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "vanc311_pipeline"
    ]
    packed = {file for pattern in patterns for file in PACKAGE.glob(pattern)}
    files = {file for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert {file for file in files - packed if file.suffix != ".py"} == set()
