"""Files run where there is neither mendsearch nor the network's code: in a process that cannot import them."""

import pytest
import torch

import mendsearch
from bench.without_code import RUN, run_without_code
from examples.user_model.net import make_network
from mendsearch.models.registry import build_model

NETWORKS = {
    "user_model": (lambda: make_network(width=12), (1, 16, 16)),
    "digits-resnet": (lambda: build_model("digits-resnet", {"width": 8}), (1, 8, 8)),
    "mobilenet_v3_small": (lambda: build_model("torchvision:mobilenet_v3_small", {"num_classes": 7}), (3, 64, 64)),
}


@pytest.mark.parametrize("format", RUN)
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_file_runs_in_a_process_without_the_code(tmp_path, name, format):
    make, shape = NETWORKS[name]
    model, images = make().eval(), torch.randn(6, *shape)
    written = mendsearch.export(model, tmp_path / f"net.{format}", images[:2])
    (found,) = run_without_code(written.path, images, tmp_path)
    torch.testing.assert_close(found, model(images), rtol=1e-3, atol=1e-4)
