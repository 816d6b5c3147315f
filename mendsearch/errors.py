"""Errors that mendsearch raises deliberately.

::

    MendsearchError            exit 4, the search failed
    └── UsageError             exit 2, the request cannot be met: nothing was started, nothing is lost
        ├── SpecError          the spec file, or a value given for it
        ├── ModelError         the network, or its checkpoint
        ├── DataError          the images or the labels
        ├── BudgetError        a budget that no candidate can meet, or that the dense network already meets
        ├── CouplingError      channels that cannot be removed as their coupling groups say
        └── FinetuneError      the caller's fine-tuning, after a search whose result the error holds

    mendstore.StorageError     exit 3, the study database cannot be used; defined in mendstore

A message is one line: what failed: got X, expected Y; try Z. The command line prints it without a traceback and exits
with `exit_code`.
"""

from __future__ import annotations

from typing import Any


class MendsearchError(Exception):
    """The search failed."""

    exit_code = 4


class UsageError(MendsearchError):
    """Usage, spec or data are wrong; raised before any work is done."""

    exit_code = 2


class SpecError(UsageError):
    """The spec file holds an unknown key or a wrong value."""


class ModelError(UsageError):
    """The network cannot be built, or its checkpoint does not fit it."""


class DataError(UsageError):
    """The images or labels are missing, empty, or do not fit the network."""


class BudgetError(UsageError):
    """No candidate can meet the budget, or the dense network already meets it."""


class CouplingError(UsageError):
    """Channels of the network cannot be removed as its coupling groups say."""


class FinetuneError(UsageError):
    """The fine-tuning that was given to `mend` failed; what it raised is the cause.

    Attributes:
        pruned: result of the search without fine-tuning, a `mendsearch.Pruned`.
    """

    pruned: Any
