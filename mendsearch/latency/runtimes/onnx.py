"""ONNX Runtime, with one of its execution providers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mendsearch.batches import Batch
from mendsearch.coupling.nesting import tensors_in
from mendsearch.errors import ModelError, UsageError
from mendsearch.exporting.batches import arguments
from mendsearch.exporting.reasons import quiet, reason
from mendsearch.exporting.tracing import standalone, trace
from mendsearch.latency.runtimes.base import Pass, Runtime, cpu_name

CLOSE = 1e-3
"""Difference of outputs, relative to the largest, up to which a graph with exchanged weights is that network."""
CPU = "CPUExecutionProvider"


class OnnxRuntime(Runtime):
    """`onnxruntime`, on the CPU, or `onnxruntime:PROVIDER`, such as `onnxruntime:CUDAExecutionProvider`.

    The first network is exported; later ones are its graph with weights exchanged, which takes milliseconds. Where that
    does not give the outputs of the network, it is exported too.
    """

    name = "onnxruntime"

    def __init__(self, threads: int, dtype: torch.dtype, provider: str = "") -> None:
        super().__init__(threads, dtype)
        try:
            with quiet():
                import onnx  # noqa: F401  # the exporter needs all three
                import onnxruntime
                import onnxscript  # noqa: F401
        except ImportError as error:
            raise UsageError(f"runtime onnxruntime: {error}; pip install 'mendsearch[onnx]'") from error
        self.provider = provider or CPU
        if self.provider not in onnxruntime.get_available_providers():
            known = ", ".join(onnxruntime.get_available_providers())
            raise UsageError(f"runtime onnxruntime: got provider {self.provider}, expected one of {known}")
        if provider:
            self.name = f"onnxruntime:{provider}"
        self._first: Any = None

    def versions(self) -> dict[str, str]:
        """The version of ONNX Runtime; that of PyTorch decides what is exported."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__, "torch": str(torch.__version__)}

    def device(self) -> str:
        """Name of the CPU; of other providers, of the GPU that PyTorch sees, or the provider's own."""
        if self.provider == CPU:
            return cpu_name()
        return torch.cuda.get_device_name() if torch.cuda.is_available() else self.provider

    def prepare(self, model: nn.Module, batch: Batch) -> Pass:
        """A session of the network's graph."""
        network = standalone(model)
        call = arguments(batch, network)
        tensors = [tensor.numpy() for tensor in tensors_in(call)]
        if self._first is not None and (graph := _exchanged(self._first, network)) is not None:
            try:
                run, outputs = self._session(graph, tensors)
            except Exception:  # shapes that the graph holds as constants; the runtime has many names for that
                outputs = []
            if outputs and _same(outputs, network, call):
                return run
        traced = trace(network, call, len(batch))
        try:
            with quiet():
                program = torch.onnx.export(traced.program, optimize=False, verbose=False)
            assert program is not None  # it is only None where it was given a path
            graph = program.model_proto
            run, _ = self._session(graph, tensors)
        except Exception as error:  # exporter and runtime raise whatever an operator raises
            raise ModelError(
                f"runtime {self.name} lacks an operator of the network: {reason(error)}; try --runtime torch"
            ) from error
        if self._first is None:
            self._first = graph
        return run

    def _session(self, graph: Any, tensors: list[np.ndarray]) -> tuple[Pass, list[np.ndarray]]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # fatal: what fails is raised too
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=[self.provider])
        feeds = dict(zip([one.name for one in session.get_inputs()], tensors, strict=True))

        def run() -> None:
            session.run(None, feeds)

        return run, session.run(None, feeds)


def _exchanged(graph: Any, network: nn.Module) -> Any | None:
    """A graph with the weights of another network of the same modules; None if it lacks one of them."""
    import onnx

    state, modules = network.state_dict(), dict(network.named_modules())
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    held = {initializer.name for initializer in made.graph.initializer}
    _flatten_freely(made.graph)
    del made.graph.value_info[:]
    for initializer in made.graph.initializer:
        tensor = state.get(initializer.name)
        if tensor is not None and tuple(tensor.shape) != tuple(initializer.dims):
            initializer.CopyFrom(onnx.numpy_helper.from_array(tensor.contiguous().numpy(), initializer.name))
    for node in made.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        module = modules.get(node.input[1].rpartition(".")[0])
        if module is None or node.input[1] not in held:
            return None
        for attribute in node.attribute:
            if attribute.name == "group":
                attribute.i = int(module.groups)
    return made


def _flatten_freely(graph: Any) -> None:
    """Let every reshape to (items, features) find the number of features, which is not that of the first network."""
    import onnx

    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.value_info}
    for number, node in enumerate([node for node in graph.node if node.op_type == "Reshape"]):
        shape = shapes.get(node.output[0], [])
        if len(shape) == 2 and min(shape) > 0:
            free = onnx.numpy_helper.from_array(np.array([shape[0], -1], dtype=np.int64), f"mendsearch_shape_{number}")
            graph.initializer.append(free)
            node.input[1] = free.name


@torch.no_grad()
def _same(outputs: list[np.ndarray], network: nn.Module, call: Any) -> bool:
    args, kwargs = call
    expected = [tensor.numpy() for tensor in tensors_in(network(*args, **kwargs))]
    return len(expected) == len(outputs) and all(
        mine.shape == theirs.shape and np.abs(mine - theirs).max() <= CLOSE * max(1e-6, float(np.abs(theirs).max()))
        for mine, theirs in zip(outputs, expected, strict=True)
    )
