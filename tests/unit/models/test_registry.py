import pytest
import torch

from mendsearch.errors import ModelError
from mendsearch.models.registry import build_model, complete_kwargs


def test_built_in_networks_take_depth_and_width():
    kwargs = complete_kwargs("cifar-resnet", {"depth": 20}, num_classes=7, in_channels=1)
    assert kwargs == {"depth": 20, "num_classes": 7, "in_channels": 1}
    model = build_model("cifar-resnet", kwargs).eval()
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 7)
    assert sum(p.numel() for p in build_model("cifar-resnet", {}).parameters()) == 272_474  # He et al.: 0.27 M
    assert build_model("digits-resnet", {"width": 5})(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_torchvision_takes_the_number_of_classes_from_the_data():
    data = {"num_classes": 5, "in_channels": 3}
    assert complete_kwargs("torchvision:resnet18", {}, **data) == {"num_classes": 5}
    assert complete_kwargs("torchvision:resnet18", {"num_classes": 6}, **data) == {"num_classes": 6}
    assert complete_kwargs("torchvision:resnet18", {"weights": None}, **data) == {"weights": None}
    assert build_model("torchvision:resnet18", {"num_classes": 6}).fc.out_features == 6


def test_torchvision_downloads_no_weights_of_a_backbone(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # a download would land here, or fail
    model = build_model("torchvision:lraspp_mobilenet_v3_large", {"num_classes": 4}).eval()
    assert model(torch.zeros(1, 3, 64, 64))["out"].shape == (1, 4, 64, 64)
    assert not list(tmp_path.rglob("*"))


def test_an_import_path_is_found_from_the_working_directory(inside):
    (inside / "mine.py").write_text(
        "import torch\ndef make(width, num_classes): return torch.nn.Linear(width, num_classes)\nnot_one = 3\n"
        "def other(): return 'no module'\ndef bad(): raise KeyError('inner')\n"
    )
    kwargs = complete_kwargs("mine:make", {"width": 3}, num_classes=4, in_channels=1)
    assert kwargs == {"width": 3, "num_classes": 4}
    model = build_model("mine:make", kwargs)
    assert (model.in_features, model.out_features) == (3, 4)
    for name, message in {
        "mine:missing": "has no `missing`",
        "mine:not_one": "expected a callable",
        "mine:other": "expected a torch.nn.Module",
        "mine:bad": "KeyError: 'inner'",
        "nowhere_at_all:make": "does not import",
    }.items():
        with pytest.raises(ModelError, match=message):
            build_model(name, {})


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("nosuch", {}, "'nosuch' is unknown; expected digits-resnet.*factory$"),
        ("resnet18", {}, "'resnet18' is unknown; expected digits-resnet.*; did you mean torchvision:resnet18\\?"),
        ("torchvision:resnet1800", {}, "did you mean torchvision:resnet18\\?"),
        ("cifar_resnet", {}, "did you mean cifar-resnet\\?"),
        ("cifar-resnet", {"depth": 21}, "got depth=21, expected 6n \\+ 2"),
        ("cifar-resnet", {"width": 0}, "got width=0"),
        ("cifar-resnet", {"colour": "red"}, "unexpected keyword argument 'colour'.*it takes \\(depth: "),
    ],
)
def test_what_cannot_be_built_is_said(name, kwargs, message):
    with pytest.raises(ModelError, match=message):
        build_model(name, kwargs)
