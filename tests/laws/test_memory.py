"""Law: `activation_bytes` are what the network that is built really holds at once, for one item."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import TensorWeakRef

from mendsearch.budget import build_cost_model
from mendsearch.coupling.copying import dtype_of
from mendsearch.modes import plain_attention
from tests.laws.networks import WITH_GROUPS, analysed, built_candidates, cast, inputs_of

OTHERWISE = {"patches", "einsum", "made_within", "rms_norms"}
"""One item takes other copies than two, with which networks are traced; norms that run in parts are traced as a whole."""


class Held(TorchDispatchMode):
    """Counts the values in memory after every operator, whatever made them."""

    def __init__(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0.0
        self._own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
        self._seen = [TensorWeakRef(tensor) for tensor in inputs]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._seen += [TensorWeakRef(leaf) for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        alive = {}
        for seen in self._seen:
            if (tensor := seen()) is not None:
                storage = tensor.untyped_storage()
                alive[storage.data_ptr()] = storage.nbytes() / tensor.element_size()
        self.most = max(self.most, sum(values for pointer, values in alive.items() if pointer not in self._own))
        return out


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", WITH_GROUPS)
@torch.no_grad()
def test_activation_bytes_are_what_the_built_network_holds_at_once(name: str) -> None:
    model, coupling = analysed(name)
    costs = build_cost_model(model, coupling)
    for counts, built in built_candidates(name):
        inputs = cast(model, inputs_of(name, items=1))
        with plain_attention(), Held(built, inputs) as held:
            built(*inputs)
        found = float(costs.costs(counts, ("activation_bytes",))["activation_bytes"]) / dtype_of(model).itemsize
        assert found == pytest.approx(held.most, rel=0.5 if name in OTHERWISE else 2e-3)  # statistics of norms
