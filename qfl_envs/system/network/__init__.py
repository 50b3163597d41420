"""The radio network: where devices are, what reaches the base stations, and how fast."""
