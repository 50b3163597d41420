"""Known ratios of MaxCut on 3-regular graphs of girth 6 and more (Farhi et al. 2014, arXiv 1411.4028).

An edge sees a tree: at depth two the 14 vertices within two steps of an edge are all that it depends on.
"""

import numpy as np
import pytest

from agents import Angles, OneHotQAOA
from agents.qaoa.tuning import optimise

RATIOS = {1: 0.6924, 2: 0.7559}


def tree(depth):
    """Edges within some steps of edge (0, 1), which is the first."""
    edges, rim = [(0, 1)], [0, 1]
    count = 2
    for _ in range(depth):
        grown = []
        for vertex in rim:
            for _ in range(2):
                edges.append((vertex, count))
                grown.append(count)
                count += 1
        rim = grown
    return edges, count


class Cut(OneHotQAOA):
    """The circuit of the whole tree, whose mean cost is that of the first edge alone."""

    def __init__(self, depth):
        edges, vertices = tree(depth)
        side = np.indices((2,) * vertices)
        cut = sum((side[a] != side[b]).astype(float) for a, b in edges)
        super().__init__(-cut[None], scale=1.0, precision="double")
        # phases are those of all edges; what is measured is one of them
        self.cost = -(side[0] != side[1]).astype(float)[None]


@pytest.mark.parametrize(
    ("gamma", "beta"),
    [
        # beta turns from the uniform state in the sense of minimisation: it is negative
        ([np.arctan(1 / np.sqrt(2))], [-np.pi / 8]),
        ([0.4878, 0.8979], [-0.5550, -0.2924]),
    ],
)
def test_known_angles_give_the_known_ratio(gamma, beta):
    found = -Cut(len(gamma)).expectation(Angles(np.array(gamma), np.array(beta)))[0]
    assert found == pytest.approx(RATIOS[len(gamma)], abs=2e-4)


@pytest.mark.parametrize("depth", [1, 2])
def test_tuning_finds_the_known_ratio_and_nothing_better(depth):
    circuit = Cut(depth)
    start = Angles(np.linspace(0.4, 0.8, depth), -np.linspace(0.5, 0.3, depth))
    assert -circuit.expectation(optimise([circuit], start))[0] == pytest.approx(RATIOS[depth], abs=1e-4)
