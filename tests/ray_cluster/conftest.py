import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a test reports nothing to anybody
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's workers are so polite that a busy machine starves them
