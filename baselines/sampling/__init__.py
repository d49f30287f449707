"""Sequential sampling: the Bayes optimum, the practitioner's tests, and what any policy risks."""

from baselines.sampling.characteristics import Risks
from baselines.sampling.least_asn import LeastSampleTest, least_sample_test
from baselines.sampling.model import build_model
from baselines.sampling.optimum import FAMILY, SamplingOptimum, solve
from baselines.sampling.plans import (
    SingleSamplingPlan,
    SprtLines,
    exact_plan,
    normal_approximation_plan,
    one_sided_test_plan,
    power_sample_size,
    precision_sample_size,
    sprt_lines,
)
from baselines.sampling.reference import (
    boundary_policy,
    risks,
    single_plan_policy,
    sprt_policy,
)
from baselines.sampling.stopping import StoppingBounds, stopping_bounds

__all__ = [
    "FAMILY",
    "LeastSampleTest",
    "Risks",
    "SamplingOptimum",
    "SingleSamplingPlan",
    "SprtLines",
    "StoppingBounds",
    "boundary_policy",
    "build_model",
    "exact_plan",
    "least_sample_test",
    "normal_approximation_plan",
    "one_sided_test_plan",
    "power_sample_size",
    "precision_sample_size",
    "risks",
    "single_plan_policy",
    "solve",
    "sprt_lines",
    "sprt_policy",
    "stopping_bounds",
]
