"""Prints the part of requirements.txt that the package needs, with the extras named: `python locked.py postgres,s3`.

It runs before anything is installed, so it needs nothing but Python. The lock itself is uv's: `make lock` writes it.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct(project: dict, extras: list[str]) -> set[str]:
    """The packages that pyproject.toml itself asks for, with these extras and those that they name."""
    own = canonical(project["project"]["name"])
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    for extra in extras:
        asked += project["project"]["optional-dependencies"][extra]
    names = {canonical(re.match(r"[\w.-]+", one)[0]) for one in asked}
    nested = [extra for one in asked if (match := re.fullmatch(r"([\w.-]+)\[(.*)\]", one)) and canonical(match[1]) == own
              for extra in match[2].split(",")]  # fmt: skip
    return (names | direct(project, nested) if nested else names) - {own}


def entries(lock: str) -> dict[str, str]:
    """Each package's lines: version, marker, hashes and, as `# via`, who needs it."""
    return {re.match(r"[\w.-]+", block)[0]: block for block in re.findall(r"^\w[^\n]*\n(?:[ ]+[^\n]*\n?)*", lock, re.M)}


def needed(lock: dict[str, str], names: set[str]) -> list[str]:
    """Those packages and all that they need. Said `via` of both marks and extras, it may be more, never less."""
    users = {name: set(re.findall(r"^ +#(?: via)? +([\w.-]+)$", block, re.M)) for name, block in lock.items()}
    while more := {name for name, by in users.items() if by & names} - names:
        names = names | more
    return [lock[name] for name in sorted(names)]


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [extra for names in sys.argv[1:] for extra in names.split(",")]
    print("".join(needed(entries((ROOT / "requirements.txt").read_text()), direct(project, extras))), end="")
