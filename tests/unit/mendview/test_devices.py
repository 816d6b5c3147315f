from mendstore.queries.devices import Devices, DeviceStatus
from mendstore.records import DeviceSetting
from mendview import devices

SETTING = DeviceSetting(runtime="onnxruntime", device="a board", threads=1, dtype="float32", versions={})


def worker(number, state="alive", setting=SETTING, **given):
    values = {"seen_s": 0.2, "measurement": None, "measured": None, "held_s": None, "done": 0} | given
    return DeviceStatus(number, "mine", setting, "a-host", state, **values)


def found(*workers, **counts):
    return Devices(workers, **({"waiting": 0, "measuring": 0, "done": 0, "failed": 0, "withdrawn": 0} | counts))


def test_each_that_may_measure_has_a_line_and_the_others_are_counted():
    busy = worker(4, measurement=12, measured="mine-corrected", held_s=3.0)
    gone = [worker(3, "silent", seen_s=300.0), worker(2, "lost"), worker(1, "ended")]
    assert devices.lines(found(busy, *gone, waiting=2, measuring=1, done=8)) == [
        "a board, onnxruntime, 1 thread: alive, heard now, at measurement 12 of `mine-corrected` for 3.0 s",
        "a board, onnxruntime, 1 thread: silent, heard 5 min ago",
        "earlier ones: 1 lost, 1 ended",
        "measurements: 2 waiting, 1 measuring, 8 done",
    ]


def test_where_all_are_gone_the_last_one_has_the_line():
    gone = worker(2, "lost", seen_s=90.0), worker(1, "ended", seen_s=900.0)
    assert devices.lines(found(*gone)) == [
        "a board, onnxruntime, 1 thread: lost, heard 1 min 30 s ago",
        "earlier ones: 1 ended",
        "measurements: none asked for",
    ]


def test_a_setting_that_cannot_be_read_is_said():
    lines = devices.lines(found(worker(1, setting=None), failed=1))
    assert lines[0] == (
        "a device worker on a-host, whose setting cannot be read: alive, heard now, waiting for a measurement"
    )
    assert devices.summary(found(worker(1, setting=None)))["workers"][0]["device"] is None


def test_the_same_as_plain_values():
    busy = worker(4, measurement=12, measured="mine", held_s=3.0, done=7)
    assert devices.summary(found(busy, done=7)) == {
        "workers": [
            {
                "device": "a board", "runtime": "onnxruntime", "threads": 1, "host": "a-host", "serves": "mine",
                "state": "alive", "seen_s": 0.2, "measurement": 12, "of": "mine", "done": 7,
            }
        ],
        "measurements": {"waiting": 0, "measuring": 0, "done": 7, "failed": 0, "withdrawn": 0},
    }  # fmt: skip
    assert devices.summary(None) is None
