"""Measurements on a real Postgres: handed out under a lease, answered once, and nothing of them is left."""

import hashlib
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

import mendstore
from bench.fleet.delay_proxy import proxied
from mendstore import Device, Measurements
from mendstore.blobs import Blobs, collect
from mendstore.records import Answer
from tests.integration.mendstore.test_queue import execute

SETTING = {"runtime": "onnxruntime", "device": "a board", "threads": 1, "dtype": "float32", "versions": {}}
WANTED = {"runtime": "onnxruntime", "threads": 1, "dtype": "float32"}
ANSWER = Answer(ms={"a": 1.0}, dense_ms=2.0, noise=0.01, error=0.01, setting=SETTING)
LEASE_S = 0.5


@pytest.fixture
def asker(database, name):
    return Measurements(database, name)


def joined(database, name, folder, **given):
    return Device(database, name, SETTING | given.pop("setting", {}), folder, **given)


def ask(asker, wanted=WANTED, **networks):
    files = networks or {"a": uuid.uuid4().bytes}
    return asker.ask(
        wanted, files, f"dense of {asker.name}".encode(), b"inputs" + asker.name.encode(), rounds=1, seed=0
    )


def kept(database, asker):
    """How many of the blobs that measurements of this name have in common the database has."""
    shared = (f"dense of {asker.name}".encode(), b"inputs" + asker.name.encode())
    digests = [hashlib.sha256(content).hexdigest() for content in shared]
    query = "SELECT count(*) FROM mend_blobs JOIN mend_chunks USING (digest) WHERE digest = ANY (:digests)"
    return execute(database, query, digests=digests).scalar()


def row(database, number):
    query = "SELECT state, attempts, answer, blobs, log FROM mend_measurements WHERE measurement_id = :n"
    return execute(database, query, n=number).one()


def test_a_measurement_is_answered_once_and_its_networks_are_gone(database, asker, name, tmp_path):
    number = ask(asker)
    assert kept(database, asker) == 2
    device = joined(database, name, tmp_path)
    measurement = device.claim()
    assert (measurement.measurement_id, measurement.attempt, measurement.request.rounds) == (number, 1, 1)
    assert device.answer(measurement, ANSWER) == "recorded"
    assert device.answer(measurement, ANSWER.model_copy(update={"dense_ms": 9.0})) == "dropped"
    looked = asker.look([number])[number]
    assert (looked.state, looked.answer, looked.served) == ("done", ANSWER, True)
    assert row(database, number).blobs == []
    assert kept(database, asker) == 0
    assert not list(tmp_path.rglob("*.jsonl"))


def test_what_an_open_measurement_has_in_common_stays(database, asker, name, tmp_path):
    first, second = ask(asker), ask(asker)
    device = joined(database, name, tmp_path)
    measurement = device.claim()
    own = measurement.request.networks["a"]
    device.answer(measurement, ANSWER)
    assert kept(database, asker) == 2
    with pytest.raises(mendstore.StorageError, match="not in this database"):
        Blobs(database).read(own)
    asker.withdraw([first, second])
    assert kept(database, asker) == 0
    assert [row(database, number).state for number in (first, second)] == ["done", "withdrawn"]


@pytest.mark.parametrize(
    ("served", "wanted", "claims"),
    [
        ("{name}", {"device": "a board"}, True),
        ("{name}", {"device": "another board"}, False),
        ("{name}", {"threads": 2}, False),
        ("{name}", {"runtime": "onnxruntime:CUDAExecutionProvider"}, False),
        ("{name}-macs-0.5", {}, True),
        ("{name}2", {}, False),
        ("other", {}, False),
    ],
)
def test_a_device_worker_is_handed_what_it_serves(database, name, tmp_path, served, wanted, claims):
    asker = Measurements(database, served.format(name=name))
    number, device = ask(asker, WANTED | wanted), joined(database, name, tmp_path)
    assert bool(asker.devices(WANTED | wanted)) == claims
    assert asker.look([number])[number].served == claims
    assert (device.claim() is not None) == claims
    device.leave("stopped")
    assert not asker.devices(WANTED | wanted)
    asker.withdraw([number])


def test_the_measurement_of_a_device_worker_that_is_not_heard_is_handed_out_again(database, asker, name, tmp_path):
    number = ask(asker)
    silent = joined(database, name, tmp_path / "a", lease_s=LEASE_S)
    held = silent.claim()
    other = joined(database, name, tmp_path / "b")
    assert other.claim() is None
    time.sleep(2 * LEASE_S)
    assert other.claim().attempt == 2
    assert silent.answer(held, ANSWER) == "late"
    assert other.answer(held, ANSWER) == "dropped"
    assert (row(database, number).state, row(database, number).attempts) == ("done", 2)
    assert "its lease ran out" in row(database, number).log


def test_a_heartbeat_keeps_the_measurement(database, asker, name, tmp_path):
    ask(asker)
    device, other = joined(database, name, tmp_path / "a", lease_s=1.0), joined(database, name, tmp_path / "b")
    heartbeat = mendstore.Heartbeat(device, limit_s=60)
    heartbeat.start()
    measurement = device.claim()
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        assert other.claim() is None
        time.sleep(0.1)
    heartbeat.close()
    assert device.answer(measurement, ANSWER) == "recorded"


def test_what_ends_three_device_workers_has_failed(database, asker, name, tmp_path):
    number = ask(asker)
    for _ in range(3):
        silent = joined(database, name, tmp_path, lease_s=LEASE_S)
        assert silent.claim() is not None
        time.sleep(1.2 * LEASE_S)
        looked = asker.look([number])[number]
    assert looked.state == "failed"
    assert looked.log.count("its lease ran out") == 3
    assert kept(database, asker) == 0
    assert joined(database, name, tmp_path).claim() is None


def test_what_is_given_back_does_not_count(database, asker, name, tmp_path):
    number = ask(asker)
    for _ in range(4):
        device = joined(database, name, tmp_path)
        assert device.claim().attempt == 1
        device.leave("signal 15")
    assert row(database, number).state == "waiting"


def test_what_the_device_cannot_measure_has_failed_at_once(database, asker, name, tmp_path):
    number, device = ask(asker), joined(database, name, tmp_path)
    device.fail(device.claim(), "no such operator")
    assert (asker.look([number])[number].state, asker.look([number])[number].log) == ("failed", "no such operator")
    assert kept(database, asker) == 0


def test_a_request_of_another_version_has_failed(database, asker, name, tmp_path):
    number = ask(asker)
    execute(database, "UPDATE mend_measurements SET request = '{}' WHERE measurement_id = :n", n=number)
    assert joined(database, name, tmp_path).claim() is None
    assert "the request cannot be read: networks" in row(database, number).log


def test_a_claim_whose_answer_was_lost_is_handed_out_again(database, asker, name, tmp_path):
    number, device = ask(asker), joined(database, name, tmp_path)
    assert device.claim() == device.claim()
    assert row(database, number).attempts == 1


def test_what_nobody_waits_for_is_not_handed_out_and_is_collected(database, asker, name, tmp_path):
    number, device = ask(asker), joined(database, name, tmp_path)
    aged = "UPDATE mend_blobs SET created_at = created_at - interval '2 hours' WHERE digest IN ("
    aged += "SELECT jsonb_array_elements_text(blobs) FROM mend_measurements WHERE measurement_id = :n)"
    execute(database, aged, n=number)
    collect(database)
    assert kept(database, asker) == 2
    execute(database, "UPDATE mend_measurements SET wanted_at = wanted_at - interval '2 hours' WHERE measurement_id = :n",
            n=number)  # fmt: skip
    assert device.claim() is None
    collect(database)
    assert kept(database, asker) == 0


def test_many_claim_at_once_and_each_measurement_is_held_by_one(url_of_many, name, tmp_path):
    databases = [mendstore.Database(url_of_many) for _ in range(4)]
    asker = Measurements(databases[0], name)
    numbers = [ask(asker) for _ in range(12)]

    def work(database):
        device, done = joined(database, name, tmp_path), []
        while (measurement := device.claim()) is not None:
            assert device.answer(measurement, ANSWER) == "recorded"
            done.append(measurement.measurement_id)
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [number for found in pool.map(work, databases) for number in found]
    assert sorted(done) == numbers
    assert kept(databases[0], asker) == 0
    for database in databases:
        database.close()


@pytest.fixture
def url_of_many(storage):
    mendstore.upgrade(storage)
    return storage


def test_a_network_that_another_measurement_removed_meanwhile_is_put_again(database, asker, monkeypatch):
    put, removed = Blobs.put, []

    def put_and_lose(self, content):
        digest = put(self, content)
        if not removed:
            removed.append(digest)
            execute(database, "DELETE FROM mend_blobs WHERE digest = :d", d=digest)
        return digest

    monkeypatch.setattr(Blobs, "put", put_and_lose)
    number = ask(asker)
    assert kept(database, asker) == 2
    asker.withdraw([number])


def test_asking_twice_is_asking_once(database, name):
    values = ("a token", name, {}, {"x": 1}, [])
    first, second = (database.call("mend_measure", *values) for _ in range(2))
    assert first == second
    execute(database, "DELETE FROM mend_measurements WHERE measurement_id = :n", n=first)


def test_a_search_that_is_removed_takes_its_measurements_with_it(database, asker, name):
    mendstore.register(database, name, trials=1, distributions={}, fingerprint="", spec={}, versions={}, starts=[])
    number = ask(asker)
    asker.withdraw([number])
    mendstore.remove(database, name)
    assert asker.look([number]) == {}


@pytest.fixture
def network(storage):
    """A proxy in front of the server, and a URL through it."""
    url = sa.make_url(mendstore.normalised(storage))
    with proxied(f"{url.query['host']}/.s.PGSQL.{url.port or 5432}") as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port, query={})
        yield proxy, through.render_as_string(hide_password=False)


def test_an_answer_outlives_an_outage(asker, name, network, tmp_path):
    proxy, through = network
    number, distant = ask(asker), mendstore.Database(through, outage_s=60)
    device = joined(distant, name, tmp_path)
    measurement = device.claim()
    proxy.cut()
    with ThreadPoolExecutor(1) as pool:
        how = pool.submit(device.answer, measurement, ANSWER)
        time.sleep(1)
        assert asker.look([number])[number].state == "leased"
        proxy.restore()
        assert how.result(60) == "recorded"
    assert asker.look([number])[number].answer == ANSWER
    assert not list(tmp_path.rglob("*.jsonl"))
    distant.close()


def test_an_answer_is_on_disk_when_the_outage_lasts_too_long(asker, name, network, tmp_path):
    proxy, through = network
    number, distant = ask(asker), mendstore.Database(through, outage_s=1)
    device = joined(distant, name, tmp_path)
    measurement = device.claim()
    proxy.close()
    with pytest.raises(mendstore.StorageError):
        device.answer(measurement, ANSWER)
    (path,) = tmp_path.rglob("*.jsonl")
    assert json.loads(path.read_text()) == {"measurement_id": number, "answer": ANSWER.written()}
    distant.close()
    asker.withdraw([number])


def test_an_answer_that_was_not_sent_is_sent_by_the_next_device_worker_on_the_node(database, asker, name, tmp_path):
    number, device = ask(asker), joined(database, name, tmp_path)
    device.claim()
    kept_back = {"measurement_id": number, "answer": ANSWER.written()}
    device._spool.add(number, kept_back)
    device._spool._lock.release()  # as the system does when the process is killed
    joined(database, name, tmp_path)
    assert asker.look([number])[number].answer == ANSWER
    assert not list(tmp_path.rglob("*.jsonl"))
