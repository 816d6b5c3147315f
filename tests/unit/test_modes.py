import pytest
import torch
from torch import nn

from mendsearch.modes import evaluating, fast_attention


def test_attention_shows_its_layers_while_a_network_is_evaluated():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train()
    ran = []
    model.linear2.register_forward_pre_hook(lambda *_: ran.append("linear2"))
    model.self_attn.train(False)
    with pytest.raises(ValueError, match="stop"), fast_attention(True), torch.no_grad():
        with evaluating(model):
            assert not torch.backends.mha.get_fastpath_enabled()
            assert not model.training
            model(torch.randn(1, 3, 8))
        assert ran == ["linear2"]
        assert torch.backends.mha.get_fastpath_enabled()
        assert model.training
        assert not model.self_attn.training
        raise ValueError("stop")
    assert torch.backends.mha.get_fastpath_enabled()
