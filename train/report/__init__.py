"""The page of a competition: one file that needs nothing else."""
