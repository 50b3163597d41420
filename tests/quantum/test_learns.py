"""The quantum learner learns."""

import numpy as np
import torch

from qfl_envs.scenario import Scenario
from qfl_envs.system.learning.data import load_dataset
from qfl_envs.system.learning.models import Model
from qfl_envs.system.learning.training import mean_loss

EPOCHS, BATCH_SIZE, RATE = 15, 32, 0.2


def test_a_circuit_of_ten_qubits_recognises_93_of_100_handwritten_digits():
    model = Model(Scenario().replace({"quantum": {"num_qubits": 10, "num_layers": 5}}))
    data = load_dataset("digits", 10)
    features, labels = torch.from_numpy(data.train_features), torch.from_numpy(data.train_labels)
    rng = np.random.default_rng(0)
    parameters = torch.from_numpy(model.initial(rng.random((1, model.num_parameters)))).requires_grad_(True)
    steps = len(labels) // BATCH_SIZE
    optimizer = torch.optim.Adam([parameters], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * steps)
    for _ in range(EPOCHS):
        for batch in rng.permutation(len(labels))[: steps * BATCH_SIZE].reshape(steps, 1, BATCH_SIZE):
            optimizer.zero_grad()
            mean_loss(model, parameters, features[batch], labels[batch]).sum().backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        answers = model.logits(parameters, torch.from_numpy(data.test_features)[None])[0].argmax(-1)
    assert (answers.numpy() == data.test_labels).mean() >= 0.93
