"""The algorithms by name, with defaults that suit the suite, and checks of their hyperparameters."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.hyperparameters import HYPERPARAMETERS, NETWORK, check_size, check_values
from qc_gym.core.errors import close_names, shown

_SHORT = 0.1
"""Share of the steps that defaults are made for, below which there is a warning."""
_REUSED = 1 / 16
"""Share below which PPO goes through each roll-out more than once."""
_MOST_EPOCHS, _MOST_ENTROPY = 4, 0.05
_FEWEST, _SMALLEST = {True: 32, False: 4}, {True: 256, False: 32}
"""Fewest sub-environments and smallest batch that defaults are scaled to; of PPO, and of others."""
_RESERVED = {"policy", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model"}


@dataclass(frozen=True)
class Algorithm:
    """A learning algorithm of stable-baselines3 or sb3-contrib.

    Attributes
    ----------
    name
        Its name in configs and on the command line.
    type
        Its class.
    policy
        Name of the policy network.
    num_envs, total_timesteps
        Defaults of the number of sub-environments and of the length of training.
    defaults
        Hyperparameters that differ from those of its class.
    return_deviation
        What rewards are scaled to, unless they are told otherwise: the standard deviation that the return
        of uniformly random play then has.
    """

    name: str
    type: type[BaseAlgorithm]
    policy: str
    num_envs: int
    total_timesteps: int
    defaults: Mapping[str, Any] = field(default_factory=dict)
    return_deviation: float = 1.0

    def hyperparameters(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the defaults with ``given`` over them, as they can be written to a file.

        Raises
        ------
        ValueError
            A name that the algorithm does not know, with the close ones, or one that
            :func:`agents.train` sets itself; a value of another type or out of its range.
        """
        given = given or {}
        for name in given:
            if name in _RESERVED:
                raise ValueError(f"{self.name}: {name} is not a hyperparameter; train() sets it")
        check_values(self.name, given, inspect.signature(self.type).parameters, HYPERPARAMETERS)
        network = inspect.signature(self.type.policy_aliases[self.policy]).parameters
        where = f"{self.name}: policy_kwargs"
        policy_kwargs = given.get("policy_kwargs") or {}
        if policy_kwargs:  # over the default's, one by one; None is the library's default
            policy_kwargs = {
                **policy_kwargs,
                **self.defaults.get("policy_kwargs", {}),
                **policy_kwargs,
            }
        check_values(where, policy_kwargs, network, NETWORK)
        if isinstance(policy_kwargs.get("net_arch"), Mapping) and "ortho_init" not in network:
            raise ValueError(
                f"{where}: net_arch = {shown(policy_kwargs['net_arch'])}: should be a valid list: a "
                "network of action values alone has no parts of which each could have its own layers"
            )
        if policy_kwargs.get("shared_lstm") and policy_kwargs.get("enable_critic_lstm", True):
            raise ValueError(
                f"{where}: shared_lstm = True: needs enable_critic_lstm = False, a critic without an LSTM "
                "of its own"
            )
        optimiser = inspect.signature(network["optimizer_class"].default).parameters
        for name in policy_kwargs.get("optimizer_kwargs") or {}:
            if name not in optimiser or name in ("params", "lr"):
                known = [one for one in optimiser if one not in ("params", "lr")]
                raise ValueError(
                    f"{where}: unknown optimizer_kwargs {name!r}; {close_names(name, known)}"
                )
        check_size(where, policy_kwargs, network)
        resolved = {**self.defaults, **given}
        return {**resolved, "policy_kwargs": policy_kwargs} if policy_kwargs else resolved

    def settle(
        self,
        total_timesteps: int | None = None,
        num_envs: int | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> tuple[int, int, dict[str, Any]]:
        """Return the steps, the number of sub-environments and the hyperparameters of a training.

        The defaults are made for ``self.total_timesteps``. Of a smaller budget, large batches would
        leave a few updates only; so, of what is not given, the sub-environments and the batches shrink
        with the budget, somewhat faster than it does, and those that count steps
        (``learning_starts``, ``target_update_interval``, ``buffer_size``) with it. The entropy coefficient
        grows, as smaller batches are noisier and settle early on whatever is not the worst; and where
        little is seen at all, PPO goes through each roll-out up to four times, with a narrower clip and,
        where it is four times, a learning rate half as large again.
        Where a tenth of the steps is not reached, and not everything is given, a warning says what to
        expect.

        Raises
        ------
        ValueError
            As :meth:`hyperparameters`; or fewer than one step.
        """
        given = dict(given or {})
        hyperparameters = self.hyperparameters(given)
        steps = self.total_timesteps if total_timesteps is None else total_timesteps
        if steps < 1:
            raise ValueError(f"total_timesteps = {steps!r}: at least 1 step is needed")
        share = min(1.0, steps / self.total_timesteps)
        passes = "n_epochs" in hyperparameters
        if num_envs is None:
            most = 2 ** int(math.log2(max(self.num_envs * share ** (4 / 3), 1.0)))
            num_envs = min(self.num_envs, max(_FEWEST[passes], most))
        smallest, side_by_side = _SMALLEST[passes], min(num_envs, self.num_envs)
        epochs = 1
        if passes and "n_epochs" not in given:
            epochs = min(_MOST_EPOCHS, 2 ** round(math.log2(max(_REUSED / share, 1.0))))
        scaled: dict[str, Callable[[Any], Any]] = {
            "batch_size": lambda value: max(
                min(smallest, value), value * side_by_side // self.num_envs
            ),
            "buffer_size": lambda value: min(value, steps),
            "learning_starts": lambda value: max(1, int(value * share)),
            "target_update_interval": lambda value: max(1, int(value * share)),
            "ent_coef": lambda value: _more_entropy(value, share),
            "n_epochs": lambda value: value * epochs,
            "clip_range": lambda value: value / math.sqrt(epochs),
            "learning_rate": lambda ends: {
                **ends,
                "initial": ends["initial"] * max(1.0, 0.375 * epochs),
            },
        }
        left = [name for name in scaled if name in hyperparameters and name not in given]
        for name in left:
            hyperparameters[name] = scaled[name](hyperparameters[name])
        if left and share < _SHORT:
            warnings.warn(
                f"{self.name}: {steps:,} steps are {share:.2g} of the {self.total_timesteps:,} that its "
                "defaults are made for; expect an agent short of the optimum",
                stacklevel=3,
            )
        return steps, num_envs, hyperparameters

    def check_rollout(self, num_envs: int, hyperparameters: Mapping[str, Any]) -> None:
        """Raise a ValueError where one roll-out, or one minibatch of it, is too small to normalise."""
        parameters = inspect.signature(self.type).parameters
        values = {name: one.default for name, one in parameters.items()} | dict(hyperparameters)
        in_minibatches = "clip_range" in values
        if not in_minibatches and not values.get("normalize_advantage"):
            return
        samples = values["n_steps"] * num_envs
        if samples < 2:
            raise ValueError(
                f"{self.name}: n_steps = {values['n_steps']} with num_envs = {num_envs}: their "
                "product should be at least 2"
            )
        if not in_minibatches or not values["normalize_advantage"]:
            return
        if values["batch_size"] < 2:
            raise ValueError(
                f"{self.name}: batch_size = {values['batch_size']}: should be at least 2 to "
                "normalise advantages; or set normalize_advantage to false"
            )
        # stable-baselines3's own PPO leaves a single last one as it is.
        if samples % values["batch_size"] == 1 and self.type is not PPO:
            raise ValueError(
                f"{self.name}: batch_size = {values['batch_size']}: leaves, of n_steps · num_envs = "
                f"{samples}, a last minibatch of 1, whose advantage cannot be "
                "normalised; another one, or normalize_advantage false, is needed"
            )


def _more_entropy(value: float | Mapping[str, float], share: float) -> Any:
    """Return the entropy coefficient of a share of the steps that it is made for."""
    if isinstance(value, Mapping):
        return {**value, "initial": _more_entropy(value["initial"], share)}
    return max(value, min(_MOST_ENTROPY, value * share ** (-2 / 3)))


def arguments(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters as the constructors take them.

    ``learning_rate`` and ``clip_range`` may be ``{initial, final}``: a schedule linear in the
    steps taken, which stays at ``final`` after the last of them. So may ``ent_coef``, of which the
    constructors take the first; :class:`agents.callbacks.EntropySchedule` sees to the rest.
    """
    prepared = copy.deepcopy(dict(hyperparameters))  # A2C and QRDQN write into policy_kwargs
    for name in ("learning_rate", "clip_range"):
        if isinstance(prepared.get(name), Mapping):
            prepared[name] = linear(name, prepared[name])
    if isinstance(prepared.get("ent_coef"), Mapping):
        prepared["ent_coef"] = linear("ent_coef", prepared["ent_coef"])(1.0)
    return prepared


def linear(name: str, ends: Mapping[str, float]) -> Callable[[float], float]:
    """Return a schedule of what remains of a training, from 1 to 0.

    Raises
    ------
    ValueError
        It is not ``{initial, final}``.
    """
    if set(ends) != {"initial", "final"} or not all(
        isinstance(end, int | float) for end in ends.values()
    ):
        raise ValueError(f"{name} = {dict(ends)!r}: a number or {{initial, final}} is needed")
    initial, final = float(ends["initial"]), float(ends["final"])
    # The last roll-out overshoots the budget, and stable-baselines3 then says that less than 0 remains.
    return lambda remaining: final + (initial - final) * max(remaining, 0.0)


# One pass over large minibatches and a wide clip: with several passes, the clipped ratio favours what
# often gains a little over what rarely loses much, and agents inspect too long. The advantage is close
# to the whole return, because a network's error at the kinks of the value would bias it.
_ON_POLICY = {
    "gamma": 1.0,
    "gae_lambda": 0.99,
    "learning_rate": {"initial": 2e-3, "final": 1e-6},
    "ent_coef": 0.004,
}
_PPO = {**_ON_POLICY, "n_steps": 32, "batch_size": 8192, "n_epochs": 1, "clip_range": 0.5}
_A2C = {
    **_ON_POLICY,
    "ent_coef": 0.01,
    "n_steps": 16,
    "normalize_advantage": True,
}
_RECURRENT = {**_PPO, "n_steps": 64, "batch_size": 1024}
# Large batches, because one costly accident among rewards hides what an action is worth on average, and
# little exploration at the end: where most actions end the episode, more would never come far. Returns of
# several steps (n_steps) made it worse: they hold the exploration's accidents against the actions before.
_DQN = {
    "gamma": 1.0,
    "learning_rate": {"initial": 1e-3, "final": 1e-6},
    "buffer_size": 1_000_000,
    "learning_starts": 20_000,
    "batch_size": 2048,
    "train_freq": 1,
    "gradient_steps": 2,
    "target_update_interval": 2_500,
    "exploration_fraction": 0.2,
    "exploration_final_eps": 0.02,
}
# The cost of its loss grows with the batch and the square of the quantiles.
_QRDQN = {**_DQN, "batch_size": 512, "policy_kwargs": {"n_quantiles": 25}}
# Their loss is Huber's, which beyond an error of 1 fits medians in place of means: an accident that most
# episodes do not have would be taken for none.
_WITHIN_HUBER = 0.3

ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("ppo", PPO, "MlpPolicy", 1024, 7_000_000, _PPO),
        Algorithm("a2c", A2C, "MlpPolicy", 512, 4_000_000, _A2C),
        Algorithm("dqn", DQN, "MlpPolicy", 256, 3_000_000, _DQN, _WITHIN_HUBER),
        Algorithm("qrdqn", QRDQN, "MlpPolicy", 256, 3_000_000, _QRDQN, _WITHIN_HUBER),
        Algorithm("maskable_ppo", MaskablePPO, "MlpPolicy", 1024, 7_000_000, _PPO),
        Algorithm("recurrent_ppo", RecurrentPPO, "MlpLstmPolicy", 64, 500_000, _RECURRENT),
    )
}


def find_algorithm(name: str) -> Algorithm:
    """Return the algorithm of that name.

    Raises
    ------
    ValueError
        An unknown name, with the close ones.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; {close_names(str(name), list(ALGORITHMS))}")
    return ALGORITHMS[name]
