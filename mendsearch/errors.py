"""Every error that mendsearch raises on purpose.

::

    MendsearchError            exit 4, the search failed
    └── UsageError             exit 2, what was asked for cannot be done: nothing was started, nothing is lost
        ├── SpecError          the spec file, or a value given for it
        ├── ModelError         the network, or its checkpoint
        ├── DataError          the images or the labels
        ├── BudgetError        a budget that no candidate can meet, or that the dense network meets already
        └── CouplingError      channels that cannot be removed as the coupling says

    mendstore.StorageError     exit 3, the study database cannot be reached; of mendstore, which knows nothing of this

The message of an error is one line: what failed: got X, expected Y; try Z. The command line prints it without a
traceback and ends with `exit_code`.
"""

from __future__ import annotations


class MendsearchError(Exception):
    """The search failed."""

    exit_code = 4


class UsageError(MendsearchError):
    """Wrong usage, spec or data; raised before any work is done."""

    exit_code = 2


class SpecError(UsageError):
    """The spec file holds a key or a value that has no meaning here."""


class ModelError(UsageError):
    """The network cannot be built, or its checkpoint does not fit it."""


class DataError(UsageError):
    """The images or labels are missing, empty, or do not fit the network."""


class BudgetError(UsageError):
    """No candidate can meet the budget, or the dense network meets it already."""


class CouplingError(UsageError):
    """Channels cannot be removed from the network as its coupling groups say."""
