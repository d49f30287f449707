"""Searching hyperparameters on the exact score, with Optuna, which is imported when a search begins."""

from agents.tuning.space import Space, default_space, read_space
from agents.tuning.study import Tuning, best_rows, ended, open_study, write_best, write_figures
from agents.tuning.trials import Progress, search

__all__ = [
    "Progress",
    "Space",
    "Tuning",
    "best_rows",
    "default_space",
    "ended",
    "open_study",
    "read_space",
    "search",
    "write_best",
    "write_figures",
]
