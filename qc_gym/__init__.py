"""Gymnasium environments for quality-control decisions.

Importing this package registers them: ``gymnasium.make("qc_gym/SequentialSampling-v0")``. Their
exact optima, and the scoring of any policy against them, are in the package ``baselines``.
"""

from importlib.metadata import PackageNotFoundError, version

from gymnasium.envs.registration import register

try:
    __version__ = version("qc-gym")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

ENVIRONMENTS = {
    "qc_gym/SequentialSampling-v0": "qc_gym.sampling.env:SequentialSampling",
    "qc_gym/Assembly-v0": "qc_gym.assembly.env:Assembly",
    "qc_gym/InspectOrStop-v0": "qc_gym.lot.env:InspectOrStop",
    "qc_gym/KStage-v0": "qc_gym.kstage.env:KStage",
    "qc_gym/KStageControl-v0": "qc_gym.kstage_control.env:KStageControl",
}
"""Environment id → where its scalar (``…Env``) and vector (``…VectorEnv``) classes are."""

for _id, _path in ENVIRONMENTS.items():
    register(id=_id, entry_point=f"{_path}Env", vector_entry_point=f"{_path}VectorEnv")
