"""Law: full keep counts give the dense network back, to rounding, whatever the calibration images."""

import pytest
import torch
from torch import nn

from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.surgery import build_pruned
from mendsearch.errors import CouplingError, DataError
from mendsearch.mending.weights import Weights
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.statistics import input_statistics
from tests.cases.networks import TRAPS
from tests.zoo import NETWORKS, build

UNTRACEABLE = (CouplingError, "channels cannot be traced|nothing in the network is prunable")
REFUSED = {
    "weight_norm": UNTRACEABLE, "all_weight_norm": UNTRACEABLE, "spectral_norm": UNTRACEABLE,
    "old_spectral_norm": UNTRACEABLE, "pixelshuffle_mid": UNTRACEABLE, "cat_reversed": UNTRACEABLE,
    "scripted": UNTRACEABLE, "traced": UNTRACEABLE, "shuffle_v2": UNTRACEABLE, "glu": UNTRACEABLE,
    "single_conv": UNTRACEABLE, "channel_then_spatial": UNTRACEABLE, "csp": UNTRACEABLE,
    "old_weight_norm": (RuntimeError, "deepcopy"), "no_params": (StopIteration, None),
    "two_inputs": (DataError, "missing 1 required positional"), "half": (DataError, "Half"),
    "bfloat16": (DataError, "BFloat16"), "double": (DataError, "Double"),
}  # fmt: skip
"""Networks that the coupling cannot analyse yet, and what it says."""
FAILING = {
    "tied_weights": (ValueError, "tied"), "two_names": (ValueError, "tied"),
    "data_parallel": (RuntimeError, "DataParallel"),
}  # fmt: skip
"""Networks that are analysed and cannot be run as slices yet, and what PyTorch says."""
TOO_SLOW = {"bilinear"}
"""Networks on which the tracing takes half a minute and more."""
IMAGES = {
    "noise": lambda shape: torch.randn(12, *shape),
    "constant": lambda shape: torch.full((8, *shape), 0.3),
    "two": lambda shape: torch.rand(2, *shape) * 3 - 2,
    "sorted": lambda shape: (
        torch.arange(12).div(4, rounding_mode="floor").view(-1, *[1] * len(shape)) + 0.1 * torch.randn(12, *shape)
    ),
    "bytes": lambda shape: torch.randint(0, 256, (6, *shape)).float(),
}


def experienced(factory, shape):
    """In evaluation mode, with batch norms that hold what neither noise nor zeros would give."""
    torch.manual_seed(0)
    model = factory()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            nn.init.normal_(module.running_mean, 0, 0.5)
            nn.init.uniform_(module.running_var, 0.3, 3)
    return model.eval()


def weights_of(model, images, kind):
    coupling = find_coupling(model, images)
    statistics = input_statistics(model, coupling, images, 8)
    ranking = CRITERIA["l1"].rank(RankingInputs(model, coupling, statistics, images, 0))
    return Weights(model, coupling, ranking, statistics, images, kind)


def outputs(model, images):
    with torch.no_grad():
        found = model(images)
    if isinstance(found, dict):
        return list(found.values())
    return list(found) if isinstance(found, tuple) else [found]


def check(model, images, kind):
    """The networks of a trial and of a refined candidate, on other images than those of the calibration."""
    unseen = torch.randn(4, *images.shape[1:], generator=torch.Generator().manual_seed(5))
    expected = outputs(model, unseen)
    weights = weights_of(model, images, kind)
    for state in (weights.of(weights.coupling.widths), weights.refined(weights.coupling.widths)):
        for name, tensor in state.items():
            torch.testing.assert_close(tensor, model.state_dict()[name], rtol=1e-5, atol=1e-6)
        for found, wanted in zip(outputs(build_pruned(model, state), unseen), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("name", sorted(TRAPS.keys() - REFUSED.keys() - FAILING.keys() - TOO_SLOW))
def test_nothing_pruned_gives_the_dense_network_back(name, kind):
    factory, shape = TRAPS[name]
    check(experienced(factory, shape), IMAGES["noise"](shape), kind)


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("images", sorted(IMAGES.keys() - {"noise"}))
@pytest.mark.parametrize("name", ["plain", "shared_head", "recurrent", "shared_norm", "no_bn", "dense_block"])
def test_whatever_the_calibration_images(name, images, kind):
    factory, shape = TRAPS[name]
    check(experienced(factory, shape), IMAGES[images](shape), kind)


@pytest.mark.parametrize("kind", ["sequence", "channels", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_residual_sums_depthwise_and_grouped_convolutions_too(name, kind):
    check(build(name), torch.randn(12, 3, 8, 8) * 2 + 1, kind)


@pytest.mark.parametrize("name", sorted(FAILING))
def test_what_cannot_be_run_as_slices(name):
    factory, shape = TRAPS[name]
    error, message = FAILING[name]
    with pytest.raises(error, match=message):
        weights = weights_of(factory().eval(), IMAGES["noise"](shape), "none")
        weights.of(weights.coupling.widths)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.jit and of the old weight norm
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_the_coupling_refuses(name):
    factory, shape = TRAPS[name]
    error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        find_coupling(factory().eval(), torch.randn(2, *shape))
