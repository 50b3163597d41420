"""Environments: thin views on the federated system."""
