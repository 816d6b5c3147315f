"""Times in turns, on a device whose clock only its passes move."""

from contextlib import nullcontext

import numpy as np
import pytest

from mendsearch.latency.measuring import MORE, measure


class Device:
    """Passes take known seconds, times a factor that is drawn anew at each pass of `busy` other work."""

    threads, on_cpu = 1, True

    def __init__(self, busy=0.0, drift=0.0):
        self.now, self.speed, self.drift, self.busy = 0.0, 1.0, drift, busy
        self.rng, self.passes = np.random.default_rng(0), 0

    def running(self):
        return nullcontext()

    def clock(self):
        return self.now

    def takes(self, seconds):
        def run():
            self.passes += 1
            self.speed *= 1 + self.drift
            self.now += seconds * self.speed * (1 + self.busy * self.rng.exponential())

        return run


def measured(device, **more):
    passes = {"wide": device.takes(0.08), "narrow": device.takes(0.02)}
    return measure(passes, device.takes(0.1), device, clock=device.clock, **more)


def test_a_quiet_device_has_as_many_turns_as_were_asked_for():
    device = Device()
    times = measured(device, rounds=5, error=0.01)
    assert times.ms == {"wide": pytest.approx(80), "narrow": pytest.approx(20)}
    assert (times.dense_ms, times.noise, times.error) == (pytest.approx(100), pytest.approx(0), pytest.approx(0))
    once = Device()
    measured(once, rounds=5)
    assert device.passes == once.passes


def test_turns_are_added_where_other_work_comes_and_goes_until_times_are_sure_enough():
    few, many = Device(busy=0.1), Device(busy=0.1)
    before = measured(few, rounds=5)
    after = measured(many, rounds=5, error=0.01)
    assert before.error > 0.01 >= after.error
    assert few.passes < many.passes < MORE * few.passes


def test_a_device_that_is_never_sure_has_so_many_turns_and_no_more():
    few, many = Device(busy=2.0), Device(busy=2.0)
    measured(few, rounds=3)
    assert measured(many, rounds=3, error=1e-6).error > 1e-6
    assert many.passes == pytest.approx(MORE * few.passes, rel=0.1)


def test_a_device_that_slows_down_does_so_for_all_and_the_times_stay_sure():
    times = measured(Device(drift=2e-3), rounds=7)
    assert times.ms["wide"] / times.dense_ms == pytest.approx(0.8, rel=0.02)
    assert times.noise > 0.05 > 10 * times.error
