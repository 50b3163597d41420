import os

import pytest
import ray
import torch

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a test reports nothing to anybody
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's workers are so polite that a busy machine starves them


@pytest.fixture(scope="session", autouse=True)
def _cluster():
    """Ray on this machine, for all tests; of its own, whatever cluster may be running beside it."""
    torch.set_num_threads(1)
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    yield
    ray.shutdown()


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A function that builds an algorithm of a configuration, cut to what a test can wait for."""
    # every algorithm makes itself a folder, in the home directory if not told otherwise
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path))
    built = []

    def build_algorithm(config):
        config = config.training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=1)
        built.append(config.build_algo())
        return built[-1]

    yield build_algorithm
    for algorithm in built:
        algorithm.stop()
