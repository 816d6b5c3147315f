"""A device worker as a process without PyTorch: it is killed, stopped and cut off like a worker, and loses nothing."""

import json
import signal
import time

import pytest
import sqlalchemy as sa
import torch

import mendstore
from bench.fleet.delay_proxy import proxied
from mendsearch.batches import Batch
from mendsearch.errors import MendsearchError, UsageError
from mendsearch.latency.asking import DeviceTimer, NoDeviceError, find_device, wanted
from mendsearch.latency.graphs import Graphs, inputs_file
from mendsearch.latency.sessions import Sessions
from mendsearch.models.resnet import ResNet
from tests.acceptance.cli import mendsearch
from tests.integration.latency.device_workers import BOARD, device_worker, until
from tests.integration.mendstore.test_queue import execute

MODEL, ITEM = ResNet(depth=8, width=8, in_channels=3).eval(), Batch.of(torch.randn(1, 3, 16, 16))
SMALL = ResNet(depth=8, width=4, in_channels=3).eval()
WANTED = wanted("onnxruntime", 1, BOARD)
LONG = 120
"""Rounds that take many seconds."""
SHORT, SHORT_S = 30, 5.0
"""Rounds that take fewer seconds than that."""


@pytest.fixture(scope="module")
def files():
    """The network as ONNX, a smaller one, and their inputs."""
    dense, small = (Graphs(Sessions()).graph(model, ITEM).content for model in (MODEL, SMALL))
    return {"networks": {"small": small, "dense": dense}, "dense": dense, "inputs": inputs_file(MODEL, ITEM)}


@pytest.fixture
def asker(database, name):
    return mendstore.Measurements(database, name)


def state(asker, number):
    return asker.look([number])[number].state


def rows(database, name):
    query = "SELECT state, attempts, blobs FROM mend_measurements WHERE name = :n"
    return [tuple(row) for row in execute(database, query, n=name)]


def test_networks_are_timed_where_there_is_no_torch(database, asker, name, storage, files, tmp_path):
    with device_worker(storage, name, tmp_path):
        assert find_device(asker, wanted("onnxruntime", 1), storage, 60, print) == BOARD
        number = asker.ask(WANTED, **files, rounds=3, seed=0)
        until(lambda: state(asker, number) == "done")
    answer = asker.look([number])[number].answer
    assert answer.ms["small"] > 0
    assert answer.ms["dense"] == pytest.approx(answer.dense_ms, rel=0.5)
    assert answer.setting["device"] == BOARD
    assert rows(database, name) == [("done", 1, [])]


def shown(storage, name, cwd):
    """What `status` says of a name, as plain values and as text."""
    told = [mendsearch("status", storage, name, *more, cwd=cwd) for more in (("--json",), ())]
    assert [done.returncode for done in told] == [0, 0], told
    return json.loads(told[0].stdout)[0]["devices"], told[1].stdout


def test_status_shows_what_a_device_worker_is_at_until_it_is_gone(database, asker, name, storage, files, tmp_path):
    nobody = mendsearch("status", storage, name, cwd=tmp_path)
    assert (nobody.returncode, "no search" in nobody.stderr) == (2, True)
    with device_worker(storage, name, tmp_path / "board") as worker:
        until(lambda: asker.devices(WANTED))
        plain, text = shown(storage, name, tmp_path)  # before there is a search, since a profile is made first
        assert "no search yet" in text
        assert f"{BOARD}, onnxruntime, 1 thread: alive" in text
        assert "waiting for a measurement" in text
        mendstore.register(database, name, trials=1, distributions={}, fingerprint="", spec={}, versions={}, starts=[])
        number = asker.ask(WANTED, **files, rounds=10_000, seed=0)
        until(lambda: state(asker, number) == "leased")
        plain, text = shown(storage, name, tmp_path)
        (seen,) = plain["workers"]
        assert (seen["device"], seen["runtime"], seen["threads"]) == (BOARD, "onnxruntime", 1)
        assert (seen["state"], seen["measurement"], seen["of"]) == ("alive", number, name)
        assert plain["measurements"] == {"waiting": 0, "measuring": 1, "done": 0, "failed": 0, "withdrawn": 0}
        assert f"at measurement {number} of `{name}`" in text
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        plain, text = shown(storage, name, tmp_path)
        assert plain["workers"][0]["state"] == "lost", "its process is known to have ended"
    asker.withdraw([number])


def test_what_a_killed_device_worker_held_is_measured_by_another(database, asker, name, storage, files, tmp_path):
    number = asker.ask(WANTED, **files, rounds=LONG, seed=0)
    with device_worker(storage, name, tmp_path) as first:
        until(lambda: state(asker, number) == "leased")
        first.send_signal(signal.SIGKILL)
    with device_worker(storage, name, tmp_path):
        until(lambda: state(asker, number) == "done")
    assert rows(database, name) == [("done", 2, [])]


def test_one_that_is_stopped_gives_back_and_says_so(database, asker, name, storage, files, tmp_path):
    number = asker.ask(WANTED, **files, rounds=10_000, seed=0)
    with device_worker(storage, name, tmp_path) as worker:
        until(lambda: state(asker, number) == "leased")
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 128 + signal.SIGTERM
    assert "the current work was given back" in said
    assert rows(database, name)[0][:2] == ("waiting", 0)
    asker.withdraw([number])


def test_an_idle_one_ends_at_once(storage, asker, name, tmp_path):
    with device_worker(storage, name, tmp_path) as worker:
        until(lambda: asker.devices(WANTED))
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=10)
    assert worker.returncode == 128 + signal.SIGINT
    assert asker.devices(WANTED) == []


def test_one_that_is_cut_off_brings_its_answer_when_the_network_is_back(
    database, asker, name, storage, files, tmp_path
):
    url = sa.make_url(mendstore.normalised(storage))
    with proxied(f"{url.query['host']}/.s.PGSQL.{url.port or 5432}") as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)
        number = asker.ask(WANTED, **files, rounds=SHORT, seed=0)
        with device_worker(through, name, tmp_path, "--lease", "2"):
            until(lambda: state(asker, number) == "leased")
            proxy.cut()
            until(lambda: state(asker, number) == "waiting")  # its lease ran out
            time.sleep(SHORT_S)  # the answer is there, and cannot be sent
            proxy.restore()
            until(lambda: state(asker, number) == "done")
            until(lambda: asker.devices(WANTED))
    assert rows(database, name) == [("done", 1, [])]


def test_what_the_runtime_cannot_open_has_failed_with_the_reason(asker, name, storage, files, tmp_path):
    with device_worker(storage, name, tmp_path):
        number = asker.ask(WANTED, {"broken": b"no network"}, files["dense"], files["inputs"], rounds=1, seed=0)
        until(lambda: state(asker, number) == "failed")
        assert f"onnxruntime on {BOARD}: " in asker.look([number])[number].log
        timer = DeviceTimer(asker, WANTED, MODEL, ITEM, 60)
        again = timer.together({"small": SMALL}, rounds=1, seed=0)  # and it goes on
        assert set(again.ms) == {"small"}


def test_sets_are_timed_in_order_two_at_a_time(database, asker, name, storage, tmp_path):
    timer = DeviceTimer(asker, WANTED, MODEL, ITEM, 60)
    with device_worker(storage, name, tmp_path):
        times = timer.times(([MODEL, SMALL] for _ in range(5)), seed=0)
        assert set(next(times).ms) == set(next(times).ms) == {0, 1}
        times.close()
    assert timer.setting.device == BOARD
    assert set(timer.setting.versions) == {"torch", "onnxruntime"}
    assert {
        blobs for _, _, blobs in ((state, attempts, str(blobs)) for state, attempts, blobs in rows(database, name))
    } == {"[]"}
    ended = sorted(state for state, *_ in rows(database, name))
    assert ended[:2] == ["done", "done"]
    assert ended[2:] in (["withdrawn"], ["done"])  # the third may be over before it can be withdrawn


def test_what_no_device_worker_has_timed_is_withdrawn_when_the_asker_gives_up(database, asker, name):
    with pytest.raises(NoDeviceError):
        next(DeviceTimer(asker, WANTED, MODEL, ITEM, 0.5).times(([SMALL] for _ in range(5)), seed=0))
    assert rows(database, name) == [("withdrawn", 0, [])] * 2


def test_without_a_device_worker_the_command_is_said_and_it_ends(asker, name, storage):
    said = []
    with pytest.raises(NoDeviceError, match="no device worker has come") as caught:
        find_device(asker, wanted("onnxruntime", 2), storage, 0.2, said.append)
    assert caught.value.exit_code == 4
    command = mendstore.command("device", storage, name, "--runtime", "onnxruntime", "--threads", "2")
    assert said[0].endswith(f": {command}")
    assert str(caught.value).endswith(f": {command}")


def test_a_device_worker_that_went_is_waited_for_and_missed(asker):
    timer = DeviceTimer(asker, WANTED, MODEL, ITEM, 0.5)
    with pytest.raises(NoDeviceError, match="none has come for"):
        timer.together({"small": SMALL}, rounds=1, seed=0)


def test_device_workers_on_two_devices_are_refused(database, asker, name, storage, tmp_path):
    setting = WANTED | {"versions": {}}
    for device in ("one", "two"):
        mendstore.Device(database, name, setting | {"device": device}, tmp_path)
    with pytest.raises(UsageError, match="got device workers on one, two, expected one device"):
        find_device(asker, wanted("onnxruntime", 1), storage, 1, print)


def test_a_runtime_with_torch_is_refused():
    with pytest.raises(
        UsageError, match="device: got runtime 'torch', expected one that needs no PyTorch: onnxruntime, openvino"
    ):
        wanted("torch", 1)
    assert issubclass(NoDeviceError, MendsearchError)
