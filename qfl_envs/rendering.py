"""Pictures of an episode: the cell, the accuracy so far, and what each round took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qfl_envs.scenario import Scenario
from qfl_envs.system.network.mobility import area_radius_m
from qfl_envs.system.report import RoundReport
from qfl_envs.system.state import SystemState

SIZE_INCHES = (9.6, 5.4)
DPI = 100
IDLE, LATE, LOST, DEPLETED, UNLINKED = "#c7ccd1", "#e08a00", "#c62828", "#6a1b9a", "#9aa0a6"
OUTCOMES = {"late": LATE, "lost": LOST, "depleted": DEPLETED}
REFUSED, READ = "#ad1457", "#00838f"
OF_SECURITY = {"refused": REFUSED, "read": READ}
"""What else can become of an update where threats are simulated: its check fails, or somebody reads it."""


@dataclass
class Recording:
    """What pictures of one episode of one system show.

    Attributes:
        scenario: The system.
        sites_m: (C, 2) base stations.
        row: Which system of the batch.
        position_m: (N, 2) devices after the last round.
        link_up: (N) bool.
        battery: (N) charge as a share of the full one.
        report: The last round, rows already picked; None before the first.
        protection: How its updates were signed, encrypted, merged and screened, by name; empty without threats.
        elapsed_s: Simulated time after each round, from 0.
        accuracy: Accuracy at those times.
        round_s: Duration of each round.
        energy_j: Energy of each round.
    """

    scenario: Scenario
    sites_m: np.ndarray
    row: int = 0
    position_m: np.ndarray = field(init=False)
    link_up: np.ndarray = field(init=False)
    battery: np.ndarray = field(init=False)
    report: dict[str, np.ndarray] | None = field(init=False, default=None)
    protection: dict[str, str] = field(init=False, default_factory=dict)
    elapsed_s: list[float] = field(init=False, default_factory=list)
    accuracy: list[float] = field(init=False, default_factory=list)
    round_s: list[float] = field(init=False, default_factory=list)
    energy_j: list[float] = field(init=False, default_factory=list)

    def begin(self, state: SystemState) -> None:
        """Forget the last episode."""
        self.report, self.protection = None, {}
        self.elapsed_s, self.accuracy, self.round_s, self.energy_j = [0.0], [float(state.accuracy[self.row])], [], []
        self._look(state)

    def add(self, state: SystemState, report: RoundReport) -> None:
        """Remember a round."""
        names = ("participation", "delivered", "late", "lost", "depleted", "subchannel", "power_dbm", "local_steps")
        self.report = {name: getattr(report, name)[self.row].copy() for name in names}
        if report.guarded is not None:
            self.report |= {name: getattr(report.guarded, name)[self.row].copy() for name in OF_SECURITY}
            self.protection = report.guarded.choices.names(self.row)
        self.elapsed_s.append(float(state.elapsed_s[self.row]))
        self.accuracy.append(float(report.accuracy[self.row]))
        self.round_s.append(float(report.round_s[self.row]))
        self.energy_j.append(float(report.energy_j[self.row]))
        self._look(state)

    def _look(self, state: SystemState) -> None:
        self.position_m = state.position_m[self.row].copy()
        self.link_up = state.link_up[self.row].copy()
        self.battery = state.battery_j[self.row] / np.maximum(state.full_battery_j[self.row], 1e-12)

    @property
    def outcomes(self) -> dict[str, str]:
        """What can become of an update, and the colour of it."""
        return OUTCOMES | (OF_SECURITY if self.protection else {})

    def summary(self) -> str:
        """One line on the last round."""
        scenario = self.scenario
        head = f"round {len(self.round_s):3d} of {scenario.max_rounds}"
        tail = f"accuracy {self.accuracy[-1]:.3f} of {scenario.target_accuracy:.2f}"
        if self.report is None:
            return f"{head} | {tail} | {scenario.num_devices} devices wait"
        counts = {name: int(self.report[name].sum()) for name in ("participation", "delivered", *self.outcomes)}
        outcome = ", ".join(
            f"{counts[name]} {name}" for name in ("delivered", *self.outcomes) if counts[name] or name == "delivered"
        )
        return (
            f"{head} | {tail} | {counts['participation']} of {scenario.num_devices} took part: {outcome} | "
            f"{self.round_s[-1]:.2f} s, {self.energy_j[-1]:.2f} J | {self.elapsed_s[-1]:.1f} s in all"
        )

    def text(self) -> str:
        """The last round as text: a summary, and one character per device."""
        marks = np.where(self.link_up, ".", "x")
        if self.report is not None:
            marks = np.where(self.report["participation"], "?", marks)
            for name, mark in (("delivered", "#"), ("late", "L"), ("lost", "!"), ("depleted", "0")):
                marks = np.where(self.report[name], mark, marks)
        legend = "# delivered  L late  ! lost  0 battery empty  . idle  x no link"
        if self.report is not None and self.protection:
            marks = np.where(self.report["refused"], "R", marks)
            legend += "  R refused"
        return "\n".join([self.summary(), *self.protected_by(), "".join(marks), legend])

    def protected_by(self) -> list[str]:
        """A line on how updates were protected; none without threats."""
        if not self.protection:
            return []
        return [" | ".join(f"{part.replace('_', ' ')} {name}" for part, name in self.protection.items())]


def draw(recording: Recording) -> np.ndarray:
    """The picture of the last round: (540, 960, 3) uint8."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.25, 1), height_ratios=(2.1, 1, 1))
    _draw_cells(figure.add_subplot(grid[:, 0]), recording)
    _draw_accuracy(figure.add_subplot(grid[0, 1]), recording)
    _draw_bars(figure.add_subplot(grid[1, 1]), recording.round_s, "round time (s)", "#3367a8", recording)
    _draw_bars(figure.add_subplot(grid[2, 1]), recording.energy_j, "energy (J)", "#4f8a5b", recording)
    figure.suptitle(
        "\n".join([recording.summary(), *recording.protected_by()]), fontsize=9, x=0.01, ha="left", family="monospace"
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_cells(axes: Axes, recording: Recording) -> None:
    """Devices at their places, coloured by sub-channel and sized by power, with their links and what became of them."""
    radius = area_radius_m(recording.scenario.radio)
    positions = recording.position_m
    nearest = np.linalg.norm(positions[:, None] - recording.sites_m, axis=-1).argmin(-1)
    colours = _subchannel_colours(recording)
    sizes = np.full(len(positions), 22.0)
    report = recording.report
    if report is not None:
        limits = recording.scenario.radio
        span = max(limits.max_power_dbm - limits.min_power_dbm, 1e-9)
        share = (report["power_dbm"] - limits.min_power_dbm) / span
        sizes = np.where(report["participation"], 30 + 70 * share, 22.0)
        for device in np.flatnonzero(report["participation"]):
            failed = next((colour for name, colour in recording.outcomes.items() if report[name][device]), None)
            line = np.stack([positions[device], recording.sites_m[nearest[device]]])
            axes.plot(
                *line.T,
                color=failed or colours[device],
                linewidth=1.4 if failed else 0.9,
                linestyle="--" if failed else "-",
                alpha=0.85,
                zorder=1,
            )
    axes.scatter(positions[:, 0], positions[:, 1], s=sizes, c=colours, edgecolors="#333333", linewidths=0.5, zorder=2)
    down = ~recording.link_up
    axes.scatter(positions[down, 0], positions[down, 1], marker="x", s=34, c=UNLINKED, linewidths=1.4, zorder=3)
    if report is not None:
        for name, colour in recording.outcomes.items():
            x, y = positions[report[name]].T
            axes.scatter(x, y, s=130, facecolors="none", edgecolors=colour, linewidths=1.6, zorder=3)
    axes.scatter(recording.sites_m[:, 0], recording.sites_m[:, 1], marker="^", s=110, c="#111111", zorder=4)
    axes.set_xlim(-1.04 * radius, 1.04 * radius)
    axes.set_ylim(-1.04 * radius, 1.04 * radius)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
    axes.set_xlabel("m", fontsize=8)
    handles = [Line2D([], [], marker="^", color="#111111", linestyle="", label="base station")]
    handles += [Line2D([], [], marker="o", color=IDLE, markeredgecolor="#333333", linestyle="", label="idle")]
    handles += [
        Line2D([], [], marker="o", markerfacecolor="none", color=colour, linestyle="--", label=name)
        for name, colour in recording.outcomes.items()
    ]
    handles += [Line2D([], [], marker="x", color=UNLINKED, linestyle="", label="no link")]
    axes.legend(handles=handles, fontsize=7, loc="lower left", ncols=3, framealpha=0.9)
    axes.set_title("devices: colour = sub-channel, size = power", fontsize=8)


def _subchannel_colours(recording: Recording) -> list[Any]:
    """One colour per device, grey for those that do not transmit."""
    from matplotlib import colormaps

    if recording.report is None:
        return [IDLE] * len(recording.position_m)
    wheel = colormaps["turbo"](np.linspace(0.08, 0.95, recording.scenario.radio.num_subchannels))
    return [
        wheel[channel] if part else IDLE
        for channel, part in zip(recording.report["subchannel"], recording.report["participation"], strict=True)
    ]


def _draw_accuracy(axes: Axes, recording: Recording) -> None:
    axes.axhline(recording.scenario.target_accuracy, color="#888888", linewidth=1, linestyle=":")
    axes.annotate("target", (0.0, recording.scenario.target_accuracy), fontsize=7, va="bottom", color="#666666")
    axes.plot(recording.elapsed_s, recording.accuracy, color="#b3441c", linewidth=1.6)
    axes.plot(recording.elapsed_s[-1:], recording.accuracy[-1:], "o", color="#b3441c", markersize=4)
    axes.set_ylim(0, 1)
    axes.set_xlim(0, max(recording.elapsed_s[-1], recording.scenario.deadline_s))
    axes.set_ylabel("held-out accuracy", fontsize=8)
    axes.set_xlabel("simulated time (s)", fontsize=8)
    axes.tick_params(labelsize=7)


def _draw_bars(axes: Axes, values: list[float], label: str, colour: str, recording: Recording) -> None:
    rounds = np.arange(1, len(values) + 1)
    axes.bar(rounds, values, color=colour, width=0.85)
    axes.set_xlim(0.3, max(len(values), 10) + 0.7)
    if label.startswith("round"):
        axes.axhline(recording.scenario.deadline_s, color="#888888", linewidth=1, linestyle=":")
    axes.set_ylabel(label, fontsize=8)
    axes.tick_params(labelsize=7)


class Window:
    """A window on the screen."""

    def __init__(self, frames_per_second: int) -> None:
        """Open nothing yet; the first picture does."""
        self.frames_per_second = frames_per_second
        self._screen: Any = None
        self._clock: Any = None

    def show(self, picture: np.ndarray) -> None:
        """Show an (H, W, 3) uint8 picture, at most so many a second."""
        import pygame

        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption("qfl-envs")
            self._screen = pygame.display.set_mode(picture.shape[1::-1])
            self._clock = pygame.time.Clock()
        pygame.event.pump()
        self._screen.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (0, 0))
        pygame.display.flip()
        self._clock.tick(self.frames_per_second)

    def close(self) -> None:
        """Close the window, if one is open."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = None
