"""Law: full keep counts give the dense network back, to rounding, whatever the calibration images."""

import pytest
import torch

from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.surgery import build_pruned
from mendsearch.mending.weights import Weights
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.statistics import input_statistics
from tests.laws.networks import CASES, WITH_GROUPS, analysed, cast, tensors
from tests.zoo import NETWORKS, build

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.jit and of the old weight norm
SEVERAL_INPUTS = {"two_inputs"}
"""The search takes one tensor of images."""

IMAGES = {
    "noise": lambda shape: torch.randn(12, *shape),
    "constant": lambda shape: torch.full((8, *shape), 0.3),
    "two": lambda shape: torch.rand(2, *shape) * 3 - 2,
    "sorted": lambda shape: (
        torch.arange(12).div(4, rounding_mode="floor").view(-1, *[1] * len(shape)) + 0.1 * torch.randn(12, *shape)
    ),
    "bytes": lambda shape: torch.randint(0, 256, (6, *shape)).float(),
}


def weights_of(model, images, kind):
    coupling = find_coupling(model, images)
    statistics = input_statistics(model, coupling, images, 8)
    ranking = CRITERIA["l1"].rank(RankingInputs(model, coupling, statistics, images, 0))
    return Weights(model, coupling, ranking, statistics, images, kind)


def outputs(model, inputs):
    with torch.no_grad():
        return tensors(model(*cast(model, inputs)))


def check(model, images, kind):
    """The networks of a trial and of a refined candidate, on other images than those of the calibration."""
    unseen = torch.randn(4, *images.shape[1:], generator=torch.Generator().manual_seed(5))
    expected = outputs(model, (unseen,))
    weights = weights_of(model, images, kind)
    for state in (weights.of(weights.coupling.widths), weights.refined(weights.coupling.widths)):
        for name, tensor in state.items():
            torch.testing.assert_close(tensor, model.state_dict()[name], rtol=1e-5, atol=1e-6)
        built = build_pruned(model, state, weights.slicer.sizes(state))
        for found, wanted in zip(outputs(built, (unseen,)), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("name", [name for name in WITH_GROUPS if name not in SEVERAL_INPUTS])
def test_nothing_pruned_gives_the_dense_network_back(name, kind):
    check(analysed(name)[0], IMAGES["noise"](CASES[name][1]), kind)


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("images", sorted(IMAGES.keys() - {"noise"}))
@pytest.mark.parametrize("name", ["plain", "shared_head", "recurrent", "shared_norm", "no_bn", "dense_block"])
def test_whatever_the_calibration_images(name, images, kind):
    check(analysed(name)[0], IMAGES[images](CASES[name][1]), kind)


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_residual_sums_depthwise_and_grouped_convolutions_too(name, kind):
    check(build(name), torch.randn(12, 3, 8, 8) * 2 + 1, kind)
