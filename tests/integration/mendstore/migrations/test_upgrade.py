"""A search that an earlier version began is finished by this one, whatever schema its database had."""

import subprocess
import sys
import threading
import uuid
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from optuna.distributions import IntDistribution, distribution_to_json
from optuna.trial import TrialState

import mendstore
from mendstore import Database, Result
from mendstore.queries.pace import pace_of
from mendstore.queries.searches import find_search
from mendstore.schema import _alembic
from mendview.overview import overview
from mendview.pages import fleet_page

TRIALS = 8
PARAMS = ("restore/a", "restore/b")
REVISIONS = [script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()][::-1]
BEFORE = sorted((Path(__file__).parent / "before").glob("*.sql"))
"""Functions of commits before revision 0001 was frozen; the tables were the same."""


@pytest.fixture
def url(server):
    shared, name = Database(server.start()), f"upgraded_{uuid.uuid4().hex[:8]}"
    shared.run(lambda connection: connection.execute(sa.text(f"CREATE DATABASE {name}")))
    yield sa.make_url(shared.url).set(database=name).render_as_string(hide_password=False)
    shared.run(lambda connection: connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)")))
    shared.close()


def execute(database, statement, **bound):
    return database.run(lambda connection: connection.execute(sa.text(statement), bound))


def with_functions_of(database, path):
    """Put functions of an earlier commit in the place of those that the revision made."""
    drop = """
        DO $$ DECLARE f regprocedure; BEGIN
            FOR f IN SELECT oid FROM pg_proc WHERE starts_with(proname, 'mend_') AND pronamespace = 'public'::regnamespace LOOP
                EXECUTE 'DROP FUNCTION ' || f;
            END LOOP;
        END $$"""
    for statements in (drop, path.read_text(encoding="utf-8")):
        database.run(lambda connection, text=statements: connection.exec_driver_sql(text), transaction=True)


def begin(database, name):
    """A search as an earlier version left it: items done, leased, failed once, and waiting.

    Returns:
        the study's id, a worker that goes on, and what it holds.
    """
    starts = [(f"{number},9", {"restore/a": number, "restore/b": 9}) for number in range(2)]
    space = {param: distribution_to_json(IntDistribution(0, 9)) for param in PARAMS}
    search = mendstore.register(
        database, name, trials=TRIALS, distributions=space, fingerprint="same", spec={}, versions={}, starts=starts
    )

    def join(process):
        return database.call("mend_join", search.study_id, process.host, process.boot, process.pid, "cpu")["worker_id"]

    def claim(worker, number, holding=()):
        offer = [{"key": f"{number},1", "params": {"restore/a": number, "restore/b": 1}}]
        (claimed,) = database.call("mend_claim", worker, list(holding), offer)["claims"]
        return claimed

    goes_on, dies = join(mendstore.this_process()), join(process_that_ended())
    for state in ("COMPLETE", "COMPLETE", "PRUNED"):
        done = claim(goes_on, 3)
        values = (done["item_id"], goes_on, state, -0.5, "k", done["params"], {"macs": 7}, {"3": -0.5})
        assert database.call("mend_finish", *values) == "recorded"
    failed = claim(goes_on, 4)
    database.call("mend_fail", failed["item_id"], goes_on, "out of memory", "a traceback")
    held = [claim(goes_on, 5)]
    held.append(claim(goes_on, 6, [held[0]["item_id"]]))
    claim(dies, 7)
    database.call("mend_fail", held[1]["item_id"], goes_on, "out of memory", "a traceback")
    study = optuna.load_study(study_name=name, storage=database.url)
    study.enqueue_trial({"restore/a": 2})
    return search.study_id, goes_on, held[0]


def process_that_ended():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        return mendstore.this_process(child.pid)


def work(database, name, tmp_path):
    """A worker of this version, to the end of the search."""
    search, stop_event = mendstore.find(database, name), threading.Event()
    with mendstore.working(database, search, "cpu", tmp_path, 60, stop_event, print) as (queue, heartbeat):
        for number in range(100, 200):
            status, claims = queue.claim([(f"{number % 10},2", {"restore/a": number % 10, "restore/b": 2})])
            if status != "claimed":
                return status
            heartbeat.begin()
            params = {param: claims[0].params.get(param, 0) for param in PARAMS}
            assert queue.finish(Result(claims[0].item_id, "COMPLETE", -0.25, "k", params)) == "recorded"
            heartbeat.end()


@pytest.mark.parametrize(
    ("revision", "functions"),
    [*((revision, None) for revision in REVISIONS[:-1]), *(("0001", path) for path in BEFORE)],
    ids=lambda value: getattr(value, "stem", value) or "as landed",
)
def test_a_search_that_an_earlier_version_began_is_finished(url, name, tmp_path, revision, functions):
    assert mendstore.upgrade(url, revision) == revision
    database = Database(url)
    if functions is not None:
        with_functions_of(database, functions)
    study_id, old_worker, held = begin(database, name)
    with pytest.raises(mendstore.StorageError, match=f"has schema {revision}, expected .*db upgrade"):
        mendstore.check_version(database)

    assert mendstore.upgrade(url) == REVISIONS[-1]
    mendstore.check_version(database)

    # a worker of the old version that ran meanwhile goes on, and its result counts
    database.call("mend_renew", old_worker)
    late = (held["item_id"], old_worker, "COMPLETE", -0.125, "k", held["params"], {}, {})
    assert database.call("mend_finish", *late) == "recorded"
    database.call("mend_leave", old_worker, "finished", "", False)
    assert work(database, name, tmp_path) == "finished"

    trials = optuna.load_study(study_name=name, storage=mendstore.MendStorage(database)).trials
    scored = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(scored) == TRIALS
    assert sum(trial.state == TrialState.PRUNED for trial in scored) == 1
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert not [trial for trial in trials if not trial.state.is_finished()]
    assert {0, 1, 2, 3} <= {trial.params["restore/a"] for trial in scored}  # the starts, a request, a proposal
    assert mendstore.progress(database, study_id) == (TRIALS, -0.125)
    seen = mendstore.Reader(url)
    assert seen.read(lambda snapshot: pace_of(snapshot, find_search(snapshot, name=name))).done == TRIALS
    seen.close()
    database.close()


def test_every_database_ends_with_the_same_functions(server, url, name):
    def functions(database):
        listed = "SELECT proname, md5(prosrc) FROM pg_proc WHERE starts_with(proname, 'mend_') ORDER BY 1"
        return execute(database, listed).all()

    mendstore.upgrade(url, "0001")
    database = Database(url)
    with_functions_of(database, BEFORE[0])
    mendstore.upgrade(url)
    fresh = Database(server.start())
    mendstore.upgrade(fresh.url)
    assert functions(database) == functions(fresh)
    database.close()
    fresh.close()


def test_a_database_of_before_has_no_device_workers(url, name):
    mendstore.upgrade(url, "0003")
    database, seen = Database(url), mendstore.Reader(url)
    assert mendstore.Measurements(database, name).devices({}) == []
    begin(database, name)
    found = seen.read(lambda snapshot: overview(snapshot, find_search(snapshot, name=name)))
    assert (found.devices, found.search.name) == (None, name)
    assert seen.read(lambda snapshot: fleet_page(snapshot, found.search, lambda *_: None)).parts.keys() >= {"workers"}
    seen.close()
    database.close()


def test_a_database_that_cannot_hold_every_letter_is_refused(server):
    shared = Database(server.start())
    made = "CREATE DATABASE letters ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    execute(shared, made)
    url = sa.make_url(shared.url).set(database="letters").render_as_string(hide_password=False)
    with pytest.raises(mendstore.StorageError, match="encoding LATIN1, expected UTF8; make a new one: createdb"):
        mendstore.upgrade(url)
    execute(shared, "DROP DATABASE letters WITH (FORCE)")
    shared.close()
