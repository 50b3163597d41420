"""Federated learning: data, their place on devices, learners, local training and aggregation."""
