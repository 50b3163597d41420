"""Command line, training, evaluation and leaderboard."""
