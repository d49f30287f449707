"""What values a hyperparameter may take: checked when a config is read, before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from qc_gym.core.errors import close_names, shown

MAX_UNITS, MAX_LAYERS = 10_000, 32
"""Most units of a layer, and most layers one after another."""
MAX_WEIGHTS = 10_000_000
"""Most weights of a network, those that its observations come in by and its actions go out by left out."""
MAX_SEED = 2**32 - 1
"""Largest seed that numpy's and torch's generators both take."""
MAX_FRAMES = 1_000
"""Most observations that an agent sees at a time."""
_LAYERS = (64, 64)
"""Of a network, where nothing is said: stable-baselines3's."""

Count = Annotated[int, Field(ge=1)]
Units = Annotated[int, Field(ge=1, le=MAX_UNITS)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _schedule(value: Any, *, zero: bool = False) -> Any:
    """Take a positive number, or ``{initial, final}``: linear in the steps taken; with ``zero`` 0 too."""
    if isinstance(value, Mapping) and set(value) == {"initial", "final"}:
        if all(_is_number(end) and 0 <= end < float("inf") for end in value.values()):
            return value
    elif _is_number(value) and 0 <= value < float("inf") and (zero or value > 0):
        return value
    allowed = "of at least 0" if zero else "greater than 0"
    raise ValueError(
        f"should be a number {allowed}, or {{initial, final}} with numbers of at least 0"
    )


def _layers(value: Any) -> Any:
    """Take a list of layer sizes, or one for each of the networks ``pi`` and ``vf``."""
    lists = list(value.values()) if isinstance(value, Mapping) else [value]
    known = not isinstance(value, Mapping) or set(value) == {"pi", "vf"}
    if known and all(isinstance(sizes, list) for sizes in lists):
        sizes = [size for one in lists for size in one]
        if all(isinstance(size, int) and not isinstance(size, bool) for size in sizes) and all(
            1 <= size <= MAX_UNITS for size in sizes
        ):
            if max(map(len, lists)) <= MAX_LAYERS:
                return value
            raise ValueError(f"should have at most {MAX_LAYERS} layers")
    raise ValueError(
        f"should be a list of layer sizes from 1 to {MAX_UNITS:,}, or {{pi: […], vf: […]}}"
    )


def _updates(value: Any) -> Any:
    """Take a number of updates after each roll-out, or −1 for as many as there were steps."""
    if isinstance(value, int) and not isinstance(value, bool) and (value >= 1 or value == -1):
        return value
    raise ValueError("should be a whole number of at least 1, or -1 for one for each step")


Layers = Annotated[Any, PlainValidator(_layers)]
Schedule = Annotated[Any, PlainValidator(_schedule)]
ScheduleFromZero = Annotated[Any, PlainValidator(partial(_schedule, zero=True))]
HYPERPARAMETERS: Mapping[str, Any] = {
    "batch_size": Count,
    "buffer_size": Count,
    "clip_range": Schedule,
    "clip_range_vf": Positive,
    "ent_coef": ScheduleFromZero,
    "exploration_final_eps": Share,
    "exploration_fraction": Share,
    "exploration_initial_eps": Share,
    "gae_lambda": Share,
    "gamma": Share,
    "gradient_steps": Annotated[Any, PlainValidator(_updates)],
    "learning_rate": Schedule,
    "learning_starts": Annotated[int, Field(ge=0)],
    "max_grad_norm": Positive,
    "n_epochs": Count,
    "n_steps": Count,
    "normalize_advantage": bool,
    "policy_kwargs": dict[str, Any],
    "rms_prop_eps": Positive,
    "stats_window_size": Count,
    "target_kl": Positive,
    "target_update_interval": Count,
    "tau": Annotated[float, Field(gt=0, le=1)],
    "train_freq": Count,
    "use_rms_prop": bool,
    "vf_coef": NotNegative,
}
"""Those that a config may hold: values that are data, and mean something for discrete actions."""

NETWORK: Mapping[str, Any] = {
    "enable_critic_lstm": bool,
    "lstm_hidden_size": Units,
    "n_lstm_layers": Annotated[int, Field(ge=1, le=MAX_LAYERS)],
    "n_quantiles": Units,
    "net_arch": Layers,
    "optimizer_kwargs": dict[str, float | bool],
    "ortho_init": bool,
    "shared_lstm": bool,
}
"""The same for the entries of ``policy_kwargs``."""


def check_values(
    where: str,
    given: Mapping[str, Any],
    parameters: Mapping[str, inspect.Parameter],
    types: Mapping[str, Any],
) -> None:
    """Check hyperparameters by name, type and range.

    Parameters
    ----------
    where
        What to call their place in a message.
    given
        Values by name.
    parameters
        Those that the algorithm or its network knows; of these, only the ones in ``types`` may be given.
    types
        What the values may be; None as well, where it is the parameter's default.

    Raises
    ------
    ValueError
        An unknown name, with the close ones; a value of another type or out of its range, with
        what is allowed; a number that was read as text.
    """
    known = [name for name in types if name in parameters]
    for name, value in given.items():
        if name not in known:
            raise ValueError(
                f"{where}: unknown hyperparameter {name!r}; {close_names(str(name), known)}"
            )
        if value is None and parameters[name].default is None:
            continue
        _check_numbers(f"{where}: {name}", value)
        try:
            _adapter(types[name]).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]
            allowed = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            raise ValueError(f"{where}: {name} = {shown(value)}: {allowed}") from None


def check_size(
    where: str, given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> None:
    """Check that a network fits into memory.

    Parameters
    ----------
    where, parameters
        As for :func:`check_values`.
    given
        Its ``policy_kwargs``, checked one by one.

    Raises
    ------
    ValueError
        More than ``MAX_WEIGHTS``.
    """
    hidden, depth, outputs = (
        given.get(name, parameters[name].default) if name in parameters else 0
        for name in ("lstm_hidden_size", "n_lstm_layers", "n_quantiles")
    )
    layers = given.get("net_arch")
    lists = layers.values() if isinstance(layers, Mapping) else [layers or _LAYERS]
    weights = sum(
        below * above for sizes in lists for below, above in pairwise([hidden, *sizes, outputs])
    )
    # Four gates, each fed by the layer below and by itself; one such network for actions, one for values.
    weights += 2 * 4 * hidden * hidden * 2 * depth
    if weights > MAX_WEIGHTS:
        raise ValueError(
            f"{where} = {shown(dict(given))}: asks for a network of {weights:,} weights; "
            f"at most {MAX_WEIGHTS:,} are allowed"
        )


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


def _check_numbers(name: str, value: Any) -> None:
    """Raise a ValueError for a number that is text, as which YAML reads 3e-4."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            _check_numbers(f"{name}.{key}", one)
    elif isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return
        raise ValueError(
            f"{name} = {value!r}: is text; YAML reads a number only with a point and a signed "
            "exponent, as in 3.0e-4"
        )
