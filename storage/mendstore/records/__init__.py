"""What a search writes for people and pages to read, as pydantic models: the network's structure, and the run's result.

The writer builds a record from all its fields and stores `written()`; a value that does not fit is an error there. A
reader takes `read(value)`: it ignores keys that it does not know and fills in what older searches did not write, and
raises `RecordError` for what is not a record at all, so that a page can say so and go on without it.
"""

from mendstore.records.base import Counts, Record, RecordError
from mendstore.records.measurement import Answer, DeviceSetting, Request
from mendstore.records.result import (
    CONTROLS,
    FORMAT,
    MENDED,
    RANDOM,
    RESULTS,
    SIGNIFICANT,
    Budget,
    DenseRow,
    Lead,
    Model,
    PrunedRow,
    RunResult,
    TrialCounts,
    title,
)
from mendstore.records.structure import STRUCTURE, Layer, Output, Structure
from mendstore.records.timing import Timing, all_met, replaces

__all__ = [
    "CONTROLS", "FORMAT", "MENDED", "RANDOM", "RESULTS", "SIGNIFICANT", "STRUCTURE", "Answer", "Budget", "Counts",
    "DenseRow", "DeviceSetting", "Layer", "Lead", "Model", "Output", "PrunedRow", "Record", "RecordError", "Request",
    "RunResult", "Structure", "Timing", "TrialCounts", "all_met", "replaces", "title",
]  # fmt: skip
