"""The steady state is what the network comes to when items really flow through it."""

from typing import Any

import numpy as np
import pytest
from network_simulator import (
    DELIVERED,
    DELIVERED_BAD,
    INSPECTED_1,
    INSPECTED_2,
    INSPECTED_3,
    POOL_BAD,
    POOLED,
    REWORKED,
    USED,
    simulate_network,
)

from qc_gym.kstage.steady_state import steady_state

# Fractions nonconforming (new, reworked), N, n, K; false alarms, misses.
PLANTS = {
    "blu-2010, one stage": ((0.161, 0.05, 240, 16, 1), (0.0, 0.0)),
    "no stages, small lots": ((0.10, 0.30, 20, 5, 0), (0.0, 0.0)),
    "three stages of poor rework": ((0.40, 0.50, 50, 8, 3), (0.0, 0.0)),
    "both errors, one stage": ((0.20, 0.10, 100, 10, 1), (0.02, 0.10)),
    "misses, no stages": ((0.10, 0.30, 20, 5, 0), (0.0, 0.40)),
    "false alarms, three stages of poor rework": ((0.40, 0.50, 50, 8, 3), (0.05, 0.0)),
    "every item of a lot is inspected": ((0.15, 0.20, 12, 12, 2), (0.03, 0.25)),
    "lots of one item": ((0.30, 0.25, 1, 1, 1), (0.15, 0.30)),
}
RATIOS = {
    "pool_fraction": (POOL_BAD, POOLED),
    "outgoing_fraction": (DELIVERED_BAD, DELIVERED),
    "pooled": (POOLED, USED),
    "stage_inspections": (INSPECTED_1, USED),
    "source_inspections": (INSPECTED_2, USED),
    "reinspections": (INSPECTED_3, USED),
    "reworks": (REWORKED, USED),
}


def ratio_and_error(counts: np.ndarray, above: int, below: int) -> tuple[float, float]:
    """Return the ratio of two counts and its standard error, from the batches (delta method)."""
    ratio = counts[:, above].sum() / counts[:, below].sum()
    residuals = counts[:, above] - ratio * counts[:, below]
    error = residuals.std(ddof=1) / np.sqrt(len(counts)) / counts[:, below].mean()
    return ratio, error


@pytest.mark.parametrize(("plant", "errors"), PLANTS.values(), ids=PLANTS)
def test_items_flow_as_the_steady_state_says(plant: Any, errors: Any) -> None:
    lot_size = plant[2]
    false_alarm, miss = errors
    counts = simulate_network(
        *plant,
        false_alarm=false_alarm,
        miss=miss,
        lots_in_pool=100_000 // lot_size,
        batches=40,
        lots_in_batch=250_000 // lot_size,
        seed=11,
    )
    steady = steady_state(*plant, false_alarm=false_alarm, miss=miss)
    for name, (above, below) in RATIOS.items():
        ratio, error = ratio_and_error(counts, above, below)
        expected = float(getattr(steady, name))
        assert abs(ratio - expected) <= 4 * error, (name, ratio, expected, error)
        # The comparison says something: the error is small beside the number.
        assert error <= 0.02 * expected, (name, ratio, error)
