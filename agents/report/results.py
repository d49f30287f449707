"""Reading the folders of finished runs; one that cannot be used is named and does not stop the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.callbacks import COLUMNS as CURVE_COLUMNS
from agents.experiment import MANIFEST, Run, code_version
from agents.files import read_csv, read_json
from agents.held_out import read_rows
from agents.machine import TOLD
from agents.policies import DESCRIPTION, load_policy
from agents.runs import CURVE, HELD_OUT, RUN, check_seal
from baselines import Score
from qc_gym.core.errors import shown
from qc_gym.core.record import validated

TARGET = 0.99
"""The normalised score that "steps to" and "seconds to" speak of."""


def least_drawn(goal: float) -> float:
    """Return the regret at which smaller ones are drawn, zero too, for which a log axis has no place.

    ``goal`` is the regret at the target; a ten-thousandth of it is a millionth of the normalised score.
    """
    return max(1e-4 * goal, 1e-12)


@dataclass(frozen=True)
class Result:
    """A finished run, as its folder holds it.

    Attributes
    ----------
    folder
        Where it is.
    run
        Its configuration.
    version, code
        The version of the package that made it, and the digest of its sources.
    machine
        What it ran on, and the versions of the libraries; see :func:`agents.machine.machine`.
    score
        The fields of :class:`baselines.Score`.
    seconds
        Of training, without the scoring.
    curve
        Rows of the exact learning curve; see :class:`agents.ExactRegret`.
    policy
        The trained policy.
    held_out
        Rows of the scores on held-out scenarios, if it was trained on a range; see
        :func:`agents.held_out.score_rows`.
    """

    folder: Path
    run: Run
    version: str
    code: str
    machine: Mapping[str, str]
    score: Mapping[str, Any]
    seconds: float
    curve: Sequence[Mapping[str, float]]
    policy: Any
    held_out: Sequence[Mapping[str, Any]] = ()

    @property
    def title(self) -> str:
        """What the run is called beside others of its problem."""
        return f"{self.run.algorithm}, seed {self.run.seed}"

    @property
    def problem(self) -> tuple[str, str, str]:
        """The environment, its scenario's name and the observation."""
        return self.run.env_id, self.run.scenario_name, self.run.observation


def reached(
    curve: Sequence[Mapping[str, float]], target: float = TARGET
) -> Mapping[str, float] | None:
    """Return the row of a curve from which the score stays at or above the target, or None."""
    row = None
    for candidate in reversed(curve):
        if candidate["normalised"] < target:
            break
        row = candidate
    return row


def read_result(folder: str | Path) -> Result:
    """Read a run's folder.

    Raises
    ------
    ValueError
        A file is missing or damaged, or of another version of the package; the message names it.
    """
    folder = Path(folder)
    try:
        content = read_json(folder / RUN)
        version = str(content["version"])
        if version != code_version()[0]:
            raise ValueError(
                f"{RUN} was made by version {version}, this is {code_version()[0]}; train it again"
            )
        run = validated(Run, content["run"], str(folder / RUN))
        score = asdict(Score(**content["score"]))
        _check_score(score)
        rows = read_csv(folder / CURVE)
        curve = [{name: float(row[name]) for name in CURVE_COLUMNS} for row in rows]
        if not curve:
            raise ValueError(f"{CURVE} holds no rows")
        if any(math.isnan(value) for row in curve for value in row.values()):
            raise ValueError(f"{CURVE} holds what is not a number")
        held_out: list[dict[str, Any]] = []
        if run.held_out is not None:
            held_out = read_rows(read_csv(folder / HELD_OUT))
        policy, trained = load_policy(folder)
        _check_same(run, trained)
        seconds, code = float(content["seconds"]), str(content["code"])
        machine = {name: str(content["machine"][name]) for name in TOLD}
        check_seal(folder)  # last: what is wrong is told by its name where it can be
        return Result(folder, run, version, code, machine, score, seconds, curve, policy, held_out)
    except (AttributeError, OSError, LookupError, TypeError, ValueError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder}: not the folder of a finished run: {problem}") from error


def _check_same(run: Run, trained: Mapping[str, Any]) -> None:
    """Raise a ValueError where a run is not the one whose policy lies beside it, which was checked."""
    for name in ("env_id", "scenario", "observation", "algorithm", "frames"):
        if getattr(run, name) != trained[name]:
            raise ValueError(
                f"{RUN}: {name} = {shown(getattr(run, name))}: that of {DESCRIPTION} is "
                f"{shown(trained[name])}"
            )


def _check_score(score: Mapping[str, Any]) -> None:
    """Raise a ValueError for a score that no policy can have."""
    for name in ("value", "optimum", "regret", "normalised", "stderr", "expected_length"):
        value = score[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ValueError(f"{RUN}: score.{name} = {value!r}: a number is needed")
    slack = 1e-6 * max(abs(score["optimum"]), abs(score["value"])) + 5.0 * score["stderr"]
    if score["regret"] < -slack:
        raise ValueError(f"{RUN}: score.regret = {score['regret']!r}: is never negative")


def read_results(folders: Iterable[str | Path]) -> tuple[list[Result], dict[str, str]]:
    """Read the folders of runs that may be compared with each other.

    Returns
    -------
    results, left_out
        The runs that can be used, in the order given; and why each of the others cannot, by the
        name of its folder: missing or damaged, of another version, made by other code than most (or
        than the present, if there are any of that), on another scenario of the same name, trained
        otherwise than most of its algorithm (seeds are alike but for their seed), or of a seed that is
        there already.
    """
    results: list[Result] = []
    left_out: dict[str, str] = {}
    for folder in map(Path, folders):
        try:
            results.append(read_result(folder))
        except ValueError as error:
            left_out[folder.name] = str(error)
    codes = Counter(result.code for result in results)
    present = code_version()[1]
    chosen = present if present in codes or not codes else codes.most_common(1)[0][0]
    kept: list[Result] = []
    usual = _usual_settings([result for result in results if result.code == chosen])
    for result in results:
        others = [other for other in kept if other.problem == result.problem]
        if result.code != chosen:
            reason = f"was made by code {result.code}, others by {chosen}; train it again"
        elif others and others[0].run.scenario != result.run.scenario:
            reason = f"its scenario {result.run.scenario_name} is not that of {others[0].folder}"
        elif differing := [
            name
            for name, value in _settings(result.run).items()
            if value != usual[result.problem, result.run.algorithm][name]
        ]:
            reason = (
                f"{', '.join(differing)}: not as in most runs of {result.run.algorithm} on "
                f"{result.run.scenario_name}; report it from a folder of its own"
            )
        elif any(other.title == result.title for other in others):
            reason = f"another run is {result.title} too"
        else:
            kept.append(result)
            continue
        left_out[result.folder.name] = f"{result.folder}: {reason}"
    return kept, left_out


def _usual_settings(results: Iterable[Result]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return, of each algorithm on each problem, how most of its runs are trained."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result.problem, result.run.algorithm), []).append(_settings(result.run))
    return {key: max(settings, key=settings.count) for key, settings in groups.items()}


def _settings(run: Run) -> dict[str, Any]:
    """Return all in which the seeds of one configuration are alike."""
    return run.model_dump(exclude={"seed"})


def run_folders(folder: str | Path) -> list[Path]:
    """Return the folders of the runs that a folder of results is to hold.

    Those of its last experiment, whether they are there or not; where there is no experiment's
    manifest (``qc-gym train`` writes none), all in ``runs/``.

    Raises
    ------
    ValueError
        There are none, or the manifest is damaged or names a folder elsewhere.
    """
    folder = Path(folder)
    try:
        names = read_json(folder / MANIFEST)["runs"]
        runs = [folder / "runs" / _own_name(name) for name in names]
    except FileNotFoundError:
        found = (folder / "runs").glob("*/")
        runs = sorted(path for path in found if not path.name.startswith("."))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / MANIFEST}: cannot be read: {error!r}") from error
    if not runs:
        raise ValueError(f"{folder}: holds no finished runs (runs/*/{RUN})")
    return runs


def _own_name(name: object) -> str:
    """Return the name of a folder, from a file that anybody may have written: it leads nowhere else."""
    if (
        not isinstance(name, str)
        or "\\" in name
        or name in ("", ".", "..")
        or Path(name).name != name
    ):
        raise ValueError(f"runs: {name!r}: the name of a folder is needed")
    return name
