from threading import Barrier, Thread

import pytest
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.modes import bears_fast_passes, evaluating, plain_attention, unchanged


@pytest.fixture(autouse=True)
def fast():
    torch.backends.mha.set_fastpath_enabled(True)


def test_attention_shows_its_layers_while_a_network_is_evaluated():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train()
    ran = []
    model.linear2.register_forward_pre_hook(lambda *_: ran.append("linear2"))
    model.self_attn.train(False)
    with pytest.raises(ValueError, match="stop"), torch.no_grad(), evaluating(model):
        assert not torch.backends.mha.get_fastpath_enabled()
        assert not model.training
        model(torch.randn(1, 3, 8))
        raise ValueError("stop")
    assert ran == ["linear2"]
    assert torch.backends.mha.get_fastpath_enabled()
    assert model.training
    assert not model.self_attn.training


def test_threads_that_overlap_put_the_setting_back():
    first, second = Barrier(2, timeout=10), Barrier(2, timeout=10)

    def opens_first():
        with plain_attention():
            first.wait()
            second.wait()

    thread = Thread(target=opens_first)
    thread.start()
    first.wait()
    with plain_attention():
        second.wait()
        thread.join()
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.pair = nn.Linear(4, 3), nn.Bilinear(3, 3, 2)

    def forward(self, x):
        x = self.first(x)
        return self.pair(x, x)


@pytest.mark.parametrize(("model", "bears"), [(nn.Linear(4, 3), True), (Pairs(), False)])
def test_a_network_whose_operators_take_one_dtype_only_gets_no_passes_in_another(monkeypatch, model, bears):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert bears_fast_passes(model, Batch.of(torch.randn(2, 4))) is bears


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("average", torch.zeros(4))

    def forward(self, x):
        self.passes += 1
        self.average = 0.9 * self.average + 0.1 * x.mean(0)
        return x - self.average


def test_buffers_that_passes_change_are_put_back():
    model, x = nn.Sequential(Counts(), nn.Linear(4, 2)), torch.randn(3, 4)
    before = model[0].average
    with pytest.raises(ValueError, match="stop"), unchanged(model):
        model(x)
        raise ValueError("stop")
    assert model[0].average is before
    assert (model[0].passes, model[0].average.tolist()) == (0, [0.0] * 4)
