"""Withheld numbers: the state of each statistic, by the rules of the registry. Null is never given without a reason."""

import numpy as np
import numpy.typing as npt

from vanc311_pipeline.metrics.facts import Ints, Mask, Texts
from vanc311_pipeline.metrics.survival import Floats
from vanc311_pipeline.registry import MINIMUM_N, State


def first_that_holds(*rules: tuple[Mask, str | None], otherwise: str) -> Texts:
    """The name beside the first condition that holds."""
    conditions, names = zip(*rules, strict=True)
    as_objects = [np.array(name, dtype=object) for name in (*names, otherwise)]
    return np.select(conditions, as_objects[:-1], as_objects[-1])


def timing_state(volume: Ints, n: Ints, value: Floats | None = None) -> Texts:
    """Of a statistic of time: `volume` requests, of which `n` can be used; NaN in `value` means not reached."""
    return _state(
        (volume == 0, State.NO_REQUESTS),
        (n == 0, State.NO_USABLE_TIMING),
        (n < MINIMUM_N, State.TOO_FEW),
        (np.isnan(n if value is None else value), State.NOT_REACHED),
    )


def maturing_state(volume: Ints, n: Ints, matured: Ints, mature: Mask) -> Texts:
    """Of a share within so many days, which only the `matured` requests can answer."""
    return _state(
        (volume == 0, State.NO_REQUESTS),
        (n == 0, State.NO_USABLE_TIMING),
        (~mature, State.IMMATURE),
        (matured < MINIMUM_N, State.TOO_FEW),
    )


def share_state(volume: Ints, n: Ints) -> Texts:
    """Of a share among `n` of `volume` requests."""
    return _state((volume == 0, State.NO_REQUESTS), (n < MINIMUM_N, State.TOO_FEW))


def enough_state(enough: Mask, value: Floats) -> Texts:
    """Of a statistic that is there if there is enough behind it, and unless it is not reached."""
    return _state((~enough, State.TOO_FEW), (np.isnan(value), State.NOT_REACHED))


def _state(*rules: tuple[Mask, State]) -> Texts:
    return first_that_holds(*((condition, str(state)) for condition, state in rules), otherwise=str(State.OK))


def only(state: Texts, values: npt.ArrayLike) -> Floats:
    """The values where the state is ok, NaN elsewhere."""
    return np.where(state == State.OK, np.asarray(values, dtype=np.float64), np.nan)


def with_limits(name: str, state: Texts, value: Floats, low: Floats, high: Floats) -> dict[str, Floats]:
    """The columns of an estimate and its limits, where the state is ok."""
    return {name: only(state, value), f"{name}_low": only(state, low), f"{name}_high": only(state, high)}
