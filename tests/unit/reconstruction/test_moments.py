"""Second moments of a layer's regression."""

import torch

from mendsearch.reconstruction.moments import BLOCK, Moments


def test_the_gram_matrix_of_many_features_is_made_of_blocks():
    torch.manual_seed(0)
    patches, missing = torch.randn(2, 40, 2 * BLOCK + 75), torch.randn(2, 40, 3)
    expected = patches.double().transpose(1, 2) @ patches.double() / 40
    torch.testing.assert_close(Moments.of(patches, missing).gram, expected, rtol=1e-4, atol=1e-5)
