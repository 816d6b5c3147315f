import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import mendsearch
from mendsearch.errors import DataError, ModelError, UsageError
from tests.unit.exporting.networks import OUTPUTS, Failing, Reshaped, Several
from tests.zoo import IMAGES, build

FORMATS = ["onnx", "pt2"]
X, IDS, MASK = torch.randn(3, 4), torch.randint(0, 10, (3, 6)), torch.tensor([[True], [False], [True]])


def run_onnx(path, *inputs):
    session = onnxruntime.InferenceSession(str(path))
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})


@pytest.mark.parametrize("name", ["residual", "depthwise", "normed"])
@torch.no_grad()
def test_an_onnx_file_computes_the_same_for_any_batch_size(tmp_path, name):
    model = build(name).train()
    written = mendsearch.export(model, tmp_path / "net.onnx", IMAGES[:2])
    assert model.training
    assert written.difference < 1e-5
    assert (written.inputs, written.outputs) == (("x",), ("output",))
    for items in (1, 7, 64):
        (found,) = run_onnx(written.path, IMAGES[:items])
        np.testing.assert_allclose(found, model.eval()(IMAGES[:items]), rtol=1e-4, atol=1e-4)
    assert onnx.load(written.path).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@torch.no_grad()
def test_a_pt2_file_computes_the_same_for_any_batch_size(tmp_path):
    model = build("depthwise")
    written = mendsearch.export(model, tmp_path / "net.pt2", IMAGES[:1])  # one item is enough
    loaded = torch.export.load(written.path).module()
    for items in (1, 7, 64):
        torch.testing.assert_close(loaded(IMAGES[:items]), model(IMAGES[:items]))


@pytest.mark.parametrize(("key", "name"), [("mean", "mean"), ("relu", "relu"), ("shift", "output_shift")])
@torch.no_grad()
def test_an_output_may_be_called_as_an_operator_or_a_parameter(tmp_path, key, name):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc, self.shift = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Parameter(torch.ones(8))

        def forward(self, images):
            return {"first": (pooled := self.conv(images).relu().mean((2, 3)) + self.shift), key: self.fc(pooled)}

    model, images = Named().eval(), torch.randn(2, 3, 8, 8)
    written = mendsearch.export(model, tmp_path / "net.onnx", images)
    assert list(written.outputs) == ["first", name]
    session = onnxruntime.InferenceSession(str(written.path))
    found = session.run([name], {session.get_inputs()[0].name: images.numpy()})[0]
    np.testing.assert_allclose(found, model(images)[key], rtol=1e-4, atol=1e-5)


def test_an_input_that_is_an_output_too_keeps_its_name(tmp_path):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, x, mask):
            return {"logits": self.fc(x) * mask, "mask": mask}

    example = {"x": torch.randn(2, 5), "mask": torch.ones(2, 1)}
    written = mendsearch.export(Masked().eval(), tmp_path / "net.onnx", example)
    session = onnxruntime.InferenceSession(str(written.path))
    assert [one.name for one in session.get_inputs()] == ["x", "mask"]
    assert [one.name for one in session.get_outputs()] == ["logits", "output_mask"]


@pytest.mark.parametrize("kind", OUTPUTS)
@torch.no_grad()
def test_outputs_of_every_kind_get_names(tmp_path, kind):
    model = Several(kind)
    written = mendsearch.export(model, tmp_path / "net.onnx", X)
    session = onnxruntime.InferenceSession(str(written.path))
    assert [one.name for one in session.get_outputs()] == OUTPUTS[kind][1] == list(written.outputs)
    written = mendsearch.export(model, tmp_path / "net.pt2", X)
    outputs = torch.export.load(written.path).module()(X)
    first = outputs if kind == "tensor" else (outputs[0] if kind == "tuple" else next(iter(outputs.values())))
    torch.testing.assert_close(first, model.fc(X))


@torch.no_grad()
def test_a_forward_may_ask_for_the_number_of_items(tmp_path):
    model, x = Reshaped(), torch.randn(7, 4)
    mendsearch.export(model, tmp_path / "net.pt2", X)
    outputs = torch.export.load(tmp_path / "net.pt2").module()(x)
    torch.testing.assert_close(outputs["features"], model(x).features)


EXAMPLES = {
    "positional": ((X, IDS), ("x", "ids")),
    "keywords": ({"x": X, "ids": IDS, "mask": MASK}, ("x", "ids", "mask")),
    "another order": ({"mask": MASK, "ids": IDS, "x": X}, ("mask", "ids", "x")),
}


@pytest.mark.parametrize("kind", EXAMPLES)
@torch.no_grad()
def test_inputs_are_any_number_of_tensors_of_any_type(tmp_path, kind):
    example, names = EXAMPLES[kind]
    model = Several().eval()
    written = mendsearch.export(model, tmp_path / "net.onnx", example)
    assert written.inputs == names
    inputs = list(example.values()) if isinstance(example, dict) else example
    expected = model(**example) if isinstance(example, dict) else model(*example)
    np.testing.assert_allclose(run_onnx(written.path, *inputs)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_nothing_of_this_machine_or_of_the_example(tmp_path, format):
    model, example = build("grouped"), torch.full((2, 3, 8, 8), 0.1234567)
    written = mendsearch.export(model, tmp_path / f"net.{format}", example)
    content = written.path.read_bytes()
    if format == "pt2":
        with zipfile.ZipFile(written.path) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
    assert not re.findall(rb"/[\w/.-]+\.py", content)
    assert str(Path.cwd()).encode() not in content
    assert example[0].numpy().tobytes() not in content


@pytest.mark.filterwarnings("ignore:calibration")  # the network is untrained
def test_a_result_of_mend_needs_no_example(tmp_path):
    pruned = mendsearch.mend(
        build("residual"), calibration=IMAGES, validation=IMAGES, budget=mendsearch.Budget(macs=0.4), n_trials=3,
        quiet=True,
    )  # fmt: skip
    written = mendsearch.export(pruned, tmp_path / "net.onnx")
    found = run_onnx(written.path, IMAGES)[0]
    np.testing.assert_allclose(found, pruned.model(IMAGES).detach(), rtol=1e-4, atol=1e-4)
    control = mendsearch.export(pruned.controls["uniform"].model(), tmp_path / "uniform.pt2", IMAGES)
    assert control.difference < 1e-5


REFUSED = {
    "fixed batch": ("pt2", "cannot be traced for any batch size: .*constant"),
    "branch": ("pt2", "cannot be traced for any batch size: .*data-dependent"),
    "bessel": ("onnx", r'has no ONNX form: .*bessel_j0.*; try format="pt2"'),
    "noise": ("pt2", "output 0 of net.pt2 differs by .* of its largest value for 1 items, expected at most 0.0001"),
    "no tensor": ("pt2", "gives a int without tensors, expected tensors"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_exported_gives_one_line_and_leaves_no_file(tmp_path, kind):
    format, message = REFUSED[kind]
    (tmp_path / f"net.{format}").write_text("of before")
    with pytest.raises(ModelError, match=message) as refused:
        mendsearch.export(Failing(kind), tmp_path / f"net.{format}", X)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert [path.name for path in tmp_path.iterdir()] == [f"net.{format}"]
    assert (tmp_path / f"net.{format}").read_text() == "of before"


def test_pytorch_prints_nothing_beside_the_one_line(tmp_path):
    script = (
        "import sys, torch, mendsearch; from tests.unit.exporting.networks import Failing\n"
        "try: mendsearch.export(Failing('branch'), sys.argv[1], torch.randn(2, 4))\n"
        "except mendsearch.UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "net.pt2")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(ended.stdout.splitlines()) == 1
    assert "data-dependent" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"path": "net"}, UsageError, "got net, without a format, expected"),
        ({"path": "net.tflite"}, UsageError, 'expected "onnx" or "pt2"'),
        ({"format": "tflite"}, UsageError, "got format 'tflite'"),
        ({"path": "."}, UsageError, "without a format"),
        ({"path": ".", "format": "onnx"}, UsageError, "is a folder, expected a file"),
        ({"example": None}, UsageError, "got no example of the inputs; try"),
        ({"network": "resnet18"}, ModelError, "got str, expected a torch.nn.Module"),
        ({"network": Several().half()}, ModelError, r"computes in torch.float16, expected float32; try model.float\(\)"),
        ({"example": torch.randn(2, 5)}, ModelError, "refuses the example: RuntimeError: .*; give `example`, inputs as in training"),
        ({"example": X[:0]}, DataError, r"got \(0, 4\), expected tensors with the same number of items"),
        ({"example": (X, IDS[:2])}, DataError, r"got \(3, 4\), \(2, 6\), expected tensors with the same number"),
        ({"example": (X, torch.tensor(1.0))}, DataError, "expected tensors with the same number"),
        ({"example": ()}, DataError, "got no tensor"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_meant_is_refused(inside, call, error, message):
    call = {"network": Several(), "path": "net.pt2", "example": X} | call
    with pytest.raises(error, match=message) as refused:
        mendsearch.export(call.pop("network"), call.pop("path"), call.pop("example"), **call)
    assert "\n" not in str(refused.value)
    assert not list(inside.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_without_the_extra_it_says_how_to_get_it_before_any_work(inside, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # an import of it fails, as where it is not installed
    with pytest.raises(UsageError, match=rf"ONNX needs {package}.*; pip install 'mendsearch\[onnx\]'"):
        mendsearch.export(Several(), "net.onnx", X)
    assert not list(inside.iterdir())
    mendsearch.export(Several(), "net.pt2", X)


def test_a_network_without_weights_in_one_file_is_refused(tmp_path, monkeypatch):
    from mendsearch.exporting import onnx_file

    monkeypatch.setattr(onnx_file, "MOST_BYTES", 100)
    with pytest.raises(
        ModelError, match=r'got weights of 180 bytes, expected less than 2 GB for ONNX; try format="pt2"'
    ):
        mendsearch.export(Several(), tmp_path / "net.onnx", X)


def test_a_network_that_is_wrapped_is_exported_without_what_wraps_it(tmp_path):
    mendsearch.export(nn.DataParallel(build("residual")), tmp_path / "net.pt2", IMAGES)
    assert torch.export.load(tmp_path / "net.pt2").graph_signature.user_inputs == ("x",)


class Looping(nn.Module):
    """Loops over its images, as detectors do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.stack([self.conv(image[None])[0].mean((1, 2)) for image in x.unbind(0)])


@pytest.mark.parametrize("format", FORMATS)
@torch.no_grad()
def test_a_network_that_loops_over_its_images_is_exported_for_one_number_of_them(tmp_path, format):
    model = Looping().eval()
    with pytest.raises(ModelError, match=r"for any batch size: .*try one of batch=1 \(`--batch 1`\)"):
        mendsearch.export(model, tmp_path / f"net.{format}", IMAGES[:2])
    written = mendsearch.export(model, tmp_path / f"net.{format}", IMAGES[:2], batch=3)
    assert written.batch_sizes == (3,)
    wanted = model(IMAGES[:3])
    if format == "onnx":
        assert onnx.load(written.path).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
        found = torch.from_numpy(run_onnx(written.path, IMAGES[:3])[0])
    else:
        found = torch.export.load(written.path).module()(IMAGES[:3])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_batch_below_one_is_refused(tmp_path):
    with pytest.raises(UsageError, match="got batch 0, expected 1 or more"):
        mendsearch.export(build("residual"), tmp_path / "net.pt2", IMAGES[:2], batch=0)
