"""The environments that there are, by id: those of this package, and any that others register."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import entry_points

import gymnasium

ENTRY_POINTS = "qc_gym.families"
"""The group of entry points by which installed packages name the modules that register their families."""


@dataclass(frozen=True)
class Registration:
    """Where the parts of a family are. Nothing is imported before it is needed.

    Attributes
    ----------
    env_id
        As in ``gymnasium.make``: ``"qc_gym/Assembly-v0"``.
    environment
        ``"module:Name"``; the classes there are ``NameEnv`` and ``NameVectorEnv``.
    family
        ``"module:OBJECT"``: the family's optima, which :mod:`baselines` asks.
    """

    env_id: str
    environment: str
    family: str

    def __post_init__(self) -> None:
        for name in ("environment", "family"):
            module, colon, attribute = getattr(self, name).partition(":")
            if not (colon and attribute.isidentifier() and module):
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: 'package.module:Name' is needed"
                )

    @property
    def full_id(self) -> str:
        """The id with the package that registers it, which ``gymnasium.make`` then imports itself."""
        package = self.environment.partition(":")[0].partition(".")[0]
        return f"{package}:{self.env_id}"


ENVIRONMENTS: dict[str, Registration] = {}
"""Every registered environment by its id, in the order of registration."""


def register(env_id: str, *, environment: str, family: str) -> None:
    """Register an environment with Gymnasium, and with the optima, commands and tests.

    Registering the same again does nothing.

    Parameters
    ----------
    env_id, environment, family
        As for :class:`Registration`.

    Raises
    ------
    ValueError
        A path that is not ``"module:Name"``, or an id that is another environment's.
    """
    registration = Registration(env_id, environment, family)
    known = ENVIRONMENTS.get(env_id)
    if known == registration:
        return
    if known is not None or env_id in gymnasium.registry:
        raise ValueError(f"env_id = {env_id!r}: is registered already, as {known or 'not of ours'}")
    gymnasium.register(
        id=env_id,
        entry_point=f"{environment}Env",
        vector_entry_point=f"{environment}VectorEnv",
    )
    ENVIRONMENTS[env_id] = registration


def load_installed() -> None:
    """Import what installed packages name in the group ``ENTRY_POINTS``.

    Commands, experiments and the processes that train know their families by it. One that cannot be
    imported is warned of, and keeps nobody from the others.
    """
    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:
            warnings.warn(
                f"{point.value}: a family of environments that cannot be imported: {error!r}",
                RuntimeWarning,
                stacklevel=2,
            )


def plain_id(name: str) -> str:
    """Return the id of an environment that is named by its id or its full id; any other name as it is."""
    for registration in ENVIRONMENTS.values():
        if name == registration.full_id:
            return registration.env_id
    return name


def registration_of(env_type: type) -> Registration:
    """Return the registration of an environment's class, scalar or vector, or of the class it extends.

    Raises
    ------
    LookupError
        A class that is not registered.
    """
    for base in env_type.__mro__:
        name = base.__name__.removesuffix("Env").removesuffix("Vector")
        for registration in ENVIRONMENTS.values():
            if registration.environment == f"{base.__module__}:{name}":
                return registration
    raise LookupError(
        f"{env_type.__module__}.{env_type.__qualname__} is no registered environment: "
        f"qc_gym.register() makes it known; known are {', '.join(ENVIRONMENTS)}"
    )
