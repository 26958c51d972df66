"""Withheld numbers: the state of each statistic, by the rules of the registry. Null is never given without a reason."""

import numpy as np
import numpy.typing as npt

from vanc311_pipeline.metrics.facts import Ints, Mask, Texts
from vanc311_pipeline.metrics.survival import Floats
from vanc311_pipeline.registry import MINIMUM_N, State


def timing_state(volume: Ints, n: Ints, value: Floats | None = None) -> Texts:
    """Of a statistic of time: `volume` requests, of which `n` can be used; NaN in `value` means not reached."""
    reached = np.ones(len(n), dtype=bool) if value is None else ~np.isnan(value)
    return _first(
        (volume == 0, State.NO_REQUESTS),
        (n == 0, State.NO_USABLE_TIMING),
        (n < MINIMUM_N, State.TOO_FEW),
        (~reached, State.NOT_REACHED),
    )


def maturing_state(volume: Ints, n: Ints, matured: Ints, mature: Mask) -> Texts:
    """Of a share within so many days, which only the `matured` requests can answer."""
    return _first(
        (volume == 0, State.NO_REQUESTS),
        (n == 0, State.NO_USABLE_TIMING),
        (~mature, State.IMMATURE),
        (matured < MINIMUM_N, State.TOO_FEW),
    )


def share_state(volume: Ints, n: Ints) -> Texts:
    """Of a share among `n` of `volume` requests."""
    return _first((volume == 0, State.NO_REQUESTS), (n < MINIMUM_N, State.TOO_FEW))


def enough_state(enough: Mask, value: Floats | None = None) -> Texts:
    """Of a statistic that is there if there is enough behind it, and unless it is not reached."""
    reached = np.ones(len(enough), dtype=bool) if value is None else ~np.isnan(value)
    return _first((~enough, State.TOO_FEW), (~reached, State.NOT_REACHED))


def _first(*rules: tuple[Mask, State]) -> Texts:
    """The state of the first rule that holds, or ok."""
    tests, states = [test for test, _ in rules], [np.array(str(state), dtype=object) for _, state in rules]
    return np.select(tests, states, np.array(str(State.OK), dtype=object))


def only(state: Texts, values: npt.ArrayLike) -> Floats:
    """The values where the state is ok, NaN elsewhere."""
    return np.where(state == State.OK, np.asarray(values, dtype=np.float64), np.nan)
