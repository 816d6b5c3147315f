import weakref

import pytest
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.coupling.graph import find_coupling
from mendsearch.coupling.trace import Trace
from mendsearch.coupling.tracing import Tracer


class Watching(nn.Module):
    """Sees whether a feature map that it has let go of is still there."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc, self.alive = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4), []

    def forward(self, x):
        x = self.a(x)
        seen = weakref.ref(x)
        x = torch.relu(x)
        x = self.b(x)
        self.alive.append(seen() is not None)
        return self.fc(x.mean((2, 3)))


def test_tensors_are_freed_while_a_network_is_traced_and_checked():
    model = Watching().eval()
    coupling = find_coupling(model, torch.randn(2, 3, 8, 8))
    assert coupling.names == ("a", "b")
    assert len(model.alive) > 3
    assert not any(model.alive)


def test_all_that_an_operator_that_fails_was_given_is_known_what_inputs_have_a_part_in_first():
    model, inputs = nn.Linear(3, 4), torch.randn(2, 3)
    tracer = Tracer(model, Trace())
    tracer.give(Batch.of(inputs))
    with pytest.raises(RuntimeError, match="must match"), tracer.following():
        model.weight[:, :2] + model(inputs).repeat(2, 1)
    of_inputs, given = tracer.failed
    assert (len(of_inputs), len(given)) == (1, 2)
    assert list(of_inputs[0].axes) == [1]
