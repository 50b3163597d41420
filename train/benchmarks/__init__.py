"""What the simulators cost, measured on the machine at hand."""
