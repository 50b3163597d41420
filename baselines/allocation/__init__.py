"""Solvers of joint sub-channel and power allocation: pure functions from a batch of problems to a solution."""
