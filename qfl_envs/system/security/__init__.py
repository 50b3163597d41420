"""Attacks on a federated system and what protects it: signatures, keys, secure and robust aggregation."""
