"""Calibration: how often each rule gives a label without a change, sees a change of a fifth, and how often a 95 % interval holds the
truth, in simulated worlds (`worlds`, `verdicts`), with the Monte-Carlo error.

A target is missed if the share is two such errors beyond it; then the command ends with 1. With `--store` the result is kept for
the methods; with `--rehearse`, which is for a small size, what is as stored is no matter.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import date
from math import nan, sqrt
from multiprocessing import get_context
from operator import methodcaller

import numpy as np

from benchmarks import markdown
from benchmarks.verdicts import REAL_YEAR, Claim, jobs
from vanc311_pipeline.calibration import FILE, HEAD, Calibration, Line, read
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION
from vanc311_pipeline.metrics.facts import Floats

# A share of a rehearsal differs from the stored one if it is so many errors away: it has 150 lines, and few looks.
SURELY = 3


def line(claim: Claim, hits: Floats) -> Line:
    """The share of hits, and its error: between units, whose looks may be alike, and at least that of so many coins."""
    given = ~np.isnan(hits)
    looks, some = given.sum(axis=1), given.any(axis=1)
    number, units = int(looks.sum()), int(some.sum())
    total = np.nansum(hits, axis=1)
    share = float(total.sum() / number)
    between = np.sqrt(((total - share * looks) ** 2).sum() * units / max(units - 1, 1)) / number
    coin = (total.sum() + 0.5) / (number + 1)
    error = float(max(between, np.sqrt(coin * (1 - coin) / number)))
    named = claim.table, claim.world, claim.measure
    return Line(*named, round(share, 5), round(error, 5), number, claim.least, claim.most)


def calibrate(size: int, processes: int = 2) -> Calibration:
    """Every rule in every world, at so many requests a year of the city."""
    together: dict[Claim, list[Floats]] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        worlds = jobs(size)
        for number, answers in enumerate(pool.map(methodcaller("answers"), worlds), start=1):
            print(f"\r{number} of {len(worlds)} worlds", end="", file=sys.stderr, flush=True)
            for claim, hits in answers:
                together.setdefault(claim, []).append(hits)
    answered = {claim: np.concatenate(hits) for claim, hits in together.items()}
    lines = (line(claim, hits) for claim, hits in answered.items() if not np.isnan(hits).all())
    in_order = tuple(sorted(lines, key=lambda each: each.table))
    return Calibration(date.today().isoformat(), size, DEFINITIONS_VERSION, in_order)


def table(calibration: Calibration) -> str:
    """All lines as one Markdown table."""
    rows = [(each.table, *each.cells) for each in calibration.lines]
    return markdown.table(("table", *HEAD), rows, words=(0, 1, 2, 6, 7))


def toml(calibration: Calibration) -> str:
    """As it is stored: `calibration.toml`, one line for each table in a row."""
    head = [f"{name} = {json.dumps(value)}" for name, value in asdict(calibration).items() if name != "lines"]
    rows = []
    for each in calibration.lines:
        values = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in asdict(each).items()]
        rows.append(f"    {{ {', '.join(values)} }},")
    return "\n".join(["# Written by `make calibration`; don't edit.", *head, "lines = [", *rows, "]", ""])


def missed(lines: Iterable[Line], stored: Iterable[Line] = ()) -> list[Line]:
    """The lines that miss their target, but for those whose share is as stored, as far as so few looks can tell."""
    shares = {_key(each): each.share for each in stored}

    def as_stored(each: Line) -> bool:
        share = shares.get(_key(each), nan)
        error = max(each.error, sqrt(share * (1 - share) / each.looks))
        return abs(each.share - share) <= SURELY * error

    return [each for each in lines if each.missed and not as_stored(each)]


def _key(each: Line) -> tuple[str, str, str]:
    return each.table, each.world, each.measure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=REAL_YEAR, help=f"requests a year, {REAL_YEAR:,} if not given")
    parser.add_argument("--store", action="store_true", help="keep the result for docs/methods.md and the page")
    parser.add_argument("--rehearse", action="store_true", help="what is as stored is no matter")
    options = parser.parse_args()
    calibration = calibrate(options.size)
    print(table(calibration))
    if options.store:
        FILE.write_text(toml(calibration), encoding="utf-8")
    failed = missed(calibration.lines, read().lines if options.rehearse else ())
    print(f"\n{len(failed)} of {len(calibration.lines)} lines miss their target", *map(_key, failed), sep="\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
