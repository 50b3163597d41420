from train.benchmarks import learners


def test_all_learners_are_trained_alike_and_learn():
    rows = learners.measure(features=(4,), steps=60, seeds=1)
    assert [row["learner"] for row in rows] == list(learners.LEARNERS)
    assert all(0.4 < row["accuracy"] < 1.0 and row["parameters"] > 0 for row in rows)
