"""The pictures of ``qfl security``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qfl_envs.system.security.key_rate import Fibre, decoy_state
from train.panels import panels
from train.security.screening import SCORES

Rows = Sequence[Mapping[str, Any]]


def draw(parts: Mapping[str, Rows], path: Path) -> None:
    """One panel per part that was measured, of those that have a picture, in one picture."""
    chosen = [name for name in PICTURES if name in parts]
    figure, all_axes = panels(len(chosen), 5.5, 4.2, dpi=110)
    for name, axis in zip(chosen, all_axes, strict=True):
        PICTURES[name](axis, parts[name])
    figure.savefig(path)


def _protection(axis: Any, rows: Rows) -> None:
    place = np.arange(len(rows))
    for shift, (model, name) in enumerate((("qnn", "circuit"), ("dnn", "dense network"))):
        axis.barh(place + 0.4 * shift, [row[f"{model}_expansion"] for row in rows], 0.4, label=name)
    axis.set_yticks(place + 0.2, [row["protection"] for row in rows], fontsize=7)
    axis.set_xscale("log")
    axis.set_xlabel("bits sent per bit of update")
    axis.legend()


def _rounds(axis: Any, rows: Rows) -> None:
    place = np.arange(len(rows))
    axis.barh(place, [row["round_s"] for row in rows], 0.7)
    for line, row in zip(place, rows, strict=True):
        axis.text(0.02, line, f"{row['arrived_in_time']:.0%} in time", va="center", color="white", fontsize=7)
    axis.set_yticks(place, [row["protection"] for row in rows], fontsize=7)
    axis.set_xlabel("mean time of a round in s")


def _keys(axis: Any, rows: Rows) -> None:
    kilometres, fibre = np.linspace(0.0, 150.0, 301), Fibre()
    for share in (0.0, 0.05, 0.1):
        rate = decoy_state(fibre, kilometres, share).per_pulse
        axis.semilogy(kilometres, np.where(rate > 0, rate, np.nan), label=f"{share:.0%} intercepted")
    axis.set_xlabel("fibre in km")
    axis.set_ylabel("key bits per pulse")
    axis.legend(loc="lower left")
    other = axis.twinx()
    other.plot(kilometres, decoy_state(fibre, kilometres).error_rate, "k:", linewidth=1)
    other.set_ylabel("QBER, nobody listening (dotted)")


def _leakage(axis: Any, rows: Rows) -> None:
    batch = [row["batch"] for row in rows]
    for column, name in (
        ("similarity", "alone"),
        ("aggregated_similarity", "securely aggregated"),
        ("strangers", "of strangers"),
        ("guessed", "guessed"),
    ):
        axis.plot(batch, [row[column] for row in rows], "o-", label=name)
    axis.set_xticks(batch)
    axis.set_xlabel("samples behind a gradient")
    axis.set_ylabel("cosine of true and found samples")
    axis.legend()


def _screening(axis: Any, rows: Rows) -> None:
    names = [f"{row['attack']}, {row['data'].replace('_', ' ')}" for row in rows]
    _heat(axis, rows, names, SCORES)
    axis.set_title("hostile below honest (0.5: not told)")


def _answers(axis: Any, rows: Rows) -> None:
    axis.plot([row["push_rad"] for row in rows], [row["accuracy"] for row in rows], "o-")
    axis.set_ylim(0.0, 1.0)
    axis.set_xlabel("largest push of an encoded angle in rad")
    axis.set_ylabel("held-out accuracy")


def _defences(axis: Any, rows: Rows) -> None:
    _heat(axis, rows, [row["attack"] for row in rows], [name for name in rows[0] if name != "attack"])
    axis.set_title("held-out accuracy")


PICTURES: dict[str, Callable[[Any, Rows], None]] = {
    "protection": _protection,
    "rounds": _rounds,
    "keys": _keys,
    "leakage": _leakage,
    "answers": _answers,
    "screening": _screening,
    "defences": _defences,
}
"""Parts that have a picture."""


def _heat(axis: Any, rows: Rows, names: Sequence[str], columns: Sequence[str]) -> None:
    """Shares, with the numbers on them."""
    values = np.array([[row[column] for column in columns] for row in rows])
    axis.imshow(values, cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        axis.text(column, line, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
    axis.set_xticks(range(len(columns)), columns, rotation=35, ha="right")
    axis.set_yticks(range(len(names)), names)
