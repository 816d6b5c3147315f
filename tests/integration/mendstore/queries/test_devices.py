import json
import time

import pytest

import mendstore
from mendstore import Device, Measurements
from mendstore.queries.devices import devices
from mendstore.records import DeviceSetting
from tests.integration.mendstore.test_devices import ANSWER, LEASE_S, SETTING, ask, joined
from tests.integration.mendstore.test_queue import execute


@pytest.fixture
def look(reader, name):
    return lambda served=name: reader.read(lambda snapshot: devices(snapshot, served))


def only(found):
    (worker,) = found.workers
    return worker


def test_a_name_that_no_device_worker_serves_has_none(database, name, look, tmp_path):
    joined(database, name, tmp_path)
    assert look(f"{name}2") is look("other") is None
    assert only(look(f"{name}-corrected")).name == name


def test_what_a_device_worker_is_at_and_how_many_measurements_there_are(database, name, look, tmp_path):
    device, asker = joined(database, name, tmp_path), Measurements(database, name)
    beside = Measurements(database, f"{name}-macs-0.5")
    numbers = [ask(asker) for _ in range(4)]
    worker = only(look())
    assert (worker.device_id, worker.state, worker.measurement, worker.done) == (device.device_id, "alive", None, 0)
    assert worker.setting == DeviceSetting.read(SETTING)
    assert 0 <= worker.seen_s < 60

    held = device.claim()
    assert (only(look()).measurement, only(look()).measured) == (numbers[0], name)
    assert only(look(beside.name)).measured == name, "it is seen at the work of another search"
    assert only(look()).held_s >= 0
    device.answer(held, ANSWER)
    device.fail(device.claim(), "no such operator")
    asker.withdraw([numbers[2]])
    found = look()
    assert (only(found).measurement, only(found).done) == (None, 1)
    assert (found.waiting, found.measuring, found.done, found.failed, found.withdrawn) == (1, 0, 1, 1, 1)
    assert look(beside.name).done == only(look(beside.name)).done == 0

    forgotten = "UPDATE mend_measurements SET wanted_at = wanted_at - interval '1 hour' WHERE measurement_id = :n"
    execute(database, forgotten, n=numbers[3])
    assert (look().waiting, look().withdrawn) == (0, 2), "nobody waits for it, and it is not handed out"


def test_a_device_worker_is_gone_by_its_lease_and_the_clock_of_the_database(database, name, look, tmp_path):
    asker, first = Measurements(database, name), joined(database, name, tmp_path / "a", lease_s=LEASE_S)
    number = ask(asker)
    held = first.claim()
    time.sleep(2 * LEASE_S)
    assert (only(look()).state, only(look()).measurement) == ("silent", number)
    assert only(look()).seen_s > LEASE_S
    second = joined(database, name, tmp_path / "b")
    assert [worker.device_id for worker in look().workers] == [second.device_id, first.device_id]
    second.claim()  # what the silent one held is handed out again
    assert [worker.state for worker in look().workers] == ["alive", "lost"]
    second.answer(held, ANSWER)
    second.leave("signal 15")
    assert [worker.state for worker in look().workers] == ["ended", "lost"]
    assert [look().count(state) for state in ("alive", "ended", "lost")] == [0, 1, 1]


def test_a_setting_that_cannot_be_read_hides_no_device_worker(database, name, look, tmp_path):
    device = Device(database, name, SETTING, tmp_path)
    broken = "UPDATE mend_devices SET setting = CAST(:setting AS jsonb) WHERE device_id = :n"
    for setting in ({}, {"threads": "<b>"}, []):
        execute(database, broken, setting=json.dumps(setting), n=device.device_id)
        assert only(look()).setting is None
    newer = json.dumps(SETTING | {"clock": "1 GHz"})
    execute(database, broken, setting=newer, n=device.device_id)
    assert only(look()).setting == DeviceSetting.read(SETTING)


def test_the_setting_that_is_shown_is_the_one_that_is_asked_for(database, name, look, tmp_path):
    joined(database, name, tmp_path)
    (asked,) = mendstore.Measurements(database, name).devices({})
    assert only(look()).setting.written() == asked.setting
