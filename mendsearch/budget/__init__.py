"""What candidates cost, the limits on them, and the projection of any proposal onto those limits."""

from mendsearch.budget.costs import CostModel, Floats, build_cost_model
from mendsearch.budget.limits import Limits
from mendsearch.budget.projection import project

__all__ = ["CostModel", "Floats", "Limits", "build_cost_model", "project"]
