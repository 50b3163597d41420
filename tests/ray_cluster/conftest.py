import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a test reports nothing to anybody
