"""Softmax regression in plain numpy, one device and one step after the other: what batched learning is checked against.

Parameters are a flat vector: the weights of 10 classes for each feature in turn, then 10 biases.
"""

import copy

import numpy as np

from qfl_envs.scenario import Scenario

CLASSES = 10
RELIABLE = {
    "deadline_s": 1e6,
    "radio": {"link_drop": 0.0, "link_recover": 1.0, "waterfall": 0.0},
    "fleet": {"battery_j": [1e9, 1e9], "reserve": 0.0},
}


def reliable(learning, **changes):
    """A small system of softmax regressions in which whoever takes part delivers."""
    learned = {"model": "logistic", "batch_size": 3, "local_rate": 0.1, **learning}
    return Scenario.preset("tiny").replace({**RELIABLE, "learning": learned}).replace(changes)


def log_chances(parameters, features):
    weights = np.asarray(parameters, dtype=float).reshape(-1, CLASSES)
    scores = features @ weights[:-1] + weights[-1]
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def loss(parameters, features, labels):
    """Mean cross-entropy."""
    return -np.mean([log_chances(parameters, x)[y] for x, y in zip(features, labels, strict=True)])


def accuracy(parameters, features, labels):
    return np.mean([log_chances(parameters, x).argmax() == y for x, y in zip(features, labels, strict=True)])


def gradient(parameters, features, labels):
    """Of the mean cross-entropy."""
    total = np.zeros((features.shape[1] + 1, CLASSES))
    for x, y in zip(features, labels, strict=True):
        error = np.exp(log_chances(parameters, x)) - np.eye(CLASSES)[y]
        total += np.outer(np.append(x, 1.0), error)
    return (total / len(labels)).ravel()


def local_steps(start, batches, rate, proximal=0.0, correction=0.0):
    """Gradient descent from a start on batches of features and labels."""
    parameters = np.asarray(start, dtype=float)
    for features, labels in batches:
        pull = proximal * (parameters - start)
        parameters = parameters - rate * (gradient(parameters, features, labels) + pull + correction)
    return parameters


def watch(system):
    """A list that grows by one entry for each round in which somebody trains: the state before, and the work."""
    seen, train = [], system.learner.train

    def watched(state, work):
        seen.append((state.copy(), copy.deepcopy(work)))
        return train(state, work)

    system.learner.train = watched
    return seen


def batches_of(system, state, work, device, row=0):
    """The mini-batches of a device, from the numbers that were drawn: a list of features and labels, one per step."""
    worlds, held = system.learner.data.worlds, state.num_samples[row, device]
    batches = []
    for step in range(work.local_steps[row, device]):
        features, labels = [], []
        for number, uniform in enumerate(work.uniform["batch"][row, device, step]):
            world = 0
            if len(worlds) > 1:
                world = int(work.uniform["world"][row, device, step, number] < work.drifted[row, device])
            sample = state.sample_index[row, world, device, int(uniform * held)]
            features.append(worlds[world].train_features[sample].astype(float))
            labels.append(state.label_map[row, world, worlds[world].train_labels[sample]])
        batches.append((np.array(features), np.array(labels)))
    return batches


def data_of(system, state, device, world=0, row=0, first=None):
    """All features and labels that a device holds in one distribution, or its first ones."""
    data, held = system.learner.data.worlds[world], state.num_samples[row, device]
    samples = state.sample_index[row, world, device, :held][:first]
    return data.train_features[samples].astype(float), state.label_map[row, world, data.train_labels[samples]]
