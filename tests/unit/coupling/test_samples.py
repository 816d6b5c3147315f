import pytest
import torch
from torch import nn

from mendsearch.coupling import samples
from mendsearch.coupling.samples import Sample, outputs_noted


def test_tensors_that_differ_or_have_another_shape_are_not_close():
    tensor = torch.randn(2, 6, 4, 4)
    one = Sample.of(tensor)
    assert one.close_to(Sample.of(tensor * (1 + 1e-6)))
    assert not one.close_to(Sample.of(tensor + 0.1))
    assert not one.close_to(Sample.of(tensor.reshape(2, 4, 6, 4)))
    assert not one.close_to(Sample.of(torch.where(tensor == tensor.max(), torch.inf, tensor)))


@pytest.mark.parametrize("shape", [(2, 96, 8, 8), (2, 64, 96), (3, 5, 7)])
@pytest.mark.parametrize("dim", [1, -1])
def test_a_sample_sees_every_channel_of_a_large_tensor(monkeypatch, shape, dim):
    monkeypatch.setattr(samples, "SAMPLE", 1000)
    tensor = torch.ones(shape)
    assert len(Sample.of(tensor).values) <= 1000
    for channel in range(shape[dim]):
        other = tensor.index_fill(dim, torch.tensor([channel]), 2.0)
        assert not Sample.of(other).close_to(Sample.of(tensor))


def test_what_is_noted_stays_when_a_module_behind_it_changes_it_in_place():
    model, noted = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)), []
    with torch.no_grad(), outputs_noted(model, noted):
        outputs = model(torch.randn(5, 3))
    assert [name for name, _ in noted] == ["0", "1", ""]
    assert torch.equal(noted[1][1][0].values, outputs.flatten())
    assert (noted[0][1][0].values < 0).any()
