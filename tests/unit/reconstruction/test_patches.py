"""What a layer multiplies and its matrix give its outputs, whatever its stride, padding and conv groups."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mendsearch.reconstruction.patches import (
    add_to_weight,
    expected_sizes,
    features_of,
    matrix_of,
    outputs_at,
    outputs_of,
    patches_at,
    sample_places,
)

LAYERS = {
    "linear": (nn.Linear(6, 4), (5, 6)),
    "strided": (nn.Conv2d(4, 6, 3, 2, 1, groups=2), (4, 7, 9)),
    "dilated": (nn.Conv1d(4, 3, 3, padding=2, dilation=2), (4, 9)),
    "transposed": (nn.ConvTranspose2d(6, 4, 4, 2, 1), (6, 5, 7)),
    "transposed in groups": (nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1, groups=2), (6, 5, 7)),
    "transposed and dilated": (nn.ConvTranspose1d(5, 3, 5, 3, dilation=2), (5, 6)),
    "transposed, a group a channel": (nn.ConvTranspose3d(4, 4, 2, 2, groups=4), (4, 2, 3, 2)),
    "transposed and cropped": (nn.ConvTranspose2d(3, 2, 2, 1, 2), (3, 6, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_patches_times_the_matrix_are_the_outputs(name: str) -> None:
    layer, shape = LAYERS[name]
    inputs = torch.randn(3, *shape)
    outputs: Tensor = layer(inputs)
    places = sample_places(layer, outputs, 7, torch.Generator().manual_seed(0))
    patches = patches_at(layer, inputs, places)
    matrix = matrix_of(layer)
    assert matrix.shape[2] == features_of(layer)
    assert matrix.shape[0] * matrix.shape[1] == outputs_of(layer)
    found = torch.einsum("ngf,gof->ngo", patches, matrix).flatten(1) + layer.bias
    torch.testing.assert_close(found, outputs_at(layer, outputs, places))
    if "transposed" in name:
        assert expected_sizes(layer, inputs) == outputs.shape[2:]


@pytest.mark.parametrize("name", LAYERS)
def test_a_change_of_the_matrix_is_one_of_the_weight(name: str) -> None:
    layer, _ = LAYERS[name]
    before, change = matrix_of(layer).detach().clone(), torch.randn_like(matrix_of(layer))
    add_to_weight(layer, change)
    torch.testing.assert_close(matrix_of(layer).detach(), before + change)
