"""Episodes as data small enough to be played again in a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.rendering import Recording
from qfl_envs.system.network.mobility import area_radius_m
from train import competitors
from train.competition import outside
from train.competition.protocol import SPLIT
from train.evaluation import make_env_of
from train.report.content import Content, Entry, Place
from train.runs import write_atomically
from train.training.plans import model_name

SEED = 0
MOST_DEVICE_FRAMES = 40_000
"""Devices times rounds of one episode; of longer ones only some rounds are kept, evenly spread."""
MARKS = {"delivered": "d", "late": "l", "lost": "x", "depleted": "e"}
"""What became of a device that took part, as a letter."""
REFUSED = "r"
"""The same of one whose update failed its check, where threats are simulated."""
IDLE, UNLINKED = "i", "u"


def replay_of(folder: Path, content: Content, place: Place, say: Callable[[str], None]) -> dict[str, Any]:
    """An episode of the best competitor that knows no more than others; played once and then kept in the folder.

    Args:
        folder: Of the run.
        content: What is in it.
        place: One of its environments.
        say: Called with a line when an episode has to be played.
    """
    entry = next((one for one in place.entries if one.kind != "privileged"), place.entries[0])
    file = folder / "replays" / f"{place.slug}-{_file_name(entry.name)}-{SEED}.json"
    if not file.exists():
        say(f"one episode of {entry.name} in {place.env_id} is played for the replay")
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, json.dumps(record(folder, content, place, entry), separators=(",", ":")))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def record(folder: Path, content: Content, place: Place, entry: Entry) -> dict[str, Any]:
    """Play an episode and keep what a drawing of each round needs, as plain JSON values."""
    arguments = {"scenario": content.about["preset"], **content.about["arguments"]}
    competitor = competitors.make(entry.name, _model(folder, place, entry))
    env = make_env_of(competitor, place.env_id, SPLIT, arguments, render_mode="ansi")
    observation, _ = env.reset(seed=SEED)
    competitor.reset(env, SEED)
    recording: Recording = env.unwrapped.recording  # type: ignore[attr-defined]
    frames, ended = [frame_of(recording)], False
    while not ended:
        observation, _, terminated, truncated, _ = env.step(competitor.act(observation))
        frames.append(frame_of(recording))
        ended = terminated or truncated
    env.close()
    radio, keep = recording.scenario.radio, _kept(len(frames), recording.scenario.num_devices)
    return {
        "competitor": entry.name,
        "seed": SEED,
        "radius_m": round(area_radius_m(radio)),
        "sites_m": recording.sites_m.round().astype(int).tolist(),
        "subchannels": radio.num_subchannels,
        "target": recording.scenario.target_accuracy,
        "rounds": len(frames) - 1,
        "frames": [frames[index] for index in keep],
    }


def frame_of(recording: Recording) -> dict[str, Any]:
    """The last round.

    Returns:
        ``round`` its number, 0 before the first; ``elapsed_s``, ``accuracy``, ``round_s``, ``energy_j``; and of every
        device ``place_m`` (x, y one after the other), ``state`` (one letter of :data:`MARKS`, :data:`REFUSED`,
        :data:`IDLE` or :data:`UNLINKED`), ``subchannel`` (-1 if it does not take part), ``power`` (percent of the range
        in dB) and ``battery`` (percent).
    """
    state = np.where(recording.link_up, IDLE, UNLINKED)
    channel, power = np.full(len(state), -1), np.zeros(len(state))
    report = recording.report
    if report is not None:
        part = report["participation"]
        for name, letter in MARKS.items():
            state = np.where(report[name], letter, state)
        if "refused" in report:
            state = np.where(report["refused"], REFUSED, state)
        limits = recording.scenario.radio
        span = max(limits.max_power_dbm - limits.min_power_dbm, 1e-9)
        channel = np.where(part, report["subchannel"], -1)
        power = np.where(part, 100 * (report["power_dbm"] - limits.min_power_dbm) / span, 0.0)
    return {
        "round": len(recording.round_s),
        "elapsed_s": round(recording.elapsed_s[-1], 2),
        "accuracy": round(recording.accuracy[-1], 4),
        "round_s": round(recording.round_s[-1], 3) if recording.round_s else 0.0,
        "energy_j": round(recording.energy_j[-1], 3) if recording.energy_j else 0.0,
        "place_m": recording.position_m.round().astype(int).ravel().tolist(),
        "state": "".join(state.tolist()),
        "subchannel": channel.astype(int).tolist(),
        "power": power.round().clip(0, 100).astype(int).tolist(),
        "battery": (100 * np.asarray(recording.battery)).round().astype(int).tolist(),
    }


def summary(replay: Mapping[str, Any]) -> str:
    """What the replay shows, in words."""
    last = replay["frames"][-1]
    return (
        f"{replay['competitor']}, test seed {replay['seed']}: {replay['rounds']} rounds, {last['elapsed_s']:.1f} "
        f"simulated seconds, held-out accuracy {last['accuracy']:.3f} of {replay['target']:g}."
    )


def _model(folder: Path, place: Place, entry: Entry) -> Path | None:
    """Where the run keeps what a competitor was trained to, or the file that it is; None where it needs none."""
    if outside.is_model(entry.name):
        return outside.file_of(entry.name)
    if entry.row["training"] is None:
        return None
    return folder / "models" / model_name(place.env_id, entry.name)


def _file_name(name: str) -> str:
    """A competitor's name, which may be a path, as part of a file's."""
    return "".join(one if one.isalnum() or one in "-_." else "-" for one in name)


def _kept(frames: int, devices: int) -> list[int]:
    """Which frames fit, the first and the last among them."""
    most = max(2, MOST_DEVICE_FRAMES // devices)
    return np.unique(np.linspace(0, frames - 1, min(frames, most)).round().astype(int)).tolist()
