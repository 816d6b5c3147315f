import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mendsearch.coupling.graph import find_coupling, trace_network
from mendsearch.coupling.grouping import coupling_of
from mendsearch.coupling.probe import bears_channels_last, find_fault
from tests.cases.attention_networks import ATTENTION
from tests.zoo import IMAGES, NETWORKS, build, conv


def traced(model):
    trace = trace_network(model, (IMAGES[:2],), {})
    return trace, coupling_of(model, trace, [])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_zoo_has_no_fault(name):
    model = build(name).train()
    trace, coupling = traced(model)
    assert find_fault(model, coupling, trace, (IMAGES[:2],)) is None
    assert model.training


class Reshaping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], 8, 64).mean(2)


class HardCoded(nn.Module):
    """Writes a channel count into its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.inner = Reshaping()
        self.last = nn.Linear(8, 6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(self.inner(self.stem(x))))


def test_a_size_written_into_the_forward_pass_keeps_its_layer_whole_and_names_the_module():
    coupling = find_coupling(HardCoded().eval(), IMAGES)
    assert [group.name for group in coupling.groups] == ["last"]
    assert "fails once channels go, in `inner`: RuntimeError: shape '[2, 8, 64]' is invalid" in coupling.whole["stem.0"]


class Reduced(nn.Module):
    """Keys of a reduced map, as in spatial-reduction attention: the view writes their width down."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.key = nn.Conv2d(8, 8, 3, 2), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.key(self.reduce(x).reshape(len(x), 8, -1).mean(2))


def test_a_view_that_fails_blames_what_it_was_given_and_not_what_its_module_reads():
    model = nn.Sequential(conv(3, 8), Reduced(), nn.Linear(6, 4)).eval()
    coupling = find_coupling(model, IMAGES)
    assert [group.name for group in coupling.groups] == ["0.0", "1.key"]
    assert "fails once channels go, in `1`" in coupling.whole["1.reduce"]


class Biased(nn.Module):
    """Attention of two heads with a bias that layers compute from a table, which is no input."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.one, self.two = torch.ones(16, 3), nn.Linear(3, 6), nn.Linear(6, 2)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = F.adaptive_avg_pool2d(x, 2).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(tokens).view(len(x), 4, 2, 12).transpose(1, 2).chunk(3, 3)
        bias = self.two(self.one(self.table)).view(4, 4, 2).permute(2, 0, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, bias.repeat(len(x), 1, 1, 1))
        return self.out(mixed.transpose(1, 2).reshape(len(x), 4, 8)).mean(1)


def test_a_computed_bias_of_fused_attention_keeps_as_many_heads_as_there_are():
    model = nn.Sequential(conv(3, 8), Biased(), nn.Linear(6, 4)).eval()
    coupling = find_coupling(model, IMAGES)
    assert {"0.0", "1.one", "1.out"} == {group.name for group in coupling.groups}
    assert "meets a tensor whose size does not follow in `1`" in coupling.whole["1.two"]


class Chaotic(nn.Module):
    """What rounding leaves of a sum, as which boxes a detector keeps may hang on it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.fc = conv(3, 64), conv(64, 48), nn.Linear(48, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.fc(self.inner(self.stem(x)).mean((2, 3)))
        return {"logits": logits, "rest": (logits * 2**24).sin()}


def test_what_rounding_alone_changes_is_not_held_against_the_channels():
    coupling = find_coupling(Chaotic().eval(), IMAGES)
    assert coupling.names == ("stem.0", "inner.0")


class Crossed(nn.Module):
    """The halves of a convolution's channels, put together the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.stem(x).chunk(2, 1)
        return self.fc(torch.cat([second, first], 1).mean((2, 3)))


def test_halves_that_change_places_lose_the_same_places():
    coupling = find_coupling(Crossed().eval(), IMAGES)
    assert dict(coupling.axes["stem.0.weight"])[0].unit.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert dict(coupling.axes["fc.weight"])[1].unit.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_what_a_wrong_rule_would_do_is_found_in_the_module_that_reads_it(monkeypatch: pytest.MonkeyPatch):
    """Flipped channels that are labelled as if they had stayed: every shape fits, every value is wrong."""
    from mendsearch.coupling.rules.base import RULES

    class Flipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.last, self.fc = conv(3, 8), conv(8, 6), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.last(self.stem(x).flip(1)).mean((2, 3)))

    monkeypatch.setitem(RULES, "flip", RULES["clone"])
    model = Flipped().eval()
    trace, coupling = traced(model)
    fault = find_fault(model, coupling, trace, (IMAGES[:2],))
    assert fault is not None
    assert fault.reason.endswith("in `last.0`")
    assert set(trace.places["stem.0.weight", 0]) <= set(fault.units)
    whole = find_coupling(model, IMAGES).whole
    assert whole["stem.0"] == fault.reason
    assert "last.0" not in whole


def test_channels_that_are_zero_in_this_network_are_checked_too(monkeypatch: pytest.MonkeyPatch):
    """As a norm that starts at zero makes them; the noise of the probe shows the wrong rule all the same."""
    from mendsearch.coupling.rules.base import RULES

    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.last, self.fc = conv(3, 8), conv(8, 6), nn.Linear(6, 4)
            nn.init.zeros_(self.stem[1].weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.last(self.stem(x).flip(1)).mean((2, 3)))

    monkeypatch.setitem(RULES, "flip", RULES["clone"])
    model = Silent().eval()
    trace, coupling = traced(model)
    assert find_fault(model, coupling, trace, (IMAGES[:2],)) is not None


class Overflowing(nn.Module):
    """Divides by zero once channels go: every shape fits, no value is finite."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last, self.fc = conv(3, 8), conv(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fc(self.last(x / float(x.shape[1] == 8)).mean((2, 3)))


def test_slices_that_are_not_finite_where_the_dense_network_is_are_a_fault():
    coupling = find_coupling(Overflowing().eval(), IMAGES)
    assert [group.name for group in coupling.groups] == ["last.0"]
    assert "slices do not give what the dense network gives" in coupling.whole["stem.0"]


def test_a_view_of_a_map_does_not_bear_channels_last():
    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.fc = conv(3, 8), nn.Linear(8 * 64, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.stem(x).view(len(x), -1))

    for model, bears in ((Viewed().eval(), False), (build("residual"), True)):
        coupling = find_coupling(model, IMAGES)
        assert coupling.channels_last == bears == bears_channels_last(model, coupling, (IMAGES[:2],))
        assert np.all(coupling.widths > 1)


def test_the_scale_of_attention_that_runs_as_products_keeps_its_queries_alone():
    """Values wider than the queries: the operator is not one to the dispatcher, and hides what it divides by."""
    make, shape = ATTENTION["narrow_queries"]
    torch.manual_seed(0)
    coupling = find_coupling(make().eval(), torch.randn(2, *shape))
    assert all("scaled by the width of its queries" in coupling.whole[layer] for layer in ("q", "k"))
    assert any("v" in group.layers for group in coupling.groups)


class Squeezed(nn.Module):
    """`squeeze()` takes away every axis of size 1, so that a single channel goes with the axes of the map."""

    def __init__(self, width: int, residual: bool) -> None:
        super().__init__()
        self.stem, self.block, self.fc = conv(3, width), conv(width, width), nn.Linear(width, 4)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.block(x) if self.residual else self.block(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).squeeze())


@pytest.mark.parametrize("residual", [False, True])
def test_what_a_single_channel_breaks_keeps_two(residual):
    model = Squeezed(8, residual).eval()
    coupling = find_coupling(model, IMAGES)
    steps = {group.name: group.step for group in coupling.groups}
    assert steps == ({"stem.0": 2} if residual else {"stem.0": 1, "block.0": 2})
    assert coupling.whole.keys() == {"fc"}
    assert list(coupling.steps(4)) == [4] * len(steps)
    assert list(coupling.steps(16)) == list(steps.values())
    trace = trace_network(model, (IMAGES[:2],), {})
    assert find_fault(model, coupling, trace, (IMAGES[:2],)) is None


def test_an_odd_width_that_bears_no_single_channel_stays_whole():
    coupling = find_coupling(Squeezed(7, False).eval(), IMAGES)
    assert coupling.names == ("stem.0",)
    assert "fails once channels go" in coupling.whole["block.0"]
