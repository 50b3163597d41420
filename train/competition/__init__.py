"""Everybody against everybody: who plays where, jobs and where they run, results, scores and tables."""
