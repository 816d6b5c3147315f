"""`/metrics` for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import mendstore
from mendstore import Reader, Snapshot
from mendstore.queries.fleet import fleet_status
from mendstore.queries.pace import STATES, pace_of
from mendstore.queries.searches import Search, find_search, list_searches
from mendstore.queries.workers import claim_gaps

KIND = "text/plain; version=0.0.4; charset=utf-8"
SEARCHES = 50
"""Number of latest searches that are reported."""


def metrics(reader: Reader) -> bytes:
    """The metrics of all searches; if the database cannot be reached, only that."""
    registry = CollectorRegistry()
    registry.register(_Searches(reader))
    return generate_latest(registry)


class _Searches(Collector):
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def describe(self) -> Iterator[Metric]:
        """No metric in advance, so that registering does not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics, from one snapshot of the database."""
        begun = time.perf_counter()
        try:
            found = self._reader.read(_measure)
        except mendstore.StorageError:
            found = []
        up = GaugeMetricFamily("mendsearch_database_up", "Whether the study database can be reached.")
        up.add_metric([], 1.0 if found else 0.0)
        yield up
        took = GaugeMetricFamily("mendsearch_metrics_seconds", "Time to read the database.")
        took.add_metric([], time.perf_counter() - begun)
        yield took
        yield from found


def _measure(snapshot: Snapshot) -> list[Metric]:
    by_state = GaugeMetricFamily("mendsearch_trials", "Trials by state.", labels=["search", "state"])
    wanted = GaugeMetricFamily("mendsearch_trials_wanted", "Trials that the search is to have.", labels=["search"])
    best = GaugeMetricFamily("mendsearch_best_score", "Score of the best complete trial.", labels=["search"])
    rate = GaugeMetricFamily(
        "mendsearch_trials_per_second", "Recent trials per second that end with a score.", labels=["search"]
    )
    fleet = GaugeMetricFamily("mendsearch_workers", "Workers by state.", labels=["search", "state"])
    items = GaugeMetricFamily("mendsearch_candidates", "Candidates by state.", labels=["search", "state"])
    faults = GaugeMetricFamily("mendsearch_faults", "Faults survived, by kind.", labels=["search", "kind"])
    gaps = GaugeMetricFamily(
        "mendsearch_claim_latency_seconds",
        "Time from a worker's result to its next claim, over the last claims.",
        labels=["search", "quantile"],
    )
    for listed in list_searches(snapshot)[:SEARCHES]:
        search, name = find_search(snapshot, study_id=listed.study_id), listed.name
        if search is None:
            continue
        pace = pace_of(snapshot, search)
        for state in STATES.values():
            by_state.add_metric([name, state], pace.states.get(state, 0))
        if listed.best is not None:
            best.add_metric([name], listed.best)
        if pace.rate is not None:
            rate.add_metric([name], pace.rate)
        if search.wanted is not None:
            wanted.add_metric([name], search.wanted)
            _fleet(snapshot, search, fleet, items, faults, gaps)
    return [by_state, wanted, best, rate, fleet, items, faults, gaps]


def _fleet(
    snapshot: Snapshot, search: Search, fleet: GaugeMetricFamily, items: GaugeMetricFamily, faults: GaugeMetricFamily,
    gaps: GaugeMetricFamily,
) -> None:  # fmt: skip
    seen, name = fleet_status(snapshot, search), search.name
    for state in ("alive", "silent", "lost", "ended"):
        fleet.add_metric([name, state], getattr(seen, state))
    for state in ("leased", "waiting", "set_aside"):
        items.add_metric([name, state], getattr(seen, state))
    for kind, number in seen.faults.items():
        faults.add_metric([name, kind], number)
    gaps_s = claim_gaps(snapshot, search)
    for quantile, seconds in (("0.5", gaps_s.p50), ("0.99", gaps_s.p99)):
        if seconds is not None:
            gaps.add_metric([name, quantile], seconds)
