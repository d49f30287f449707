"""Training: the exact learning curve, what the agent learns, and the scale of its rewards."""

import csv
import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.callbacks
import baselines
from agents import ExactRegret, SB3VecEnv, train
from agents.algorithms import arguments
from agents.callbacks import curve_csv
from agents.training import make_training_env, return_deviation
from qc_gym.core.vector import QCVectorEnv

ID = "qc_gym/SequentialSampling-v0"
SCENARIO = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.5},
    "inspection_cost": 1.0,
    "accept_bad_cost": 60.0,
    "reject_good_cost": 60.0,
    "max_samples": 12,
}
NETWORK = {"learning_rate": 0.003, "ent_coef": 0.0, "gae_lambda": 0.97, "gamma": 1.0}
LEARNING = {**NETWORK, "n_steps": 16, "batch_size": 256, "n_epochs": 4}
TINY = {**NETWORK, "n_steps": 16, "batch_size": 32, "n_epochs": 2}
STEPS, EVERY = 40_960, 4096  # forty roll-outs of 64 × 16, and ten scores


class Trained(NamedTuple):
    model: BaseAlgorithm
    curve: ExactRegret
    events: EventAccumulator


@pytest.fixture(scope="module")
def env() -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=SCENARIO)


@pytest.fixture(scope="module")
def trained(env: gym.Env[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("training")
    curve = ExactRegret(env, EVERY)
    model = train(
        "ppo",
        ID,
        scenario=SCENARIO,
        seed=1,
        total_timesteps=STEPS,
        num_envs=64,
        hyperparameters=LEARNING,
        callback=curve,
        tensorboard_log=str(folder / "events"),
    )
    (log,) = (folder / "events").iterdir()
    return Trained(model, curve, EventAccumulator(str(log)).Reload())


def train_tiny(scenario: Any = SCENARIO, **kwargs: Any) -> BaseAlgorithm:
    settings = {"total_timesteps": 320, "num_envs": 4, "hyperparameters": TINY, **kwargs}
    return train(settings.pop("algorithm", "ppo"), ID, scenario=scenario, **settings)


def same_weights(one: BaseAlgorithm, other: BaseAlgorithm) -> bool:
    left, right = one.policy.state_dict(), other.policy.state_dict()
    return all(torch.equal(left[key], right[key]) for key in left)


class _Entropies(BaseCallback):
    """The coefficient before each roll-out, which is that of the update before."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def _on_rollout_start(self) -> None:
        self.seen.append(self.model.ent_coef)  # type: ignore[attr-defined]

    def _on_step(self) -> bool:
        return True


def test_entropy_follows_its_schedule() -> None:
    entropies = _Entropies()
    schedule = {**TINY, "ent_coef": {"initial": 0.5, "final": 0.1}}
    model = train_tiny(hyperparameters=schedule, callback=entropies)  # 5 roll-outs of 64 steps
    assert entropies.seen == pytest.approx([0.5, 0.42, 0.34, 0.26, 0.18])
    assert model.ent_coef == pytest.approx(0.1)  # type: ignore[attr-defined]
    longer = train_tiny(hyperparameters=schedule, total_timesteps=300)  # the last goes beyond
    assert longer.ent_coef == 0.1  # type: ignore[attr-defined]
    assert not same_weights(model, train_tiny(hyperparameters={**TINY, "ent_coef": 0.5}))


def test_callbacks_may_be_functions() -> None:
    seen: list[int] = []

    def note(local: dict[str, Any], _: dict[str, Any]) -> bool:
        seen.append(local["self"].num_timesteps)
        return True

    train_tiny(callback=note)
    assert seen == list(range(4, 321, 4))


def test_curve_has_a_row_every_so_many_steps(trained: Trained) -> None:
    steps = [row["timesteps"] for row in trained.curve.rows]
    assert steps == list(range(0, STEPS + 1, EVERY))
    seconds = [row["seconds"] for row in trained.curve.rows]
    assert seconds == sorted(seconds)
    assert seconds[0] < 0.1 * seconds[-1]


def test_curve_rises_between_the_steps_of_all_sub_environments(env: gym.Env[Any, Any]) -> None:
    curve = ExactRegret(env, 100)
    train_tiny(callback=curve)
    # 4 steps at a time: the first at or past 100, 200 and 300; the end is at 320.
    assert [row["timesteps"] for row in curve.rows] == [0, 100, 200, 300, 320]
    curve = ExactRegret(env, 30)
    train_tiny(callback=curve, total_timesteps=64)
    assert [row["timesteps"] for row in curve.rows] == [0, 32, 60, 64]


def test_rows_are_the_scores_of_the_agent(trained: Trained, env: gym.Env[Any, Any]) -> None:
    score = baselines.score(env, trained.model)
    last = trained.curve.rows[-1]
    for name in ("value", "regret", "normalised", "stderr"):
        assert last[name] == getattr(score, name)
    random_value = baselines.score(env, baselines.reference_policies(env)["random"]).value
    optimum = baselines.solve(env).value
    for row in trained.curve.rows:
        assert row["regret"] == pytest.approx(optimum - row["value"], abs=1e-9)
        assert row["normalised"] == pytest.approx(
            (row["value"] - random_value) / (optimum - random_value), abs=1e-9
        )


def test_first_row_is_of_the_untrained_agent(trained: Trained, env: gym.Env[Any, Any]) -> None:
    vec_env = SB3VecEnv(make_training_env(ID, 64, SCENARIO))
    untrained = PPO("MlpPolicy", vec_env, seed=1, device="cpu", **LEARNING)
    assert trained.curve.rows[0]["regret"] == baselines.score(env, untrained).regret


def test_last_row_is_after_the_last_update(env: gym.Env[Any, Any]) -> None:
    """One roll-out, scored at its last step too: the only update comes after that."""
    strong = {**TINY, "n_steps": 80, "learning_rate": 0.03, "n_epochs": 10}
    moved = 0
    for seed in range(4):
        curve = ExactRegret(env, 320)
        model = train_tiny(seed=seed, callback=curve, hyperparameters=strong)
        assert [row["timesteps"] for row in curve.rows] == [0, 320]
        after = baselines.score(env, model).regret
        assert curve.rows[-1]["regret"] == after
        moved += curve.rows[0]["regret"] != after
    assert moved


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_scoring_does_not_touch_the_training(algorithm: str, env: gym.Env[Any, Any]) -> None:
    replay = {"learning_starts": 64, "buffer_size": 1000, "batch_size": 16}
    settings = {
        "scenario": SCENARIO,
        "total_timesteps": 320,
        "num_envs": 4,
        "hyperparameters": TINY if algorithm == "ppo" else replay,
    }
    watched = train(algorithm, ID, **settings, callback=ExactRegret(env, 20))
    assert same_weights(watched, train(algorithm, ID, **settings))


def test_curve_goes_on_with_the_training(env: gym.Env[Any, Any]) -> None:
    curve = ExactRegret(env, 128)
    model = train_tiny(callback=curve)
    model.learn(320, callback=curve, reset_num_timesteps=False)
    assert [row["timesteps"] for row in curve.rows] == [0, 128, 256, 320, 384, 512, 640]
    seconds = [row["seconds"] for row in curve.rows]
    assert seconds == sorted(seconds)
    model.learn(320, callback=curve)
    assert [row["timesteps"] for row in curve.rows] == [0, 128, 256, 320]


def test_seconds_are_of_training_alone(
    env: gym.Env[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": 50.0}
    score = baselines.score

    def score_slowly(*args: Any, **named: Any) -> baselines.Score:
        clock["now"] += 100.0
        return score(*args, **named)

    class Training(ExactRegret):
        def _on_step(self) -> bool:
            clock["now"] += 1.0
            return super()._on_step()

    monkeypatch.setattr(baselines, "score", score_slowly)
    fake = SimpleNamespace(perf_counter=lambda: clock["now"])
    monkeypatch.setattr(agents.callbacks, "time", fake)
    curve = Training(env, 80)
    train_tiny(callback=curve)
    assert [row["seconds"] for row in curve.rows] == [0.0, 20.0, 40.0, 60.0, 80.0]


def test_csv_holds_the_curve(trained: Trained) -> None:
    reader = csv.DictReader(curve_csv(trained.curve.rows).splitlines())
    rows = [{name: float(value) for name, value in row.items()} for row in reader]
    columns = ["timesteps", "seconds", "value", "regret", "normalised", "stderr"]
    assert reader.fieldnames == columns
    assert rows == trained.curve.rows


def test_tensorboard_gets_the_curve(trained: Trained) -> None:
    for name in ("value", "regret", "normalised"):
        events = {event.step: event.value for event in trained.events.Scalars(f"exact/{name}")}
        rows = {row["timesteps"]: row[name] for row in trained.curve.rows}
        assert list(events) == list(rows)
        assert events == pytest.approx(rows, rel=1e-6)  # float32 in the file
    assert trained.events.Scalars("rollout/ep_rew_mean")


def test_agent_learns(trained: Trained, env: gym.Env[Any, Any]) -> None:
    """Better by far than doing always the same, and than what it was: it uses what it sees."""
    regret = {
        name: baselines.score(env, policy).regret
        for name, policy in baselines.reference_policies(env).items()
    }
    assert regret["best_constant"] < 1.01 * regret["random"]
    first, last = trained.curve.rows[0], trained.curve.rows[-1]
    assert first["regret"] > 0.9 * regret["best_constant"]
    assert last["regret"] < 0.4 * regret["best_constant"]


def test_episode_statistics_are_in_money(trained: Trained, env: gym.Env[Any, Any]) -> None:
    """The scale is for the gradients: the mean return of the last episodes is near the value."""
    returns = [episode["r"] for episode in trained.model.ep_info_buffer]
    assert min(returns) < -SCENARIO["accept_bad_cost"] + 1  # a wrong decision, unscaled
    assert all(value == round(value) for value in returns)  # every amount is a whole number


def test_an_agent_with_memory_is_simulated_as_long_as_asked() -> None:
    env = gym.make(ID, scenario=SCENARIO, observation="outcome")
    curve = ExactRegret(env, 64, episodes=100)
    settings = {"total_timesteps": 64, "num_envs": 4, "hyperparameters": {**TINY, "n_steps": 8}}
    model = train(
        "recurrent_ppo", ID, scenario=SCENARIO, observation="outcome", **settings, callback=curve
    )
    score = baselines.score(env, model, episodes=100)
    assert not score.exact
    for name in ("value", "regret", "normalised", "stderr"):
        assert curve.rows[-1][name] == getattr(score, name)
    assert score != baselines.score(env, model, episodes=200)


@pytest.mark.parametrize("episodes", [0, 2.5])
def test_episodes_must_be_a_positive_whole_number(episodes: Any, env: gym.Env[Any, Any]) -> None:
    with pytest.raises(ValueError, match=f"episodes = {episodes}"):
        ExactRegret(env, 10, episodes=episodes)


@pytest.mark.parametrize("every", [0, -5])
def test_every_must_be_positive(every: int, env: gym.Env[Any, Any]) -> None:
    with pytest.raises(ValueError, match="every"):
        ExactRegret(env, every)


# --- the scale of rewards -------------------------------------------------------------------


def random_play_deviation(scenario: dict[str, Any]) -> float:
    """Return the standard deviation of the return of random play, from its law.

    Random play goes on with probability 1/3 up to the limit, so the items inspected N are geometric,
    cut at it; then it accepts or rejects with probability 1/2, whatever the truth and N.
    """
    cost, top = scenario["inspection_cost"], scenario["max_samples"]
    law = [(2 / 3) * (1 / 3) ** n for n in range(top)] + [(1 / 3) ** top]
    mean = sum(p * n for n, p in enumerate(law))
    variance = cost**2 * (sum(p * n**2 for n, p in enumerate(law)) - mean**2)
    bad = scenario["prior"]["prob_bad"]
    losses = [
        (bad / 2, scenario["accept_bad_cost"]),
        ((1 - bad) / 2, scenario["reject_good_cost"]),
    ]
    loss = sum(p * amount for p, amount in losses)
    return math.sqrt(variance + sum(p * amount**2 for p, amount in losses) - loss**2)


UNEVEN = {
    **SCENARIO,
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.3},
    "inspection_cost": 9.0,
    "reject_good_cost": 35.0,
    "max_samples": 4,
}


ONE_ITEM = {**UNEVEN, "accept_bad_cost": 100.0, "reject_good_cost": 0.0, "max_samples": 1}


@pytest.mark.parametrize(
    "scenario", [SCENARIO, UNEVEN, ONE_ITEM], ids=["even", "uneven", "one item"]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_return_deviation(seed: int, scenario: dict[str, Any]) -> None:
    # Some 45,000 episodes: the estimate's relative standard error is under half a percent.
    estimate = return_deviation(make_training_env(ID, 256, scenario), seed)
    assert estimate == pytest.approx(random_play_deviation(scenario), rel=0.02)
    assert estimate == return_deviation(make_training_env(ID, 256, scenario), seed)


def test_return_deviation_of_a_certain_return() -> None:
    free = dict.fromkeys(("inspection_cost", "accept_bad_cost", "reject_good_cost"), 0.0)
    assert return_deviation(make_training_env(ID, 8, {**SCENARIO, **free}), 0) == 1.0


def test_rewards_are_scaled_by_the_deviation() -> None:
    model = train_tiny(num_envs=128, total_timesteps=2048)
    expected = 1 / random_play_deviation(SCENARIO)
    assert model.get_env().reward_scale == pytest.approx(expected, rel=0.02)
    assert train_tiny(reward_scale=0.125).get_env().reward_scale == 0.125
    dqn = {"algorithm": "dqn", "hyperparameters": {"learning_starts": 64, "buffer_size": 500}}
    model = train_tiny(num_envs=128, total_timesteps=1024, **dqn)
    assert model.get_env().reward_scale == pytest.approx(0.3 * expected, rel=0.02)


def test_trainings_of_neighbouring_seeds_share_no_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    reset, given = QCVectorEnv.reset, []

    def noted(self: QCVectorEnv, *, seed: Any = None, **kwargs: Any) -> Any:
        given.append({seed} if isinstance(seed, int) else set(seed))
        return reset(self, seed=seed, **kwargs)

    monkeypatch.setattr(QCVectorEnv, "reset", noted)
    for seed in range(5):
        train_tiny(seed=seed, num_envs=64, total_timesteps=64 * TINY["n_steps"])
    scales, played = given[::2], given[1::2]
    assert [len(seeds) for seeds in played] == [64] * 5
    assert len(set[int]().union(*played)) == 5 * 64
    assert len(set[int]().union(*scales)) == 5


def test_training_is_the_same_in_every_currency() -> None:
    """Multiplying all money by a power of two changes no bit of what is learned."""
    names = ("inspection_cost", "accept_bad_cost", "reject_good_cost")
    exchanged = {**SCENARIO, **{name: 64.0 * SCENARIO[name] for name in names}}
    assert same_weights(train_tiny(), train_tiny(exchanged))
    unscaled = train_tiny(exchanged, reward_scale=1.0)
    assert not same_weights(train_tiny(reward_scale=1.0), unscaled)


# --- bad arguments --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["total_timesteps", "num_envs"])
@pytest.mark.parametrize("value", [0, -1])
def test_counts_must_be_positive(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        train_tiny(**{name: value})


def test_unknown_environment() -> None:
    with pytest.raises(ValueError, match=r"'qc_gym/SequentialSamplin-v0'; did you mean.*ing-v0'"):
        train("ppo", "qc_gym/SequentialSamplin-v0")


def test_unknown_preset() -> None:
    with pytest.raises(ValueError, match=r"'aql10-rql2'; did you mean 'aql10-rql20'"):
        train_tiny("aql10-rql2")


def test_hyperparameters_that_the_algorithm_refuses() -> None:
    with pytest.raises(ValueError, match=r"ppo: .*n_steps"):
        train_tiny(num_envs=1, hyperparameters={**TINY, "n_steps": 1})


# --- schedules, threads, whole numbers ------------------------------------------------------


@pytest.mark.parametrize("name", ["learning_rate", "clip_range"])
@pytest.mark.parametrize("final", [0.0, 0.25, 3.0])
def test_schedules_end_at_their_final_value(name: str, final: float) -> None:
    schedule = arguments({name: {"initial": 1.0, "final": final}})[name]
    assert [schedule(one) for one in (1.0, 0.5, 0.0)] == [1.0, (1.0 + final) / 2, final]
    assert schedule(-30.0) == final


def test_a_training_that_overshoots_does_not_climb_down() -> None:
    falling = {"learning_rate": {"initial": 2e-3, "final": 1e-6}}
    model = train_tiny(total_timesteps=65, hyperparameters={**TINY, **falling})
    assert model.num_timesteps == 128
    assert [group["lr"] for group in model.policy.optimizer.param_groups] == [1e-6]


def test_threads_are_those_asked_for_and_then_the_callers() -> None:
    seen: list[int] = []

    def note(*_: Any) -> bool:
        seen.append(torch.get_num_threads())
        return True

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train_tiny(callback=note, total_timesteps=64)
        assert (set(seen), torch.get_num_threads()) == ({1}, 2)
        train_tiny(callback=note, total_timesteps=64, threads=2)
        assert set(seen) == {1, 2}
        with pytest.raises(ValueError, match="threads = 0"):
            train_tiny(threads=0)
    finally:
        torch.set_num_threads(before)


def test_whole_numbers_of_numpy() -> None:
    numbers = {"total_timesteps": 128, "num_envs": 4, "seed": 3, "threads": 1}
    other = {name: np.int64(value) for name, value in numbers.items()}
    assert same_weights(train_tiny(**numbers), train_tiny(**other))


@pytest.mark.parametrize("name", ["total_timesteps", "num_envs", "seed", "frames", "threads"])
def test_numbers_that_are_not_whole(name: str) -> None:
    for value in (1.5, True, "4"):
        with pytest.raises(ValueError, match=f"{name} = {value!r}: a whole number"):
            train_tiny(**{name: value})
