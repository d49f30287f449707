"""Pictures of sensitivity: curves over one field, maps over two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from baselines.core.sensitivity import REDESIGNED
from qc_gym.core.picture import FAINT, INK, Picture, literal, styles_of

if TYPE_CHECKING:
    from baselines.core.sensitivity import Sensitivity

_SIZE = 5.0, 4.2  # of a map, in inches
_ABREAST = 3


def draw(found: Sensitivity) -> Figure:
    """Return curves of the optimal value and of the regrets over one field, or a map of each over two."""
    return _curves(found) if len(found.fields) == 1 else _maps(found)


def _curves(found: Sensitivity) -> Figure:
    (field,) = found.fields
    figure = Picture(figsize=(8, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    where = np.array(field.values, np.float64)
    above.plot(where, found.values, color=INK)
    above.set_ylabel("optimal value (money in an episode)")
    styles = styles_of(list(dict.fromkeys(one.name for one in found.regrets)))
    for one in found.regrets:
        shown = np.where(np.isfinite(one.values), one.values, np.nan)
        color = styles[one.name].color
        line = "--" if one.kind == REDESIGNED else "-"
        below.plot(where, shown, color=color, linestyle=line, label=literal(one.label))
        if np.any(one.stderrs > 0.0):
            spread = 2.0 * one.stderrs
            below.fill_between(where, shown - spread, shown + spread, color=color, alpha=0.2)
    below.set_ylabel("regret (money in an episode)")
    below.set_xlabel(literal(field.label))
    for ax in (above, below):
        ax.grid(alpha=0.3)
        ax.margins(x=0.0)
        for i, change in enumerate(found.changes or ()):
            label = "the optimal decision changes" if i == 0 and ax is above else None
            ax.axvline(change.value, color=FAINT, linewidth=0.7, label=label)
        if _is_within(field.base, where):
            label = "base" if ax is above else None
            ax.axvline(field.base, color=INK, linestyle=":", label=label)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8)
    return figure


def _maps(found: Sensitivity) -> Figure:
    shown = {"optimal value": found.values}
    shown |= {f"regret of {one.label}": one.values for one in found.regrets}
    abreast = min(len(shown), _ABREAST)
    rows = -(-len(shown) // abreast)
    figure = Picture(figsize=(_SIZE[0] * abreast, _SIZE[1] * rows), layout="constrained")
    across, up = (np.array(field.values, np.float64) for field in found.fields)
    for i, (name, values) in enumerate(shown.items(), 1):
        ax = figure.add_subplot(rows, abreast, i)
        finite = np.ma.masked_invalid(values.T)
        image = ax.pcolormesh(across, up, finite, shading="nearest", cmap="viridis")
        figure.colorbar(image, ax=ax, label="money in an episode")
        ax.set_title(literal(name), fontsize=10)
        ax.set_xlabel(literal(found.fields[0].label))
        ax.set_ylabel(literal(found.fields[1].label))
        bases = [field.base for field in found.fields]
        if _is_within(bases[0], across) and _is_within(bases[1], up):
            ax.plot(*bases, marker="+", color="white", markersize=12, linestyle="", label="base")
            ax.legend(fontsize=8, labelcolor="white", facecolor=INK)
    return figure


def _is_within(value: Any, values: NDArray[np.float64]) -> bool:
    return isinstance(value, int | float) and bool(values.min() <= value <= values.max())
