import weakref

import torch
from torch import nn

from mendsearch.coupling.graph import find_coupling


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
