"""What becomes of one upload, by hand: the model comes down in 1 s, work takes 2 s and 6 J, the update takes 4 s."""

import numpy as np
import pytest

from qfl_envs.scenario import Scenario
from qfl_envs.system import devices, upload
from qfl_envs.system.network import radio

SCENARIO = Scenario().replace(
    {
        "deadline_s": 20.0,
        "radio": {"num_cells": 1, "num_subchannels": 2, "waterfall": np.log(2.0)},
        "fleet": {"transmit_circuit_w": 0.5},
    }
)
# 4 s at 1.5 W + 0.5 W after 6 J of work
NEEDED_J = 14.0


def sent(*, battery_j=100.0, limit_s=20.0, packet=0.9, participate=True, share=1.0):
    """Delivery of a single device whose SINR of 1 makes it lose every second packet."""
    one = np.ones((1, 1))
    gain, serving = np.full((1, 1, 1, 2), 1e-10), np.zeros((1, 1), dtype=np.int64)
    down_bps = radio.downlink_rate_bps(SCENARIO.radio, gain, serving).item()
    return upload.deliver(
        SCENARIO,
        radio.Uplink(sinr=one, rate_bps=250.0 * one, share=share * one),
        np.full((1, 1), participate),
        1.5 * one,
        1000.0 * one,
        upload.Downlink(down_bps, gain, serving),
        devices.Work(2.0 * one, 6.0 * one),
        battery_j * one,
        limit_s,
        packet * one,
    )


def test_an_update_in_time_is_received_whole():
    done = sent()
    assert done.received.all() and not (done.late | done.lost | done.depleted).any()
    assert done.finish_s.item() == done.end_s.item() == pytest.approx(1 + 2 + 4)
    assert done.upload_s.item() == pytest.approx(4)
    assert done.energy_j.item() == pytest.approx(NEEDED_J)
    assert done.bits_sent.item() == pytest.approx(1000)


def test_a_packet_in_error_is_heard_at_its_end():
    done = sent(packet=0.4)
    assert done.lost.all() and not done.received.any()
    assert done.end_s.item() == pytest.approx(7)


def test_a_late_update_is_cut_off_at_the_limit():
    done = sent(limit_s=5.0)
    assert done.late.all() and not (done.received | done.lost).any()
    assert done.end_s.item() == 5
    assert done.upload_s.item() == pytest.approx(2)
    assert done.energy_j.item() == pytest.approx(6 + 2 * 2)
    assert done.bits_sent.item() == pytest.approx(500)


def test_work_itself_is_cut_off_at_the_limit():
    done = sent(limit_s=1.5)
    assert done.late.all()
    assert done.upload_s.item() == 0
    assert done.energy_j.item() == pytest.approx(6 * 1.5 / 3)


def test_an_empty_battery_ends_the_upload():
    done = sent(battery_j=8.0)
    assert done.depleted.all() and not done.received.any()
    assert done.upload_s.item() == pytest.approx(1)
    assert done.energy_j.item() == 8
    assert done.end_s.item() == 20


def test_who_takes_turns_radiates_for_a_share_of_the_time():
    assert sent(share=0.25).energy_j.item() == pytest.approx(6 + 0.25 * 8)


def test_a_round_in_which_nobody_takes_part_lasts_until_the_deadline():
    done = sent(participate=False, limit_s=30.0)
    assert done.end_s.item() == 20
    for name in ("finish_s", "upload_s", "energy_j", "bits_sent", "late", "depleted", "lost", "received"):
        assert not getattr(done, name).any()
