import numpy as np
import pytest

from qfl_envs.errors import InvalidValueError
from train.security import hiding, listening, poisoned, tampering


class TestListening:
    def test_who_listens_in_on_quantum_keys_raises_an_alarm_and_nobody_does_not(self):
        for name in ("bb84", "e91"):
            rates = {
                share: listening.alarm_rate(name, 20, 2000, share, 0.02, np.random.default_rng(0))
                for share in (0.0, 0.25, 1.0)
            }
            assert rates[0.0]["alarms"] <= 0.1 and rates[0.25]["alarms"] >= 0.8 and rates[1.0]["alarms"] == 1.0
            assert rates[1.0]["given_up"] == 1.0 and rates[0.25]["given_up"] < 0.5

    def test_a_copied_message_is_not_noticed_by_those_who_exchange_it(self):
        found = listening.alarm_rate("x25519", 3, 0, 1.0, 0.02, np.random.default_rng(0))
        assert found == {"alarms": 0.0, "given_up": 0.0}

    def test_an_alarm_needs_more_errors_than_the_devices_make(self):
        # of 200 bits, 2 % are 4; as many as 9 are seen in 2 sessions of a hundred, 10 in fewer than one
        assert not listening.alarmed((200, 9, False), 0.02)
        assert listening.alarmed((200, 10, False), 0.02)
        assert listening.alarmed((200, 0, True), 0.02)
        assert listening.alarmed((0, 0, True), 0.02) and not listening.alarmed((0, 0, False), 0.02)


class TestHiding:
    def test_messages_that_hide_pass_the_test_and_plain_numbers_do_not(self):
        # masks come from the operating system and differ in every run: a level that chance does not reach
        generator, level = np.random.default_rng(0), 1e-9
        assert hiding.subsets_uniform("ghz", 4, 1000, generator, level) == 1.0
        assert hiding.subsets_uniform("masked", 4, 1000, generator, level) == 1.0
        assert hiding.subsets_uniform("plain", 4, 1000, generator, level) == 0.0

    def test_all_messages_together_give_the_sum_away(self):
        numbers = np.random.default_rng(0).integers(0, 2**16, (4, 500))
        outcomes = hiding.ghz_messages(numbers, np.random.default_rng(1))
        assert ((outcomes.sum(1) % 2) == numbers.sum(0) % 2).all()
        assert not hiding.uniform(hiding.ghz_messages(np.repeat(numbers[:, :1], 500, axis=1), np.random.default_rng(1)))

    def test_sums_are_right_and_noise_makes_them_wrong(self):
        exact = {
            name: hiding.exact_sums(name, 4, 100, np.random.default_rng(0))
            for name in ("plain", "ghz", "masked", "noisy ghz")
        }
        assert exact.pop("noisy ghz") < 0.9
        assert set(exact.values()) == {1.0}

    def test_what_a_client_sends_and_gets(self):
        # 16 bits of 20 clients add up to 21
        assert hiding.bits_per_client("plain", 20, 130) == 130 * 16
        assert hiding.bits_per_client("ghz", 20, 130) == 2 * 130 * 21
        assert hiding.bits_per_client("masked", 20, 130) == 256 * (7 * 20 - 4) + 130 * 21


class TestTampering:
    @pytest.fixture
    def lines(self, tmp_path):
        return tampering.written(tmp_path / "honest.jsonl", "ecdsa-p256", 2, 3)

    def test_each_check_notices_what_it_can(self, lines, tmp_path):
        seen = {
            check: {
                kind
                for kind, value in tampering.noticed(
                    check, lines, tmp_path / "tampered", np.random.default_rng(0)
                ).items()
                if value == 1.0 and kind != "share"
            }
            for check in tampering.CHECKS
        }
        inside = set(tampering.TAMPERING) - {"cut off"}
        assert seen["ledger"] == inside
        assert seen["signatures only"] == inside - {"deleted", "swapped", "repeated"}
        assert seen["hashes only"] == inside - {"rewritten", "dropped"}

    def test_an_honest_ledger_is_found_honest(self, lines, tmp_path):
        for check in tampering.CHECKS.values():
            assert not check(lines, tmp_path / "copy")

    def test_the_share_leaves_out_what_no_ledger_shows(self, lines, tmp_path):
        found = tampering.noticed("ledger", lines, tmp_path / "tampered", np.random.default_rng(0))
        assert (found["cut off"], found["share"]) == (0.0, 1.0)
        assert tampering.noticed("signatures only", lines, tmp_path / "x", np.random.default_rng(0))["share"] == 0.5


class TestPoisoned:
    def test_as_many_as_may_be_hostile_are_thrown_out(self):
        score = np.array([[0.3, 0.1, 0.2, 0.9, 0.1], [5.0, 4.0, 3.0, 2.0, 1.0]])
        assert poisoned.kept(score, 0.2).tolist() == [[True, False, True, True, True], [True] * 4 + [False]]
        assert poisoned.kept(score, 0.3).sum(1).tolist() == [3, 3]

    def test_only_those_who_are_heard_are_merged(self):
        change = np.array([[[1.0], [3.0], [100.0]]])
        heard = np.array([[True, True, False]])
        assert poisoned.merged("mean", change, heard)[0, 0] == pytest.approx(2.0)
        assert poisoned.merged("median", change, np.ones((1, 3), dtype=bool))[0, 0] == pytest.approx(3.0)

    def test_a_mean_of_honest_updates_is_not_attacked_and_a_mean_of_all_is(self):
        arguments = ("tiny", "iid", 10, 0)
        honest = [poisoned.accuracy(*arguments, attack, poisoned.NO_ATTACK) for attack in ("gaussian", "ipm")]
        assert honest[0] == honest[1]
        assert poisoned.accuracy(*arguments, "gaussian", "length") == pytest.approx(honest[0], abs=0.02)
        assert poisoned.accuracy(*arguments, "gaussian", "mean") < honest[0] - 0.05
        with pytest.raises(InvalidValueError, match="defence"):
            poisoned.accuracy(*arguments, "gaussian", "prayer")
