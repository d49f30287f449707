"""Gymnasium environments for quality-control decisions.

Importing this package registers them: ``gymnasium.make("qc_gym/SequentialSampling-v0")``, and those of
installed packages that name their module as an entry point of the group ``qc_gym.families``. Their
exact optima, and the scoring of any policy against them, are in the package ``baselines``.
"""

from importlib.metadata import PackageNotFoundError, version

from qc_gym.core.registry import ENVIRONMENTS, load_installed, register

__all__ = ["ENVIRONMENTS", "__version__", "register"]

try:
    __version__ = version("qc-gym")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

for _name, _environment, _family in (
    ("SequentialSampling", "qc_gym.sampling.env", "baselines.sampling"),
    ("Assembly", "qc_gym.assembly.env", "baselines.assembly"),
    ("InspectOrStop", "qc_gym.lot.env", "baselines.lot"),
    ("KStage", "qc_gym.kstage.env", "baselines.kstage"),
    ("KStageControl", "qc_gym.kstage_control.env", "baselines.kstage_control"),
    ("PilotRun", "qc_gym.pilot.env", "baselines.pilot"),
):
    register(
        f"qc_gym/{_name}-v0",
        environment=f"{_environment}:{_name}",
        family=f"{_family}:FAMILY",
    )
load_installed()
