"""What candidates cost, the limits on them, and the projection of any proposal onto those limits."""

from mendsearch.budget.costs import CostModel, build_cost_model
from mendsearch.budget.features import Floats
from mendsearch.budget.limits import Limits
from mendsearch.budget.profile import LatencyProfile, read_profile, read_profiles
from mendsearch.budget.projection import project

__all__ = [
    "CostModel",
    "Floats",
    "LatencyProfile",
    "Limits",
    "build_cost_model",
    "project",
    "read_profile",
    "read_profiles",
]
