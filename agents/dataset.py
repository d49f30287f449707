"""Episodes as a Minari data set, for learning offline."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym

import qc_gym
from baselines import Episode, Optimum
from qc_gym.core.folders import ANOTHER_STANDS_THERE

_ROOT = "MINARI_DATASETS_PATH"
"""The variable of the environment that names the folder of all data sets."""


def write_dataset(
    name: str,
    env: gym.Env[Any, Any],
    optimum: Optimum[Any],
    episodes: Iterable[Episode],
    *,
    policy: str,
    root: str | Path | None = None,
) -> Path:
    """Write episodes as a Minari data set, whole or not at all.

    The infos hold ``action_mask``, ``belief``, ``action_gaps`` and ``optimal_action``, each for every
    observation; see :class:`baselines.Episode`. The data set knows its environment, and the exact values of
    random and of optimal play as ``ref_min_score`` and ``ref_max_score``.

    Parameters
    ----------
    name
        As which Minari knows it: ``[namespace/]name-vNUMBER``.
    env
        The environment, made by ``gym.make``.
    optimum
        Its optimum.
    policy
        What played, in a word.
    root
        The folder of data sets; by default Minari's.

    Returns
    -------
    The folder of the data set.

    Raises
    ------
    ModuleNotFoundError
        Minari is not installed.
    ValueError
        A name that Minari does not take.
    FileExistsError
        There is one of this name.
    """
    path = dataset_path(name, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    from minari import create_dataset_from_buffers
    from minari.data_collector import EpisodeBuffer

    buffers = [
        EpisodeBuffer(
            id=number,
            observations=one.observations,
            actions=one.actions,
            rewards=one.rewards,
            terminations=one.terminated,
            truncations=one.terminated & False,
            infos={
                "action_mask": one.action_masks,
                "belief": one.beliefs,
                "action_gaps": one.action_gaps,
                "optimal_action": one.optimal_actions,
            },
        )
        for number, one in enumerate(episodes)
    ]
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as partial:
        with _writing_into(partial), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for an address of its author, and for code
            create_dataset_from_buffers(
                name,
                buffers,
                env=env,
                algorithm_name=policy,
                author="qc-gym",
                description=f"Episodes of {policy}, each step labelled by the exact optimum.",
                requirements=[f"qc-gym=={qc_gym.__version__}"],
                ref_min_score=optimum.random_value,
                ref_max_score=optimum.value,
            )
        try:
            (Path(partial) / name).rename(path)  # not into one that has been written meanwhile
        except OSError as error:
            if error.errno not in ANOTHER_STANDS_THERE:
                raise
            raise FileExistsError(
                error.errno, "there is a data set of this name", str(path)
            ) from error
    return path


def dataset_path(name: str, root: str | Path | None = None) -> Path:
    """Return where a data set of this name goes; see :func:`write_dataset`."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(name)
    except ValueError as error:
        raise ValueError(f"name = {name!r}: {error}") from None
    with _writing_into(root):
        from minari.storage import get_dataset_path

        path = Path(get_dataset_path(name))
    if path.exists():
        raise FileExistsError(f"{path}: there is such a data set; choose another name or version")
    return path


@contextmanager
def _writing_into(root: str | Path | None) -> Iterator[None]:
    """Have Minari take a folder for that of all data sets."""
    before = os.environ.get(_ROOT)
    if root is not None:
        os.environ[_ROOT] = str(root)
    try:
        yield
    finally:
        os.environ.pop(_ROOT, None)
        if before is not None:
            os.environ[_ROOT] = before
