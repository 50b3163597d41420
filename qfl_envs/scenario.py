"""What a simulated system is: frozen, validated dataclasses with JSON round trip.

``Scenario.preset("small")`` gives one of the presets of :mod:`qfl_envs.presets`, ``Scenario.replace`` a changed copy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

from qfl_envs.errors import InvalidValueError
from qfl_envs.fields import Section, choice, flag, integer, interval, real, reject_unknown, text
from qfl_envs.presets import PRESETS
from qfl_envs.quantum.circuits import ENCODERS, ENTANGLERS, MAX_QUBITS
from qfl_envs.security import Security

ACCESS = ("interference", "time_share")
PARTITIONS = ("iid", "dirichlet", "shards", "one_label")
MODELS = ("qnn", "mlp", "logistic", "tensor_network", "surrogate", "none")
SERVER_RULES = ("fedadam", "fedavg", "q-fedavg", "fednova", "scaffold", "fedasync")
AGGREGATIONS = ("deadline", "synchronous", "asynchronous", "buffered")


class DatasetSize(NamedTuple):
    """Size of a data set, known before it is loaded: most features, training samples, and fewest features."""

    pixels: int
    train_samples: int
    fewest: int = 1


DATASETS = {"digits": DatasetSize(64, 1437), "mnist": DatasetSize(784, 60_000), "sea": DatasetSize(64, 2000, 2)}


@dataclass(frozen=True)
class Radio(Section):
    """Cells, spectrum and propagation."""

    prefix: ClassVar[str] = "radio."

    num_cells: int = integer(1, 1, 61, "base stations on a hexagonal grid, all on the same sub-channels")
    num_subchannels: int = integer(20, 1, 1000, "orthogonal sub-channels of each cell")
    subchannel_hz: float = real(180e3, 1.0, None, "Hz", "bandwidth of one sub-channel", source="one LTE resource block")
    cell_radius_m: float = real(1800.0, 1.0, None, "m", "farthest that a device starts from its base station")
    min_distance_m: float = real(1.0, 0.1, None, "m", "nearest that a device comes to a base station")
    placement: str = choice(
        "uniform_distance",
        ("uniform_distance", "uniform_area"),
        "whether devices are uniform in their distance from a base station or in the area around it",
    )
    carrier_hz: float = real(2e9, 1e6, None, "Hz", "carrier frequency; sets how fast fading changes")
    path_loss_1km_db: float = real(128.1, 0.0, None, "dB", "path loss at 1 km", source="3GPP TR 36.814")
    path_loss_slope_db: float = real(37.6, 0.0, None, "dB per decade", "growth of path loss", source="3GPP TR 36.814")
    min_coupling_loss_db: float = real(
        70.0, 0.0, None, "dB", "least loss between two antennas", source="3GPP TR 36.942"
    )
    shadowing_db: float = real(0.0, 0.0, 30.0, "dB", "standard deviation of shadowing", source="3GPP TR 38.901: 4 to 8")
    shadowing_distance_m: float = real(50.0, 0.1, None, "m", "correlation distance of shadowing", source="TR 36.814")
    rician_k_db: float = real(9.0, -40.0, 40.0, "dB", "mean Rician K of a device", source="3GPP TR 38.901, UMa: 9")
    rician_k_std_db: float = real(0.0, 0.0, 20.0, "dB", "spread of K over devices", source="3GPP TR 38.901, UMa: 3.5")
    noise_dbm_hz: float = real(-174.0, -250.0, 0.0, "dBm/Hz", "noise density", source="thermal noise at 290 K")
    noise_figure_db: float = real(0.0, 0.0, 30.0, "dB", "noise figure of the base stations")
    min_power_dbm: float = real(0.0, -60.0, 60.0, "dBm", "least power of a device that transmits")
    max_power_dbm: float = real(24.0, -60.0, 60.0, "dBm", "most power of a device")
    base_station_dbm: float = real(46.0, -60.0, 80.0, "dBm", "power of a base station, for the model on its way down")
    access: str = choice(
        "interference", ACCESS, "whether devices on one sub-channel of a cell interfere or take turns of equal length"
    )
    sinr_cap_db: float | None = real(
        None, -20.0, 100.0, "dB", "SINR above which the modulation gains nothing", optional=True
    )
    waterfall: float = real(
        0.0, 0.0, 100.0, "", "m in the packet error probability 1 - exp(-m / SINR)", source="Chen et al. 2021: 0.023 dB"
    )
    link_drop: float = real(0.0, 0.0, 1.0, "", "probability that a link is lost from one round to the next")
    link_recover: float = real(1.0, 0.0, 1.0, "", "probability that a lost link is back in the next round")

    def check_together(self) -> None:
        """Refuse bounds in the wrong order."""
        if self.min_power_dbm > self.max_power_dbm:
            raise InvalidValueError(
                "radio.min_power_dbm", self.min_power_dbm, f"at most {self.max_power_dbm} (max_power_dbm)"
            )
        if self.min_distance_m >= self.cell_radius_m:
            raise InvalidValueError(
                "radio.min_distance_m", self.min_distance_m, f"below {self.cell_radius_m} (cell_radius_m)"
            )

    @cached_property
    def noise_w(self) -> float:
        """Noise power of one sub-channel in W."""
        return 10 ** ((self.noise_dbm_hz + self.noise_figure_db - 30) / 10) * self.subchannel_hz


@dataclass(frozen=True)
class Fleet(Section):
    """Devices: how they move, compute and are fed. Intervals are drawn per device, uniform in the logarithm."""

    prefix: ClassVar[str] = "fleet."

    speed_mps: float = real(1.0, 0.0, 100.0, "m/s", "mean speed")
    speed_std_mps: float = real(0.5, 0.0, 100.0, "m/s", "standard deviation of each component of the velocity")
    velocity_memory: float = real(
        0.8, 0.0, 0.9999, "per s", "Gauss-Markov memory of the velocity", source="0.75 to 0.85"
    )
    cpu_hz: tuple[float, float] = interval((1e9, 2e9), 1e3, None, "Hz", "fastest clock", source="Tran et al. 2019")
    cycles_per_sample: float = real(2e6, 0.0, None, "", "CPU cycles per sample and local step, circuits aside")
    capacitance: float = real(
        1e-28,
        0.0,
        None,
        "",
        "effective switched capacitance kappa; energy = kappa cycles f^2",
        source="Yang et al. 2021",
    )
    shot_s: tuple[float, float] = interval((1e-6, 1e-6), 0.0, None, "s", "time of one shot of one circuit")
    queue_s: float = real(0.0, 0.0, None, "s", "wait for the quantum processor, once a round")
    quantum_w: float = real(0.0, 0.0, None, "W", "power drawn while circuits run")
    transmit_circuit_w: float = real(0.0, 0.0, None, "W", "power that transmitting draws beside what is radiated")
    load_mean: float = real(0.0, 0.0, 0.9, "", "mean share of a device's processors taken by other work")
    load_std: float = real(0.0, 0.0, 0.9, "", "standard deviation of that share")
    load_memory: float = real(0.8, 0.0, 0.9999, "per round", "how much of the load lasts to the next round")
    battery_j: tuple[float, float] = interval((1e4, 1e4), 0.0, None, "J", "charge at the start")
    harvest_w: float = real(0.0, 0.0, None, "W", "mean power gained, up to the charge at the start")
    reserve: float = real(0.0, 0.0, 0.9, "", "share of the charge at the start below which a device takes no part")

    def check_together(self) -> None:
        """Refuse an interval that has no uniform distribution in the logarithm."""
        for name in ("cpu_hz", "shot_s", "battery_j"):
            low, high = getattr(self, name)
            if low == 0.0 < high:
                raise InvalidValueError(f"fleet.{name}", (low, high), "a low end above 0, or 0 at both ends")


@dataclass(frozen=True)
class Quantum(Section):
    """The variational circuit of the learners and the processors that run it."""

    prefix: ClassVar[str] = "quantum."

    num_qubits: int = integer(6, 1, MAX_QUBITS, "qubits, one per feature")
    num_layers: int = integer(3, 1, 100, "entangling layers")
    encoder: str = choice("reuploading", ENCODERS, "how inputs enter the circuit")
    entangler: str = choice("cz_ring", ENTANGLERS, "two-qubit gates of a layer")
    gradient: str = choice(
        "adjoint", ("adjoint", "backprop", "parameter_shift"), "how the simulator differentiates circuits"
    )
    shots: int = integer(100, 1, None, "shots per circuit of the devices' processors; sets the modelled time")
    sampled: bool = flag(False, "whether training sees the noise of these shots; needs gradient 'parameter_shift'")
    executor: str = choice("batched", ("batched", "pennylane"), "simulator of the circuits")
    pennylane_device: str = text("default.qubit", "PennyLane device of the 'pennylane' executor")

    def check_together(self) -> None:
        """Refuse a gradient that cannot be had."""
        if self.sampled and self.gradient != "parameter_shift":
            raise InvalidValueError(
                "quantum.gradient", self.gradient, "'parameter_shift' where quantum.sampled is true"
            )


@dataclass(frozen=True)
class Learning(Section):
    """What is learned, from which data, and how updates are merged."""

    prefix: ClassVar[str] = "learning."

    model: str = choice(
        "qnn",
        MODELS,
        "learner of every device; 'surrogate' is a calibrated model of how 'qnn' converges; 'none' simulates the "
        "network alone",
    )
    dataset: str = choice(
        "digits",
        tuple(DATASETS),
        "handwritten digits of scikit-learn, or MNIST, or the made-up SEA concepts of two labels",
        source="Street & Kim 2001",
    )
    num_features: int | None = integer(
        None, 1, None, "principal components that the learner sees; null takes one per qubit", optional=True
    )
    partition: str = choice("one_label", PARTITIONS, "how the data lie on the devices")
    dirichlet_alpha: float = real(0.5, 1e-3, None, "", "concentration of 'dirichlet'", source="Hsu et al. 2019")
    shards_per_device: int = integer(2, 1, 100, "label shards of 'shards'", source="McMahan et al. 2017")
    samples_per_device: int | None = integer(
        None,
        1,
        None,
        "mean amount of data of a device, dealt again when it runs out; null deals all of it once",
        optional=True,
    )
    size_spread: float = real(
        0.0, 0.0, 0.9, "", "devices hold from 1 - spread to 1 + spread of the mean amount of data"
    )
    hidden: int = integer(16, 1, None, "hidden units of 'mlp'")
    bond_dimension: int = integer(
        4, 2, 64, "numbers that a bond of 'tensor_network' carries", source="Stoudenmire & Schwab 2016: 10 to 120"
    )
    local_steps: int = integer(2, 1, None, "mini-batch steps of a participant where the agent does not choose them")
    batch_size: int = integer(16, 1, None, "samples per local step")
    local_rate: float = real(0.05, 1e-9, None, "", "learning rate of the local steps")
    proximal: float = real(
        0.0, 0.0, None, "", "pull mu of the local steps towards the received model", source="FedProx, Li et al. 2020"
    )
    dropout: float = real(0.0, 0.0, 0.9, "", "share of the readout that a local step leaves out")
    activation_bits: int | None = integer(
        None, 1, 16, "bits of each readout between circuit and last layer; null for full precision", optional=True
    )
    aggregation: str = choice(
        "deadline",
        AGGREGATIONS,
        "when the server merges: at the deadline at the latest; when all participants are heard; at every update; or "
        "at every ``buffer_size`` updates. In the last two, devices go on working from one round to the next",
    )
    server_rule: str = choice(
        "fedadam",
        SERVER_RULES,
        "how the server merges updates; 'fedavg' with 'buffered' is FedBuff",
        source="Reddi et al. 2021; McMahan et al. 2017; Li et al. 2020; Wang et al. 2020; Karimireddy et al. 2020; Xie "
        "et al. 2019; Nguyen et al. 2022",
    )
    server_rate: float = real(0.1, 0.0, None, "", "learning rate of the server")
    fairness_q: float = real(
        0.0,
        0.0,
        10.0,
        "",
        "q of the q-fair objective: an update weighs as its loss to the power of q",
        source="Li 2020",
    )
    patience: float = real(
        10.0, 1.0, None, "deadlines", "longest that a synchronous server waits, or that an update may be under way"
    )
    buffer_size: int = integer(10, 1, None, "updates that 'buffered' waits for", source="FedBuff: 10")
    mixing: float = real(0.6, 0.0, 1.0, "", "share of a fresh update in the new model under 'fedasync'")
    staleness: str = choice(
        "polynomial",
        ("constant", "polynomial", "hinge"),
        "how an update loses weight with the versions that it is behind, where devices go on from round to round",
        source="Xie et al. 2019",
    )
    staleness_exponent: float = real(0.5, 0.0, None, "", "a of 'polynomial': (s + 1)^-a", source="Xie et al. 2019")
    hinge_slope: float = real(10.0, 0.0, None, "", "a of 'hinge': 1 / (a (s - b) + 1) beyond b", source="Xie 2019")
    hinge_delay: int = integer(4, 0, None, "b of 'hinge': versions behind that cost nothing", source="Xie 2019")
    warm_start_steps: int = integer(0, 0, None, "steps of central training, on all data, before the first round")
    monitored: bool = flag(False, "whether linked devices report their loss in every round, not only with an update")
    bits_per_parameter: int = integer(32, 1, 64, "bits of one uploaded parameter")
    eval_samples: int = integer(360, 1, None, "held-out samples that measure the global model")
    device_eval_samples: int = integer(16, 1, None, "samples of each device that measure the model on it")


@dataclass(frozen=True)
class Drift(Section):
    """How the data of the devices change over time, from a first distribution to a second one."""

    prefix: ClassVar[str] = "drift."

    kind: str = choice("none", ("none", "abrupt", "gradual", "recurring"), "at once, sample by sample, or to and fro")
    moves: str = choice(
        "data",
        ("data", "label", "concept"),
        "what differs afterwards: p(x), by the transform; p(y), devices hold other labels, half of them vanish; "
        "or p(y|x), labels are swapped, and of 'sea' the threshold moves from 8 to 9, 7 or 9.5",
    )
    transform: str = choice(
        "rotation", ("rotation", "brightness", "noise"), "what happens to the images where p(x) moves"
    )
    strength: float = real(
        0.5, 0.0, 1.0, "", "rotation by this share of 90 degrees, or share of the largest brightness that is added"
    )
    swapped_labels: int = integer(4, 2, 10, "labels that change places where p(y|x) moves; chosen per episode")
    onset_round: tuple[float, float] = interval(
        (10.0, 20.0), 0.0, None, "rounds", "when drift begins; drawn per episode"
    )
    stagger_rounds: float = real(10.0, 0.0, None, "rounds", "latest that a device follows the first one")
    duration_rounds: float = real(15.0, 1.0, None, "rounds", "length of the transition of 'gradual'")
    period_rounds: float = real(30.0, 2.0, None, "rounds", "length of a cycle of 'recurring', half of it drifted")


@dataclass(frozen=True)
class Scenario(Section):
    """A whole system.

    Attributes:
        name: Preset that it comes from.
        num_devices: Devices.
        radio: Cells, spectrum and propagation.
        fleet: Movement, processors and batteries.
        learning: Data, model and aggregation.
        drift: Change of the data.
        security: Protection of updates, and what threatens them.
        quantum: Circuit and quantum processors.
        max_rounds: Rounds after which an episode is truncated.
        target_accuracy: Held-out accuracy that ends an episode.
        deadline_s: Seconds after which the server waits for nobody.
    """

    name: str = text("custom", "preset that the scenario comes from")
    num_devices: int = integer(20, 1, 1_000_000, "devices")
    radio: Radio = field(default_factory=Radio)
    fleet: Fleet = field(default_factory=Fleet)
    learning: Learning = field(default_factory=Learning)
    drift: Drift = field(default_factory=Drift)
    security: Security = field(default_factory=Security)
    quantum: Quantum = field(default_factory=Quantum)
    max_rounds: int = integer(100, 1, None, "rounds after which an episode is truncated")
    target_accuracy: float = real(0.7, 0.0, 1.0, "", "held-out accuracy that ends an episode")
    deadline_s: float = real(10.0, 1e-6, None, "s", "seconds of a round after which the server waits for nobody")

    def check_together(self) -> None:
        """Refuse a learner that does not fit the data or the circuit."""
        features, size = self.num_features, DATASETS[self.learning.dataset]
        if not size.fewest <= features <= size.pixels:
            raise InvalidValueError(
                "learning.num_features",
                features,
                f"from {size.fewest} to {size.pixels}, the features of {self.learning.dataset}",
            )
        if self.learning.dataset == "sea" and self.drift.kind != "none" and self.drift.moves == "data":
            raise InvalidValueError("drift.moves", "data", "'label' or 'concept' where learning.dataset is 'sea'")
        if self.learning.model == "qnn" and features != self.quantum.num_qubits:
            raise InvalidValueError(
                "learning.num_features",
                features,
                f"null or {self.quantum.num_qubits} (quantum.num_qubits) for model 'qnn'",
            )
        if self.learning.model == "tensor_network" and features < 2:
            raise InvalidValueError(
                "learning.num_features", features, "at least 2, the edges of the chain, for model 'tensor_network'"
            )
        self._check_aggregation()
        self._check_security()

    def _check_aggregation(self) -> None:
        """Refuse a server rule that does not go with when the server merges."""
        learning = self.learning
        if (learning.server_rule == "fedasync") != (learning.aggregation == "asynchronous"):
            raise InvalidValueError(
                "learning.server_rule",
                learning.server_rule,
                f"'fedasync' with aggregation 'asynchronous', and only there; it is {learning.aggregation!r}",
            )
        if self.goes_on and learning.server_rule in ("scaffold", "fednova", "q-fedavg"):
            raise InvalidValueError(
                "learning.server_rule", learning.server_rule, f"'fedadam' or 'fedavg' for {learning.aggregation!r}"
            )

    def _check_security(self) -> None:
        """Refuse threats and protection that do not go with the learner or with when the server merges."""
        security, learning = self.security, self.learning
        if security.guards and self.goes_on:
            raise InvalidValueError(
                "learning.aggregation",
                learning.aggregation,
                "'deadline' or 'synchronous', merged in the round, where updates are attacked or protected",
            )
        if security.guards and (learning.server_rule not in ("fedadam", "fedavg")):
            raise InvalidValueError(
                "learning.server_rule",
                learning.server_rule,
                "'fedadam' or 'fedavg' where updates are attacked or protected",
            )
        if security.attack == "backdoor" and (learning.model in ("surrogate", "none") or learning.dataset == "sea"):
            raise InvalidValueError("security.attack", "backdoor", "another attack, or a real learner of images")

    @property
    def num_features(self) -> int:
        """Inputs of the learner."""
        return self.learning.num_features or self.quantum.num_qubits

    @cached_property
    def goes_on(self) -> bool:
        """Whether devices go on working from one round to the next."""
        return self.learning.aggregation in ("asynchronous", "buffered")

    @cached_property
    def longest_round_s(self) -> float:
        """Longest duration of a round."""
        return self.deadline_s * (self.learning.patience if self.learning.aggregation == "synchronous" else 1.0)

    @classmethod
    def preset(cls, name: str) -> Scenario:
        """The scenario of that name.

        Raises:
            UnknownNameError: Naming all presets.
        """
        reject_unknown([name], PRESETS, "preset")
        return cls(name=name).replace(PRESETS[name])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The scenario of plain JSON values; fields that are left out take their defaults."""
        return cls().replace(values)

    @classmethod
    def from_json(cls, document: str) -> Self:
        """The scenario that :meth:`to_json` wrote.

        Raises:
            InvalidValueError: For a document that is no JSON object.
        """
        try:
            values = json.loads(document)
        except json.JSONDecodeError as error:
            raise InvalidValueError("scenario", document[:40], f"a JSON object ({error})") from error
        if not isinstance(values, dict):
            raise InvalidValueError("scenario", document[:40], "a JSON object")
        return cls.from_dict(values)

    def to_json(self) -> str:
        """Every field as one line of JSON."""
        return json.dumps(self.to_dict())
