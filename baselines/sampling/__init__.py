"""Sequential sampling: the Bayes optimum, the practitioner's tests, and what any policy risks."""

from baselines.sampling.characteristics import Risks
from baselines.sampling.iso2859 import StandardPlan, standard_plan
from baselines.sampling.least_asn import LeastSampleTest, least_sample_test
from baselines.sampling.lot_plans import (
    DoublePlan,
    LotPlan,
    SinglePlan,
    boundary_policy,
    read_plan,
)
from baselines.sampling.model import build_model
from baselines.sampling.optimum import FAMILY, SamplingOptimum, solve
from baselines.sampling.plan_curves import Curves, PlanCurves, curves
from baselines.sampling.plans import (
    SprtLines,
    exact_plan,
    normal_approximation_plan,
    one_sided_test_plan,
    power_sample_size,
    precision_sample_size,
    sprt_lines,
)
from baselines.sampling.reference import risks, sprt_policy
from baselines.sampling.stopping import StoppingBounds, stopping_bounds

__all__ = [
    "FAMILY",
    "Curves",
    "DoublePlan",
    "LeastSampleTest",
    "LotPlan",
    "PlanCurves",
    "Risks",
    "SamplingOptimum",
    "SinglePlan",
    "SprtLines",
    "StandardPlan",
    "StoppingBounds",
    "boundary_policy",
    "build_model",
    "curves",
    "exact_plan",
    "least_sample_test",
    "normal_approximation_plan",
    "one_sided_test_plan",
    "power_sample_size",
    "precision_sample_size",
    "read_plan",
    "risks",
    "solve",
    "sprt_lines",
    "sprt_policy",
    "standard_plan",
    "stopping_bounds",
]
