"""Exact regret during training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

import baselines
from agents.held_out import mean_score
from agents.policies import as_played
from agents.tables import format_csv
from baselines import Score
from qc_gym.core.env import QCEnv
from qc_gym.core.numbers import whole_number
from qc_gym.core.ranges import ScenarioRange

COLUMNS = ("timesteps", "seconds", "value", "regret", "normalised", "stderr")


class ExactRegret(BaseCallback):
    """Scores the agent exactly against the optimum as it learns.

    The curve of an agent without memory has no evaluation noise: each point is the true regret of
    the policy at that step. An agent with memory is simulated, each time on the same episodes.

    Parameters
    ----------
    env
        The environment to score on, scalar. Of a range of scenarios: each score is over the same
        scenarios, drawn from it; see :func:`agents.held_out.mean_score`.
    every
        Steps of the agent between two scores; the first score is before, the last after training.
        A training that goes on where one ended (``reset_num_timesteps=False``) continues the curve.
        TensorBoard, if the model logs to it, gets ``exact/regret``, ``exact/normalised`` and
        ``exact/value``.
    episodes
        To simulate at each score of an agent with memory. Fewer than for a last score: a step of
        256 recurrent networks takes some 15 ms, so that 10,000 episodes of 25 steps take 15 s.
    count, seed
        Scenarios drawn from a range, and the seed of these draws.

    Attributes
    ----------
    rows
        The curve: a dict of ``timesteps``, ``seconds`` (of training, without the scoring), ``value``,
        ``regret`` (money), ``normalised`` and ``stderr`` (money; 0.0 when exact) for each score.
    """

    def __init__(
        self, env: Any, every: int, episodes: int = 1000, count: int = 20, seed: int = 1_000_000
    ) -> None:
        super().__init__()
        self.env = env
        self.every = whole_number("every", every, 1)
        self.episodes = whole_number("episodes", episodes, 1)
        self.count, self.seed = whole_number("count", count, 1), whole_number("seed", seed, 0)
        self.rows: list[dict[str, float]] = []
        self._scoring_seconds = 0.0

    def _on_training_start(self) -> None:
        if self.num_timesteps == 0:
            self.rows = []
        spent = self.rows[-1]["seconds"] if self.rows else 0.0
        self._started, self._scoring_seconds = time.perf_counter() - spent, 0.0
        self._next = self._after(self.num_timesteps)
        if not self.rows:
            self.measure()

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next = self._after(self.num_timesteps)
            self.measure()
        return True

    def _after(self, timesteps: int) -> int:
        """Return the next number of steps at which to score."""
        return timesteps - timesteps % self.every + self.every

    def _on_training_end(self) -> None:
        if self.rows[-1]["timesteps"] == self.num_timesteps:
            self.rows.pop()  # of the last step, but before the update that followed it
        self.measure()

    def measure(self) -> Score:
        """Score the agent now and add a row to the curve."""
        began = time.perf_counter()
        score = self._score()
        self.rows.append(
            {
                "timesteps": self.num_timesteps,
                "seconds": began - self._started - self._scoring_seconds,
                "value": score.value,
                "regret": score.regret,
                "normalised": score.normalised,
                "stderr": score.stderr,
            }
        )
        for name in ("value", "regret", "normalised"):
            self.logger.record(f"exact/{name}", getattr(score, name))
        self.logger.dump(self.num_timesteps)
        self._scoring_seconds += time.perf_counter() - began
        return score

    def _score(self) -> Score:
        inner = self.env.unwrapped
        agent = as_played(self.model, getattr(self.training_env, "frames", 1))
        if not isinstance(inner, QCEnv) or not isinstance(inner.scenarios, ScenarioRange):
            return baselines.score(self.env, agent, episodes=self.episodes)
        scores = baselines.score_many(
            self.env.spec.id,
            inner.scenarios,
            agent,
            count=self.count,
            seed=self.seed,
            observation=inner.observation,
            episodes=self.episodes,
        )
        return mean_score(scores)


class EntropySchedule(BaseCallback):
    """Changes the entropy coefficient from update to update, which stable-baselines3 takes as a number.

    Entropy keeps what is rarely tried alive while the agent learns, and it makes what follows look worse
    than it is, as the agent goes on at random: little of it is wanted at the end.

    Parameters
    ----------
    schedule
        The coefficient as a function of what remains of the training, from 1 to 0.
    """

    def __init__(self, schedule: Callable[[float], float]) -> None:
        super().__init__()
        self.schedule = schedule

    def _on_rollout_end(self) -> None:
        model: Any = self.model
        model.ent_coef = self.schedule(1.0 - model.num_timesteps / model._total_timesteps)

    def _on_step(self) -> bool:
        return True


def curve_csv(rows: list[dict[str, float]]) -> str:
    """Return a learning curve as CSV."""
    return format_csv(rows, COLUMNS)
