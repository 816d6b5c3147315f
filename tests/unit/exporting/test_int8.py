"""The int8 recipe of docs/export.md, run as it is written there."""

import re
from pathlib import Path

import onnx
import onnxruntime

import mendsearch
from mendsearch.config import DataSpec, TrainSpec
from mendsearch.models.registry import build_model
from mendsearch.training.loop import train
from mendsearch.training.sources.digits import digits

PAGE = Path(__file__).parents[3] / "docs" / "export.md"


def recipe():
    """The Python of the section on int8."""
    section = PAGE.read_text(encoding="utf-8").split("## int8")[1].split("\n## ")[0]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def accuracy(path, images, labels):
    (outputs,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": images})
    return float((outputs.argmax(1) == labels).mean())


def test_the_recipe_gives_an_int8_network_of_the_same_accuracy(inside):
    source = digits(DataSpec(name="digits"), seed=0)
    model = build_model("digits-resnet", {"width": 8})
    train(model, source.train, TrainSpec(epochs=6), seed=0)
    images, _ = source.train[list(range(300))]
    mendsearch.export(model, "model.onnx", images[:2])
    exec(recipe(), {"images": images.numpy()})

    quantized = onnx.load("int8.onnx")
    weights = {one.name: one.data_type for one in quantized.graph.initializer}
    convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
    scaled = {node.output[0]: node.input[0] for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    assert len(convolutions) >= 7
    assert all(weights[scaled[node.input[1]]] == onnx.TensorProto.INT8 for node in convolutions)
    tested, labels = source.test[list(range(450))]
    before, after = (accuracy(path, tested.numpy(), labels.numpy()) for path in ("model.onnx", "int8.onnx"))
    assert before > 0.9
    assert after > before - 0.02
