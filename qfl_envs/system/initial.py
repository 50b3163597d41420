"""What systems are at the start of an episode, before anything is learned."""

from __future__ import annotations

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system import devices, evolution
from qfl_envs.system.difficulty import Difficulty
from qfl_envs.system.learning.drift import num_worlds, onset_round
from qfl_envs.system.learning.shapes import NUM_CLASSES, kept_parameters
from qfl_envs.system.network import channel, links, mobility
from qfl_envs.system.random import RowRandom
from qfl_envs.system.state import SystemState


def initial_state(scenario: Scenario, difficulty: Difficulty, sites_m: np.ndarray, random: RowRandom) -> SystemState:
    """Place devices and deal batteries, processors and links; data, model and threats are still empty.

    Args:
        scenario: What each system is.
        difficulty: How much of the fleet there is, how unequal it is, and how strongly data will drift.
        sites_m: (C, 2) places of the base stations.
        random: What everything is drawn from, one generator per system.
    """
    fleet, learning = scenario.fleet, scenario.learning
    systems, n, c = len(random.generators), scenario.num_devices, scenario.radio.num_cells
    parameters, worlds = kept_parameters(scenario), num_worlds(scenario.drift)
    uniform = random.uniform(
        place=(n, 3),
        heading=(n,),
        link=(n,),
        cpu=(n,),
        shot=(n,),
        battery=(n,),
        drift=(1 + n,),
    )
    normal = random.normal(
        velocity=(n, 2), shadowing=(n, c), rician=(n,), scatter=(n, c, scenario.radio.num_subchannels, 2), load=(n,)
    )
    mean_velocity = mobility.mean_velocity(fleet, uniform["heading"])
    spread = difficulty.heterogeneity
    battery_j = devices.draw_per_device(fleet.battery_j, uniform["battery"], spread)
    rician_k_db = scenario.radio.rician_k_db + scenario.radio.rician_k_std_db * normal["rician"]
    # what a product of floating point is above a whole number is no device
    of_fleet = np.arange(n) < np.ceil(difficulty.fleet * n - 1e-9)
    controlled = parameters if learning.server_rule == "scaffold" else 0
    flying = parameters if scenario.goes_on else 0
    state = SystemState(
        position_m=mobility.place(scenario.radio, uniform["place"]),
        velocity_mps=mean_velocity + fleet.speed_std_mps * normal["velocity"],
        mean_velocity_mps=mean_velocity,
        shadowing_db=scenario.radio.shadowing_db * normal["shadowing"],
        rician_k=10 ** (rician_k_db / 10),
        scatter=channel.complex_normal(normal["scatter"]),
        gain=np.zeros(()),
        mean_gain=np.zeros(()),
        active=np.tile(of_fleet, (systems, 1)),
        link_up=links.start_up(scenario.radio, uniform["link"]),
        max_cpu_hz=devices.draw_per_device(fleet.cpu_hz, uniform["cpu"], spread),
        shot_s=devices.draw_per_device(fleet.shot_s, uniform["shot"], spread),
        load_normal=normal["load"],
        battery_j=battery_j,
        full_battery_j=battery_j.copy(),
        busy_s=np.zeros((systems, n)),
        sample_index=np.zeros((systems, worlds, n, 1), dtype=np.int32),
        num_samples=np.ones((systems, n), dtype=np.int64),
        label_map=np.tile(np.arange(NUM_CLASSES), (systems, worlds, 1)),
        label_share=np.zeros((systems, worlds, n, NUM_CLASSES)),
        onset_round=onset_round(scenario.drift, uniform["drift"]),
        drift_strength=np.full(systems, difficulty.drift),
        parameters=np.zeros((systems, parameters), dtype=np.float32),
        first_moment=np.zeros((systems, parameters), dtype=np.float32),
        second_moment=np.zeros((systems, parameters), dtype=np.float32),
        adam_steps=np.zeros(systems, dtype=np.int64),
        updates=np.zeros(systems, dtype=np.int64),
        local_rate=np.full(systems, learning.local_rate),
        dropout=np.full(systems, learning.dropout),
        activation_bits=np.full(systems, learning.activation_bits or 0),
        controls=np.zeros((systems, n, controlled)),
        server_control=np.zeros((systems, controlled)),
        flight=np.zeros((systems, n, flying), dtype=np.float32),
        flight_arrives=np.zeros((systems, n), dtype=bool),
        flight_weight=np.zeros((systems, n)),
        held_version=np.zeros((systems, n), dtype=np.int64),
        received_loss=np.zeros((systems, n)),
        accuracy=np.zeros(systems),
        start_accuracy=np.zeros(systems),
        best_accuracy=np.zeros(systems),
        loss=np.zeros(systems),
        device_loss=np.zeros((systems, n)),
        device_accuracy=np.zeros((systems, n)),
        reported_loss=np.full((systems, n), np.log(NUM_CLASSES)),
        age=np.zeros((systems, n), dtype=np.int64),
        round_index=np.zeros(systems, dtype=np.int64),
        elapsed_s=np.zeros(systems),
        energy_j=np.zeros(systems),
        last_round_s=np.zeros(systems),
        hostile=np.zeros((systems, 0), dtype=bool),
        threats=np.zeros((systems, 0), dtype=bool),
        q_day_round=np.zeros((systems, 0)),
        key_bits=np.zeros((systems, 0)),
        exposed=np.zeros((systems, 0)),
        signs=np.zeros((systems, 0)),
    )
    evolution.observe_gain(scenario.radio, state, sites_m)
    return state
