"""``solve`` and ``score``: the exact optimum, and what a policy loses against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import gymnasium as gym
import typer

from agents.cli.lot_plans import (
    Alpha,
    Aql,
    Beta,
    CurvesCsv,
    Level,
    OwnPlans,
    asked_numbers,
    check_plan_options,
    curves_of,
    print_designs,
    read_plans,
    write_curves,
)
from agents.cli.options import (
    AsJson,
    Assignments,
    Env,
    Figures,
    Observation,
    ScenarioOption,
    Seed,
    env_id_of,
    inner,
    make_env,
    scenario_source,
    whole_number,
)
from agents.cli.output import print_json, print_table, say
from agents.cli.ranges import Count, print_optima, print_scores, refuse_options
from agents.cli.sensitivity import (
    Csv,
    Least,
    Policies,
    Vary,
    print_sensitivity,
    read_policies,
    read_ranges,
)
from agents.files import write_whole
from agents.tables import explain_none
from qc_gym.core.ranges import ScenarioRange

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from baselines import Certificate, Plan


_OF_ONE, _OF_MANY = "is of one scenario, and a range holds many", "goes with a range of scenarios"
_PLANS: dict[str, Callable[[Plan], str]] = {
    ".txt": lambda plan: plan.text(),
    ".csv": lambda plan: plan.csv(),
    ".json": lambda plan: plan.json(),
    ".html": lambda plan: plan.html(),
}


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(solve)
    app.command()(score)


def solve(
    env: Env,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    observation: Observation = None,
    vary: Vary = None,
    policy: Policies = None,
    least: Least = None,
    csv: Csv = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            parser=whole_number,
            metavar="NUMBER",
            help="To simulate as a check of the optimum, 0 for none; by default 100,000. With --vary: for "
            "a policy that must be simulated; by default 10,000.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Whether to simulate; see --episodes.")
    ] = True,
    count: Count = None,
    seed: Seed = 0,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            help="Write the plan as .txt, .csv, .json or .html, a card to print.",
        ),
    ] = None,
    figures: Figures = None,
    as_json: AsJson = False,
) -> int:
    """Compute the exact optimum, its certificate and the plan for the shop floor.

    Of a range: the optima of scenarios that are drawn from it, and the one of least value.

    The exit status is 1 if the optimum fails its check.
    """
    import baselines

    _check_together(vary, {"--policy": policy, "--least": least, "--csv": csv}, plan, check)
    if vary:
        ranges = read_ranges(vary)
        env_id = env_id_of(env)
        base = make_env(env_id, scenario_source(env_id, scenario, set_), observation)
        print_sensitivity(
            base,
            ranges,
            read_policies(base, policy or ()),
            csv=csv,
            figures=figures,
            as_json=as_json,
            least=0.1 if least is None else least,
            episodes=10_000 if episodes is None else episodes,
            seed=seed,
        )
        return 0
    env_id = env_id_of(env)
    made = make_env(env_id, scenario_source(env_id, scenario, set_), observation, ranges=True)
    spread = inner(made).scenarios
    if isinstance(spread, ScenarioRange):
        given = {"--plan": plan, "--figures": figures, "--episodes": episodes is not None}
        given |= {"--no-check": not check}
        refuse_options(given, _OF_ONE)
        print_optima(
            env_id,
            spread,
            inner(made).observation,
            count=count,
            seed=seed,
            words=_words(scenario, set_),
            as_json=as_json,
        )
        return 0
    refuse_options({"--count": count is not None}, _OF_MANY)
    episodes = 100_000 if episodes is None else episodes
    if plan is not None and plan.suffix not in _PLANS:
        raise ValueError(
            f"--plan {plan}: the name should end in {', '.join(_PLANS)} (a plan of one's own is scored by "
            "qc-gym score)"
        )
    solution = baselines.solve(made)
    certificate = solution.certificate
    if check and episodes != 0:
        certificate = baselines.certify(made, episodes=episodes, seed=seed)
    if figures is not None:
        write_figures(baselines.figures(made, {}), figures, inner(made).family)
    if plan is not None:
        write_whole(plan, _PLANS[plan.suffix](baselines.plan(made)))
    if as_json:
        content = {
            "env_id": env_id,
            "scenario": inner(made).scenario.model_dump(mode="json"),
            "value": solution.value,
            "lower": solution.lower,
            "upper": solution.upper,
            "certificate": asdict(certificate),
            "passed": certificate.passed,
            "verdict": certificate.verdict,
        }
        print_json(content)
    else:
        told = baselines.plan(made)
        say(told.summary())
        say(f"optimal value        {solution.value:.8f} (expected return of an episode)")
        if certificate.width:
            say(f"certified between    {solution.lower:.8f} and {solution.upper:.8f}")
        _print_certificate(certificate)
        say()
        say(told.table())
    return 1 if certificate.passed is False else 0


def _words(scenario: str | None, pairs: list[str] | None) -> list[str]:
    """Return the options that named a scenario or a range."""
    named = [] if scenario is None else ["--scenario", scenario]
    return [*named, *(word for pair in pairs or () for word in ("--set", pair))]


def _check_together(
    vary: list[str] | None, of_many: Mapping[str, Any], plan: Path | None, check: bool
) -> None:
    """Raise a ValueError if options of one scenario and of many are given together."""
    if vary and plan is not None:
        raise ValueError(f"--plan {plan}: a plan is of one scenario, and --vary solves many")
    if vary and not check:
        raise ValueError("--no-check: with --vary no optimum is simulated as a check")
    for option, value in of_many.items():
        if value is not None and not vary:
            raise ValueError(f"{option} goes with --vary")


def _print_certificate(certificate: Certificate) -> None:
    say(f"Bellman residual     {certificate.bellman_residual:.1e}")
    if simulation := certificate.simulation:
        say(
            f"simulated            {simulation.mean:.4f} ± {simulation.stderr:.4f} over "
            f"{simulation.episodes:,} episodes"
        )
    say(f"verdict              {certificate.verdict}")


def score(
    env: Env,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="Folder that train wrote; without one: the reference policies."
        ),
    ] = None,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    plan: OwnPlans = None,
    alpha: Alpha = None,
    beta: Beta = None,
    aql: Aql = None,
    level: Level = None,
    csv: CurvesCsv = None,
    figures: Figures = None,
    observation: Observation = None,
    count: Count = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Score a trained agent, and tell where its regret comes from; or plans, beside the references.

    On a range: the mean regret over scenarios that are drawn from it, and where each policy loses most.
    """
    import baselines

    env_id = env_id_of(env)
    asked = asked_numbers(alpha=alpha, beta=beta, aql=aql, level=level)
    trained_on = None
    if model is None:
        made = make_env(env_id, scenario_source(env_id, scenario, set_), observation, ranges=True)
    else:
        made, policy, trained_on = trained(env_id, model, scenario, set_, observation)
    spread = inner(made).scenarios
    if isinstance(spread, ScenarioRange):
        given = {"--plan": plan, "--figures": figures, "--csv": csv}
        refuse_options(given | {f"--{name}": value for name, value in asked.items()}, _OF_ONE)
        made.reset(seed=seed)
        names = baselines.reference_policies(made).names
        print_scores(
            env_id,
            spread,
            {name: name for name in names} if model is None else {model: policy},
            inner(made).observation,
            trained_on=trained_on,
            count=count,
            seed=seed,
            words=_words(scenario, set_),
            as_json=as_json,
        )
        return
    refuse_options({"--count": count is not None}, _OF_MANY)
    check_plan_options(made, plan, asked, (csv, figures), is_needed=model is not None)
    references = baselines.reference_policies(made, **asked)
    rivals = {model: policy} if model is not None else references
    policies = {**read_plans(plan, references), **rivals}
    scores = {name: baselines.score(made, one) for name, one in policies.items()}
    told = curves_of(made, plan or (), asked)
    if told is not None:
        write_curves(told, csv, figures)
    if as_json:
        print_json({name: asdict(one) for name, one in scores.items()})
        return
    ranked = sorted(scores.items(), key=lambda item: item[1].regret)
    print_table(env_id, [{"policy": name, **asdict(one)} for name, one in ranked])
    if model is not None:
        _print_disagreements(made, policy, scores[model].regret)
    else:
        print_designs(references)
    if told is not None:
        say(told.text())


def trained(
    env_id: str,
    folder: str,
    scenario: str | None,
    pairs: list[str] | None,
    observation: str | None,
) -> tuple[gym.Env[Any, Any], Any, Any]:
    """Return an environment, a trained policy that fits it, and the scenario or range of its training.

    By default it is the environment of the training.
    """
    from agents.policies import as_seen, check_fits, load_policy

    policy, trained = load_policy(folder)
    source: Any = scenario
    if scenario is None and trained["env_id"] == env_id:
        source = trained["scenario"]
    observation = observation or trained["observation"]
    made = make_env(env_id, scenario_source(env_id, source, pairs), observation, ranges=True)
    if trained["env_id"] != env_id:
        check_fits(policy, trained, made)  # says so
    one = made
    if isinstance(inner(made).scenarios, ScenarioRange):
        made.reset(seed=0)
        one = make_env(env_id, inner(made).scenario, observation)
    seen = as_seen(one, trained["scenario"])
    check_fits(policy, trained, seen)
    return seen if one is made else made, policy, trained["scenario"]


def _print_disagreements(env: gym.Env[Any, Any], policy: Any, regret: float) -> None:
    """Show where the regret of a policy comes from."""
    import baselines

    rows = baselines.disagreements(env, policy)
    if rows:
        print_table("Where the regret comes from", [asdict(row) for row in rows])
    else:
        say(explain_none(regret))


def write_figures(figures: Mapping[str, Figure], folder: Path, prefix: str) -> None:
    """Write pictures as PNG files, each named by the prefix and its own name."""
    from agents.files import png, write_whole

    for name, figure in figures.items():
        write_whole(folder / f"{prefix}-{name}.png", png(figure))
