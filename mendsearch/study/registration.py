"""A search registered in a database: a study, with the description that dashboards show, for any number of workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import distribution_to_json

import mendstore
from mendsearch.config import FleetSpec
from mendsearch.coupling.layout import Ints
from mendsearch.mending.search import Search
from mendsearch.study.description import description
from mendsearch.study.fleet import key_of
from mendstore.records import STRUCTURE


@dataclass(frozen=True)
class Registration:
    """How a search is registered.

    Attributes:
        url: URL of a Postgres database.
        name: name of the search and of its study.
        fleet: leases and outages.
        spec: the spec from which other workers can build the search; empty if they cannot.
        versions: packages and code that those workers must have.
    """

    url: str
    name: str
    fleet: FleetSpec = field(default_factory=FleetSpec)
    spec: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def register(
    database: mendstore.Database,
    registration: Registration,
    search: Search,
    trials: int,
    warm: Sequence[Ints] = (),
    earlier: mendstore.Registered | None = None,
) -> mendstore.Registered:
    """Bring the schema up to date and register the search, or take up the one of that name.

    The first time, the study is given the attributes that dashboards show.

    Args:
        database: the study database.
        registration: name, leases, spec and versions.
        search: the search.
        trials: number of trials that end with a score.
        warm: further structures that are scored first, (G,) each; of no effect on a search that is taken up.
        earlier: a search whose scores mean the same, whose trials a new one starts with; None if there is none.

    Raises:
        mendstore.StorageError: the database cannot be reached, or holds another search of that name.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mendstore.upgrade(registration.url)
    space = search.space
    starts = [space.project(counts) for counts in (*search.starts, *warm)]
    distinct = {key_of(counts): {key: float(value) for key, value in space.params(counts).items()} for counts in starts}
    registered = mendstore.register(
        database,
        registration.name,
        trials=trials,
        distributions={key: distribution_to_json(found) for key, found in space.distributions.items()},
        fingerprint=search.fingerprint(),
        spec=registration.spec,
        versions=registration.versions,
        starts=list(distinct.items()),
        earlier=earlier,
        lease_s=registration.fleet.lease_s,
    )
    if not mendstore.described(database, registered, STRUCTURE):
        mendstore.describe(database, registered, description(search))
    return registered
