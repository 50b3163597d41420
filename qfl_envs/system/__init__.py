"""The simulated federated system, batch-first; knows nothing of Gymnasium."""
