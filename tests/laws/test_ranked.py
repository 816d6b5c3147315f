"""Law: every accepted network is ranked, by gradients where its outputs have some, and left as it was."""

import numpy as np
import pytest
import torch

from mendsearch.coupling.copying import state_of
from mendsearch.mending.search import Problem, rank_channels
from mendsearch.prepruning import error_curves
from mendsearch.progress import Reporter
from tests.laws.networks import CASES, WITH_GROUPS, analysed

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.jit and of the old weight norm
SEVERAL_INPUTS = {"two_inputs"}


@pytest.mark.parametrize("name", [name for name in WITH_GROUPS if name not in SEVERAL_INPUTS])
def test_its_curves_fall_to_nothing_and_it_is_left_as_it_was(name):
    model, coupling = analysed(name)[:2]
    state = {key: tensor.clone() for key, tensor in state_of(model).items()}
    asked = {key: parameter.requires_grad for key, parameter in model.named_parameters()}
    images = torch.randn(12, *CASES[name][1], generator=torch.Generator().manual_seed(0))
    ranking, statistics = rank_channels(Problem(model, coupling, None), images, "gram", 0, Reporter(quiet=True))
    for curve in [curve for kind in error_curves(model, coupling, ranking, statistics) for curve in kind]:
        assert np.isfinite(curve).all()
        assert (np.diff(curve) <= 1e-9).all()
        assert curve[-1] == pytest.approx(0, abs=1e-9)
    for key, tensor in state_of(model).items():
        assert torch.equal(tensor, state[key])
    assert {key: parameter.requires_grad for key, parameter in model.named_parameters()} == asked
    assert all(parameter.grad is None for parameter in model.parameters())
