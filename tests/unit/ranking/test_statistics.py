import pytest
import torch
from torch import nn

from mendsearch.coupling.graph import find_coupling
from mendsearch.ranking.statistics import input_statistics
from tests.zoo import IMAGES, build


def seen_by(model, layer, select=lambda x: x):
    kept = []
    handle = model.get_submodule(layer).register_forward_pre_hook(lambda _m, inputs: kept.append(select(inputs[0])))
    with torch.no_grad():
        model(IMAGES)
    handle.remove()
    return kept[0]


def test_moments_are_those_of_the_inputs_over_images_and_positions():
    model = build("residual")
    found = input_statistics(model, find_coupling(model, IMAGES), IMAGES, batch_size=10)["layer1.0.conv2"]
    x = seen_by(model, "layer1.0.conv2").permute(0, 2, 3, 1).flatten(0, 2).double()
    torch.testing.assert_close(found.mean, x.mean(0), rtol=1e-5, atol=1e-6)
    ridge = found.covariance.diagonal().mean() - torch.cov(x.T, correction=0).diagonal().mean()
    unit = ridge * torch.eye(x.shape[1])
    torch.testing.assert_close(found.gram(centred=False), x.T @ x / len(x) + unit, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.gram(centred=True), torch.cov(x.T, correction=0) + unit, rtol=1e-4, atol=1e-5)
    assert ridge >= 0


@pytest.mark.parametrize(("images", "least", "most"), [(24, 3e-2, 20.0), (2000, -1e-6, 2e-2)])
def test_the_ridge_is_what_held_out_images_ask_for(images, least, most):
    """40 features, one row an image: from 24 images half of them seem to explain the others, and do not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.Linear(40, 4)).eval()
    coupling = find_coupling(model, torch.zeros(1, 64, 1, 1))
    x = torch.randn(images, 64, 1, 1)
    found = input_statistics(model, coupling, x, 32)["2"]
    with torch.no_grad():
        read = model[1](x.flatten(1)).double()
    added = (found.covariance - torch.cov(read.T, correction=0)).diagonal().mean() / read.var(0).mean()
    assert least <= added <= most


def test_images_that_belong_together_are_held_out_together():
    """Twenty copies of every image tell nothing new of the others: the ridge is that of the images themselves."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.Linear(40, 4)).eval()
    coupling = find_coupling(model, torch.zeros(1, 64, 1, 1))
    once = torch.randn(24, 64, 1, 1)
    copies, groups = once.repeat(20, 1, 1, 1), torch.arange(24).repeat(20)
    wanted = input_statistics(model, coupling, once, 32)["2"].covariance
    together = input_statistics(model, coupling, copies, 32, groups=groups)["2"].covariance
    apart = input_statistics(model, coupling, copies, 32)["2"].covariance
    torch.testing.assert_close(together, wanted, rtol=1e-4, atol=1e-5)
    assert apart.trace() < wanted.trace()


def test_a_strided_1x1_convolution_counts_only_the_positions_it_reads():
    model = build("residual")
    found = input_statistics(model, find_coupling(model, IMAGES), IMAGES, 32)["layer2.0.shortcut.0"]
    x = seen_by(model, "layer2.0.shortcut.0", lambda x: x[:, :, ::2, ::2]).permute(0, 2, 3, 1).flatten(0, 2).double()
    torch.testing.assert_close(found.mean, x.mean(0), rtol=1e-5, atol=1e-6)


def test_a_linear_layer_after_flatten_has_a_moment_a_feature():
    model = build("flattened")
    found = input_statistics(model, find_coupling(model, IMAGES), IMAGES, 32)["fc1"]
    assert found.covariance.shape == (128, 128)
    assert found.covariance.dtype == torch.float64


def test_channels_that_hardly_vary_about_a_large_mean_keep_their_precision():
    """In single precision, about zero, the variance of such a channel would drown: 1e4 squared is 1e8, its variance 1."""
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 4)).eval()
    with torch.no_grad():
        model[0].bias.fill_(1e4)
    found = input_statistics(model, find_coupling(model, IMAGES), IMAGES, 32)["1"]
    x = seen_by(model, "1").permute(0, 2, 3, 1).flatten(0, 2).double()
    torch.testing.assert_close(found.gram(centred=True), torch.cov(x.T, correction=0), rtol=1e-3, atol=1e-4)
    assert torch.linalg.eigvalsh(found.gram(centred=True)).min() > -1e-4


@pytest.mark.parametrize("training", [True, False])
def test_the_network_and_its_mode_are_left_alone(training):
    model = build("residual").train(training)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    input_statistics(model, find_coupling(model, IMAGES), IMAGES, 32)
    assert model.training is training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())
