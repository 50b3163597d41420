"""Annealing on the quadratic problems that circuits are given too: simulated quantum, and by D-Wave's samplers."""
