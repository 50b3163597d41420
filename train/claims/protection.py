"""Experiments behind claims on protection: its overhead, keys that show who listens, sums that hide, a ledger."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.shapes import model_bits
from qfl_envs.system.security.protection import Protection
from train import competitors
from train.claims.experiment import Experiment, Values
from train.evaluation import make_env, play
from train.security.hiding import bits_per_client, exact_sums, subsets_uniform
from train.security.listening import alarm_rate
from train.security.tampering import CHECKS, noticed, written

QUANTILES = (np.arange(10_000) + 0.5) / 10_000


class Overhead(Experiment):
    """Bits of an upload and time of rounds, under kinds of protection, of models of two sizes."""

    def series(self) -> list[str]:
        """Every protection of every model."""
        return [
            f"{protection}, {model}" for model in self.settings["models"] for protection in self.settings["schemes"]
        ]

    def compute(self, series: str, seed: int) -> Values:
        """Bits of an upload, mean time of a round, and share of the updates that arrive in time."""
        name, model = series.rsplit(", ", 1)
        protection = Protection(**self.settings["schemes"][name])
        learning = {"learning": self.settings["models"][model]}
        cycles = float(protection.cycles(QUANTILES).mean())
        arguments: dict[str, Any] = {
            **learning,
            "scenario": self.settings["preset"],
            "max_rounds": self.settings["rounds"],
            "target_accuracy": 1.0,
            "security": {"protection_bits": 8 * protection.upload_bytes, "protection_cycles": cycles},
        }
        env = make_env(self.settings["env"], "test", arguments)
        episode = play(env, competitors.make(self.settings["competitor"]), seed)
        update_bits = model_bits(Scenario.preset(self.settings["preset"]).replace(learning))
        return {
            "bits": update_bits * protection.expansion(update_bits),
            "round_s": episode.simulated_s / self.settings["rounds"],
            "delivered": float(episode.delivered),
        }


class Keys(Experiment):
    """Sessions that agree on keys, of whose pulses shares are intercepted."""

    def series(self) -> list[str]:
        """Every protocol under every share."""
        return [
            f"{protocol}, {share:g}"
            for protocol in self.settings["protocols"]
            for share in self.settings["intercepted"]
        ]

    def compute(self, series: str, seed: int) -> Values:
        """How many sessions raise an alarm, and are given up."""
        protocol, share = series.split(", ")
        settings, generator = self.settings, np.random.default_rng([seed, int(1000 * float(share))])
        sessions, pulses, error = settings["sessions"], settings["pulses"], settings["device_error"]
        return alarm_rate(protocol, sessions, pulses, float(share), error, generator)


class Sums(Experiment):
    """Sums of numbers that no message shows."""

    def series(self) -> list[str]:
        """The ways to add up."""
        return list(self.settings["ways"])

    def compute(self, series: str, seed: int) -> Values:
        """Right sums, subsets of messages in which a test finds nothing, and bits of a client."""
        settings, generator = self.settings, np.random.default_rng(seed)
        found = {
            "exact": exact_sums(series, settings["clients"], settings["length"], generator),
            "bits": float(bits_per_client(series, settings["of_clients"], settings["parameters"])),
        }
        if series != "noisy ghz":
            found["hidden"] = subsets_uniform(series, settings["clients"], settings["samples"], generator)
        return found


class Tampering(Experiment):
    """Ledgers that somebody tampers with."""

    def series(self) -> list[str]:
        """What is checked."""
        return list(CHECKS)

    def compute(self, series: str, seed: int) -> Values:
        """Which kinds of tampering are noticed."""
        settings = self.settings
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.jsonl"
            lines = written(path, settings["scheme"], settings["devices"], settings["rounds"])
            return noticed(series, lines, path, np.random.default_rng(seed))
