import os

import pytest
import sqlalchemy as sa

import mendstore
from bench.fleet.synthetic import make_search
from mendstore.queries.fleet import fleet_status
from mendstore.queries.searches import find_search, list_searches
from mendstore.queries.workers import claim_gaps, workers
from tests.integration.conftest import DONE, LOST, WORKERS


def test_every_worker_is_shown_those_alive_first(ask, made):
    found = ask(workers)
    assert [worker.state for worker in found] == ["alive"] * (WORKERS - LOST) + ["lost"] * LOST
    assert sum(worker.done for worker in found) == DONE
    assert max(worker.best for worker in found if worker.best is not None) == made.scores[made.best]
    leases = [(worker.lease_s, worker.left_s) for worker in found if worker.alive]
    assert all(0 < held_s < 7200 and left_s > 0 for held_s, left_s in leases), leases


def test_gaps_between_a_result_and_the_next_claim_are_measured(ask):
    gaps = ask(claim_gaps)
    assert 0 <= gaps.p50 <= gaps.p99


@pytest.fixture
def deserted(storage, name):
    """A search with three workers: one that renews, one without a heartbeat, one of this machine that has ended."""
    made = make_search(storage, name, trials=20, done=5, workers=3, lost=0, set_aside=0, groups=3, lease_s=600)
    child = os.fork()
    if child == 0:
        database = mendstore.Database(storage)
        own = mendstore.this_process()
        update = "UPDATE mend_workers SET host = :host, boot = :boot, pid = :pid WHERE worker_id = :worker"
        values = {**vars(own), "worker": made.workers[1]}
        database.run(lambda connection: connection.execute(sa.text(update), values))
        os._exit(0)
    os.waitpid(child, 0)
    silent = "UPDATE mend_workers SET seen_at = now() - interval '1 hour' WHERE worker_id = :worker"
    database = mendstore.Database(storage)
    database.run(lambda connection: connection.execute(sa.text(silent), {"worker": made.workers[2]}))
    yield made, database
    database.close()


def test_alive_means_the_same_everywhere(reader, deserted):
    made, database = deserted

    def ask(question):
        return reader.read(lambda snapshot: question(snapshot, find_search(snapshot, study_id=made.study_id)))

    status = ask(fleet_status)
    assert (status.alive, status.silent, status.lost, status.ended) == (1, 1, 1, 0)
    states = {worker.worker_id: worker.state for worker in ask(workers)}
    assert states == dict(zip(made.workers, ("alive", "lost", "silent"), strict=True))
    assert [item.alive for item in reader.read(list_searches) if item.name == made.name] == [1]
    assert mendstore.alive(database, made.study_id) == 1
    assert set(mendstore.open_workers(database, made.study_id)) == set(made.workers)
