"""Linear systems of Markov chains that end, x = c + P x, to about twice double precision.

An episode of L expected steps turns a rounding of ε in each into Lε in the whole: with L = 10⁶ and
10⁹ of money, a tenth of a unit. So each system is solved in double precision again and again for the
residual of the last answer, which is kept and computed as an unevaluated sum of two doubles (iterative
refinement, Higham 2002, chapter 12; double-double arithmetic, Dekker 1971).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

_SWEEPS = 300
"""Sweeps after which an iteration is taken to converge too slowly."""
_ROUNDS = 30
_ENOUGH = 2.0**-80
"""Expected error, relative to the largest entry, at which refinement stops."""
_TOLERABLE = 2.0**-50
_SPLIT = 2.0**27 + 1.0


class PrecisionError(ArithmeticError):
    """Episodes go on for so long that float64 cannot tell them from endless ones."""


class Moves:
    """The probabilities of moving from state to state, (n, n), of a chain that is certain to end."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self._matrix = matrix.tocsr()
        self._factor: SuperLU | None = None

    def solve(
        self, constant: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x = constant + P · x as a sum of two arrays (n,), the second the rounding.

        Raises
        ------
        PrecisionError
            The refinement does not converge.
        """
        matrix = self._matrix
        high, low = np.zeros((2, len(constant)))
        residual, previous = constant, 1.0
        for _ in range(_ROUNDS):
            step = self._roughly(residual)
            _add(high, low, step)
            largest = np.abs(high).max(initial=0.0)
            change = np.abs(step).max(initial=0.0) / largest if largest > 0.0 else 0.0
            # The next change is about as much smaller than this one as this than the last.
            if change * change <= _ENOUGH * previous:
                return high, low
            if not change <= 0.5 * previous and previous < 1.0:
                if change <= _TOLERABLE:
                    return high, low
                break
            previous = min(change, 1.0 - _TOLERABLE)
            residual = np.empty(len(constant))
            _residual(matrix.indptr, matrix.indices, matrix.data, constant, high, low, residual)
        raise PrecisionError(
            "an episode may last so long that float64 cannot tell it from one that never ends"
        )

    def _roughly(self, constant: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve in double precision.

        By Gauss and Seidel's sweeps, which take a few dozen where episodes end soon; where they do
        not, by a sparse factorisation, whose cost grows faster with the number of states.
        """
        if self._factor is None:
            solution, matrix = np.zeros(len(constant)), self._matrix
            if _sweep_moves(
                matrix.indptr, matrix.indices, matrix.data, constant, solution, _SWEEPS
            ):
                return solution
            try:
                self._factor = splu((sparse.eye_array(len(constant)) - matrix).tocsc())
            except RuntimeError as error:
                raise PrecisionError(f"an episode seems never to end: {error}") from error
        return np.asarray(self._factor.solve(constant))


@njit(cache=True, error_model="numpy")
def action_values_of(rewards, first, successors, probabilities, high, low):  # type: ignore[no-untyped-def]
    """Return rewards + E values as a sum of two arrays, and the sum of the terms' sizes, all (S, A).

    ``high`` + ``low`` are the values (S,).
    """
    shape = rewards.shape
    upper, lower, size = np.empty(shape), np.empty(shape), np.empty(shape)
    for s in range(shape[0]):
        for a in range(shape[1]):
            h, rest, total = rewards[s, a], 0.0, abs(rewards[s, a])
            pair = s * shape[1] + a
            for k in range(first[pair], first[pair + 1]):
                p, next_state = probabilities[k], successors[k]
                product, error = _two_product(p, high[next_state])
                h, rest = _plus(h, rest, product)
                h, rest = _plus(h, rest, error + p * low[next_state])
                total += abs(product)
            upper[s, a], lower[s, a], size[s, a] = h, rest, total
    return upper, lower, size


@njit(cache=True, error_model="numpy")
def _sweep_moves(first, successors, probabilities, constant, solution, sweeps):  # type: ignore[no-untyped-def]
    """Improve the solution in place; return whether it stood still before the sweeps were done."""
    for _ in range(sweeps):
        moved, size = 0.0, 1e-300
        for s in range(len(constant)):
            total, own = constant[s], 1.0
            for k in range(first[s], first[s + 1]):
                if successors[k] == s:
                    own -= probabilities[k]
                else:
                    total += probabilities[k] * solution[successors[k]]
            total /= own
            moved, size = max(moved, abs(total - solution[s])), max(size, abs(total))
            solution[s] = total
        if moved <= 1e-15 * size:
            return True
    return False


@njit(cache=True, error_model="numpy")
def _residual(first, successors, probabilities, constant, high, low, out):  # type: ignore[no-untyped-def]
    """Write constant + P · x − x, where x = high + low."""
    for s in range(len(constant)):
        h, rest = _plus(constant[s], 0.0, -high[s])
        h, rest = _plus(h, rest, -low[s])
        for k in range(first[s], first[s + 1]):
            p, next_state = probabilities[k], successors[k]
            product, error = _two_product(p, high[next_state])
            h, rest = _plus(h, rest, product)
            h, rest = _plus(h, rest, error + p * low[next_state])
        out[s] = h + rest


@njit(cache=True, error_model="numpy")
def _add(high, low, step):  # type: ignore[no-untyped-def]
    for s in range(len(step)):
        high[s], low[s] = _plus(high[s], low[s], step[s])


@njit(cache=True, inline="always", error_model="numpy")
def _plus(high, low, x):  # type: ignore[no-untyped-def]
    """Return the sum of two doubles and a third, again as two (Knuth's sum, then renormalised)."""
    total = high + x
    part = total - high
    error = (high - (total - part)) + (x - part) + low
    result = total + error
    return result, error - (result - total)


@njit(cache=True, inline="always", error_model="numpy")
def _two_product(x, y):  # type: ignore[no-untyped-def]
    """Return x · y and its rounding, exactly (Dekker's product, Veltkamp's splitting)."""
    product = x * y
    wide = _SPLIT * x
    x_high = wide - (wide - x)
    x_low = x - x_high
    wide = _SPLIT * y
    y_high = wide - (wide - y)
    y_low = y - y_high
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error
