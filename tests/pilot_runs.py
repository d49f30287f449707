"""Small pilot runs for tests."""

from typing import Any

from hypothesis import strategies as st

from qc_gym.pilot.scenario import PilotRunScenario

Rate = float | dict[str, float]


def pilot_run(
    rates: tuple[Rate, Rate, Rate],
    max_samples: tuple[int, int, int],
    sample_costs: tuple[float, float, float] = (1.0, 2.0, 3.0),
    **fields: Any,
) -> PilotRunScenario:
    """Return a pilot run with the costs of the contest's first case."""
    tests = [
        {"defect_rate": rate, "max_samples": most, "sample_cost": cost}
        for rate, most, cost in zip(rates, max_samples, sample_costs, strict=True)
    ]
    product = {
        "children": ["one", "two"],
        "assembly_cost": 6.0,
        "inspection_cost": 3.0,
        "dismantle_cost": 5.0,
    }
    scenario = PilotRunScenario.parse(
        {
            "price": 56.0,
            "return_loss": 6.0,
            "order_size": 100,
            "nodes": {
                "one": {"purchase_cost": 4.0, "inspection_cost": 2.0, **tests[0]},
                "two": {"purchase_cost": 18.0, "inspection_cost": 3.0, **tests[1]},
                "both": {**product, **tests[2]},
            },
            **fields,
        }
    )
    assert isinstance(scenario, PilotRunScenario)
    return scenario


def beta(a: float, b: float) -> Rate:
    """Return a Beta prior."""
    return {"a": a, "b": b}


@st.composite
def pilot_runs(draw: st.DrawFn, most: int = 4) -> PilotRunScenario:
    """Draw a pilot run in which one part's rate, at least, is known."""
    priors = st.builds(beta, st.floats(0.3, 6.0), st.floats(1.2, 12.0))
    known = st.sampled_from((0.0, 0.05, 0.3))
    one, two = draw(st.permutations((draw(known), draw(st.one_of(known, priors)))))
    rates = one, two, draw(st.one_of(known, priors))
    sizes = tuple(0 if isinstance(rate, float) else draw(st.integers(0, most)) for rate in rates)
    money = st.floats(0.0, 20.0)
    return pilot_run(
        rates,
        sizes,  # type: ignore[arg-type]
        (draw(money), draw(money), draw(money)),
        order_size=draw(st.integers(1, 2000)),
        return_loss=draw(st.floats(0.0, 60.0)),
    )
