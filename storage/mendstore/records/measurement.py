"""What a device worker is asked to measure, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mendstore.records.base import Number, Record

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Milliseconds = Annotated[float, Field(ge=0, lt=1e300)]


class DeviceSetting(Record):
    """What a device worker says of itself when it joins; its times depend on all of it."""

    runtime: str = Field(description="`onnxruntime` or `openvino`, or with a provider or device after a colon.")
    device: str = Field(description="Name of the CPU, GPU or other device.")
    threads: int = Field(ge=1, description="Threads of a pass on a CPU.")
    dtype: str = Field(description="Dtype of the networks that it measures.")
    versions: dict[str, str] = Field(default_factory=dict, description="Of the packages that times depend on.")


class Request(Record):
    """Networks that are to be timed in turns, as blobs."""

    networks: dict[str, Digest] = Field(description="ONNX files by any name.")
    dense: Digest = Field(description="ONNX file of the dense network, which is timed between the others.")
    inputs: Digest = Field(description="Arrays of one pass, in the order of the networks' inputs: an .npz file.")
    rounds: int = Field(ge=1, le=10_000, description="Turns of each network, at least.")
    error: float | None = Field(
        None,
        gt=0,
        description="Standard error of the times, as a fraction, from which no turn is added; null for none.",
    )
    seed: int = Field(description="Seed of the order in which they take turns.")

    @property
    def digests(self) -> list[str]:
        """Digests of all that is needed, each once."""
        return sorted({self.dense, self.inputs, *self.networks.values()})


class Answer(Record):
    """What a device worker measured."""

    ms: dict[str, Milliseconds] = Field(description="Milliseconds of a pass, by network.")
    dense_ms: Milliseconds = Field(description="Milliseconds of a pass of the dense network.")
    noise: Number = Field(ge=0, description="How far two turns of the dense network differ, as a fraction.")
    error: Number = Field(ge=0, description="Standard error of these times, as a fraction.")
    setting: dict[str, Any] = Field(description="Runtime, device, threads, dtype and versions of the device worker.")
