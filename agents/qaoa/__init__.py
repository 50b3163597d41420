"""The quantum approximate optimisation algorithm on one-hot variables: simulators, angles, allocators and controls."""
