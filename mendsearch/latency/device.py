"""A device worker: times the networks that it is handed, until it is stopped. It needs no PyTorch."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import mendstore
from mendsearch.latency.machine import Pass
from mendsearch.latency.measuring import measure
from mendsearch.latency.programs import Program, open_program
from mendsearch.progress import Reporter
from mendsearch.stopping import GRACE_S, Listener, Stopping
from mendstore.blobs import default_folder
from mendstore.records import Answer, DeviceSetting, Request

DTYPE = "float32"
"""Dtype of the networks that are exported for a profile."""
IDLE_S = 1.0
"""Seconds between two questions for work."""
LIMIT_S = 3600.0
"""Seconds that one measurement may take; a device worker that takes longer is ended."""


def run_device(
    url: str, name: str, runtime: str, threads: int, lease_s: float, outage_s: float, reporter: Reporter
) -> int:
    """Measure networks for the searches of a name until this process is asked to stop.

    Args:
        url: URL of the study database.
        name: name of the search, and of those beside it.
        runtime: `onnxruntime` or `openvino`, or with a provider or device after a colon.
        threads: threads of one pass on a CPU.
        lease_s: seconds without a heartbeat before this worker is considered dead.
        outage_s: seconds to wait for a database that cannot be reached.
        reporter: where progress goes.

    Returns:
        The exit code of the process: 128 + n after signal n.

    Raises:
        UsageError: the runtime is not there.
        mendstore.StorageError: the database cannot be reached at the start, or for longer than `outage_s` later.
    """
    program = open_program(runtime, threads)
    stopping, joined = Stopping(), list[mendstore.Device]()

    def give_back(number: int) -> None:
        for device in joined:
            device.leave(f"signal {number}")

    Listener(stopping, lambda: reporter.say("asked to stop: the current work was given back")).start()
    with contextlib.closing(mendstore.Database(url)) as first:  # a wrong URL is reported at once, without waiting
        mendstore.check_version(first)
    database = mendstore.Database(
        url,
        outage_s,
        stopping.event,
        lambda reason: reporter.say(f"the study database cannot be reached: {reason}; waiting up to {outage_s:.0f} s"),
    )
    try:
        with stopping.finishing(GRACE_S, give_back):
            device = mendstore.Device(database, name, setting_of(program), default_folder() / "spool", lease_s)
            joined.append(device)
            with mendstore.beating(device, LIMIT_S, stopping.event, reporter.say) as heartbeat:
                reporter.say(f"{program.device}, {program.name} {program.version}: measures for `{name}`")
                _serve(device, heartbeat, mendstore.Blobs(database), program, stopping, reporter)
    except mendstore.StorageError:
        if stopping.number is None:
            raise
    finally:
        with contextlib.suppress(Exception):  # the process ends anyway
            database.close()
    assert stopping.number is not None  # nothing else ends it
    reporter.say(f"signal {stopping.number}: the current work was finished or given back")
    return 128 + stopping.number


def setting_of(program: Program) -> dict[str, Any]:
    """What a device worker says of itself; a measurement asks for a part of it."""
    said = DeviceSetting(
        runtime=program.name,
        device=program.device,
        threads=program.threads,
        dtype=DTYPE,
        versions={program.kind: program.version},
    )
    return said.written()


def _serve(
    device: mendstore.Device,
    heartbeat: mendstore.Heartbeat,
    blobs: mendstore.Blobs,
    program: Program,
    stopping: Stopping,
    reporter: Reporter,
) -> None:
    bench = Bench(program)
    while not stopping.event.is_set():
        measurement = device.claim()
        if measurement is None:
            stopping.event.wait(IDLE_S)
            continue
        heartbeat.begin()
        try:
            contents = {digest: blobs.read(digest) for digest in bench.missing(measurement.request)}
            answer = bench.answer(measurement.request, contents)
        except mendstore.StorageError:
            raise
        except Exception as error:  # a program raises whatever an operator raises
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            device.fail(measurement, f"{program.name} on {program.device}: {why}")
            reporter.say(f"measurement {measurement.measurement_id} failed: {why}")
        else:
            how = device.answer(measurement, answer)
            said = f"{len(answer.ms)} networks, dense {answer.dense_ms:.3g} ms, noise {answer.noise:.1%}"
            reporter.say(f"measurement {measurement.measurement_id} {how}: {said}")
        heartbeat.end()


@dataclass
class Bench:
    """Where networks are timed in turns. The dense network stays ready from one measurement to the next.

    Attributes:
        program: what they run in.
    """

    program: Program
    _kept: dict[tuple[str, str], Pass] = field(default_factory=dict)  # dense network and inputs

    def missing(self, request: Request) -> list[str]:
        """Digests of the contents that `answer` needs."""
        kept = {request.dense} if (request.dense, request.inputs) in self._kept else set()
        return [digest for digest in request.digests if digest not in kept]

    def answer(self, request: Request, contents: dict[str, bytes]) -> Answer:
        """Time the networks of a request.

        Args:
            request: what to measure.
            contents: contents by digest.

        Raises:
            Exception: whatever the program raises for an operator or a shape.
        """
        with np.load(io.BytesIO(contents[request.inputs]), allow_pickle=False) as file:
            tensors = [file[f"arr_{number}"] for number in range(len(file.files))]
        dense = self._kept.get((request.dense, request.inputs))
        if dense is None:
            dense, _ = self.program.open(contents[request.dense], tensors)
            self._kept = {(request.dense, request.inputs): dense}
        passes = {
            name: dense if digest == request.dense else self.program.open(contents[digest], tensors)[0]
            for name, digest in request.networks.items()
        }
        times = measure(
            passes, dense, self.program, rounds=request.rounds, error=request.error or math.inf, seed=request.seed
        )
        figures = {"ms": times.ms, "dense_ms": times.dense_ms, "noise": times.noise, "error": times.error}
        return Answer(**figures, setting=setting_of(self.program))
