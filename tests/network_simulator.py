"""The network of Yang (2010), item by item: what the steady state of ``qc_gym.kstage`` is to meet.

Each item is conforming or not, as drawn. New items pass the stages; lots are drawn at random from the
pool, without replacement, and so are their samples. The pool is kept at its size by new items, so
that as many enter as conforming items are used by the customer. Nothing here knows a formula of the
steady state.

Inspectors may err: they judge a conforming item nonconforming with probability ``false_alarm`` and a
nonconforming one conforming with ``miss``, each time anew. The customer finds what is nonconforming.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

POOLED, DELIVERED, DELIVERED_BAD, USED, INSPECTED_1, INSPECTED_2, INSPECTED_3, REWORKED = range(8)
POOL_BAD = 8
COUNTS = 9
"""What is counted in each batch of lots; the last, nonconforming items among the pooled."""


def simulate_network(
    fraction_defective: float,
    rework_fraction_defective: float,
    lot_size: int,
    sample_size: int,
    stages: int,
    *,
    false_alarm: float = 0.0,
    miss: float = 0.0,
    lots_in_pool: int,
    batches: int,
    lots_in_batch: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return what was counted in each batch of lots, (batches, COUNTS).

    The pool begins with new items only; as many lots pass, before anything is counted, as make it
    over ten times.
    """
    generator = np.random.default_rng(seed)
    counts = np.zeros((batches, COUNTS))
    _simulate(
        generator,
        fraction_defective,
        rework_fraction_defective,
        lot_size,
        sample_size,
        stages,
        false_alarm,
        miss,
        np.zeros(lots_in_pool * lot_size, np.bool_),
        10 * lots_in_pool,
        lots_in_batch,
        counts,
    )
    return counts


@njit
def _simulate(  # type: ignore[no-untyped-def]
    generator,
    p0,
    pr,
    lot_size,
    sample_size,
    stages,
    false_alarm,
    miss,
    pool,
    warm_up,
    lots_in_batch,
    counts,
):
    errors = (false_alarm, miss)
    scratch = np.zeros(COUNTS)
    for i in range(len(pool)):
        pool[i] = _new_item(generator, p0, pr, stages, errors, scratch)
    for _ in range(warm_up):
        _pass_lot(generator, p0, pr, lot_size, sample_size, stages, errors, pool, scratch)
    for batch in range(len(counts)):
        for _ in range(lots_in_batch):
            _pass_lot(generator, p0, pr, lot_size, sample_size, stages, errors, pool, counts[batch])


@njit
def _is_judged_bad(generator, is_bad, errors):  # type: ignore[no-untyped-def]
    """Return what an inspector says of an item; ``errors`` are (false_alarm, miss)."""
    false_alarm, miss = errors
    return generator.random() >= miss if is_bad else generator.random() < false_alarm


@njit
def _new_item(generator, p0, pr, stages, errors, counts):  # type: ignore[no-untyped-def]
    """Make an item and take it through the stages (Figure 1). Return whether it is nonconforming."""
    is_bad = generator.random() < p0
    for _ in range(stages):
        counts[INSPECTED_1] += 1
        if not _is_judged_bad(generator, is_bad, errors):
            break
        counts[REWORKED] += 1
        is_bad = generator.random() < pr
    return is_bad


@njit
def _pass_lot(  # type: ignore[no-untyped-def]
    generator, p0, pr, lot_size, sample_size, stages, errors, pool, counts
):
    """Draw a lot from the pool, inspect it, and put back what belongs into the pool (Figure 2)."""
    size = len(pool)
    for i in range(lot_size):  # the lot is moved to the end of the pool, in random order
        last = size - 1 - i
        chosen = int(generator.random() * (last + 1))
        pool[chosen], pool[last] = pool[last], pool[chosen]
        counts[POOL_BAD] += pool[last]
    counts[POOLED] += lot_size
    counts[INSPECTED_2] += sample_size
    accepted = True
    for i in range(sample_size):
        if _is_judged_bad(generator, pool[size - 1 - i], errors):
            accepted = False
    for i in range(size - lot_size, size):
        if accepted:
            counts[DELIVERED] += 1
            counts[DELIVERED_BAD] += pool[i]
            is_returned = pool[i]  # the customer does not err
        else:
            counts[INSPECTED_3] += 1
            is_returned = _is_judged_bad(generator, pool[i], errors)
        if is_returned:
            counts[REWORKED] += 1
            pool[i] = generator.random() < pr
        elif accepted:
            counts[USED] += 1
            pool[i] = _new_item(generator, p0, pr, stages, errors, counts)
