"""One run of the pipeline: a spec that is executed in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from mendsearch.config import Spec
from mendsearch.pipeline.folder import RunFolder
from mendsearch.pipeline.inputs import Inputs
from mendsearch.progress import Reporter
from mendsearch.stopping import Stopping


@dataclass(frozen=True, eq=False)
class Run:
    """What every stage of a run is given.

    Attributes:
        spec: what to do.
        inputs: data, network and budget of the spec.
        folder: the run's folder, with what earlier stages left there.
        storage: URL of the study database.
        reporter: where progress goes.
        stopping: whether the run is asked to stop.
    """

    spec: Spec
    inputs: Inputs
    folder: RunFolder
    storage: str = field(repr=False)
    reporter: Reporter
    stopping: Stopping = field(default_factory=Stopping)
