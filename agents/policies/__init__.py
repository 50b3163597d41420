"""Variational circuits as policies of Stable-Baselines3, and their classical controls."""
