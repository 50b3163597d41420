"""The surrogate tier: its fit to recorded rounds of the quantum learner, and whether competitors rank alike."""
