"""Workers."""

from __future__ import annotations

from pydantic import Field

from mendsearch.config.base import SpecPart


class FleetSpec(SpecPart):
    """Workers, and how they deal with their database."""

    lease_s: float = Field(
        default=60, ge=1, description="Seconds without a heartbeat before a worker is considered dead."
    )
    outage_s: float = Field(default=600, ge=0, description="Seconds to wait for a database that cannot be reached.")
    trial_limit_s: float = Field(
        default=3600, gt=0, description="Seconds that one candidate may take; a worker that takes longer is ended."
    )
    pass_limit_s: float = Field(
        default=86400,
        gt=0,
        description="Seconds that one pass of a fine-tuning may take, or one call of `finetune.function`; a worker "
        "that takes longer is ended.",
    )
    checkpoint_s: float = Field(
        default=30,
        ge=0,
        description="Seconds between two checkpoints of a fine-tuning, from which another worker goes on. They are "
        "kept in the database after a pass, so passes that take longer are kept one by one.",
    )
