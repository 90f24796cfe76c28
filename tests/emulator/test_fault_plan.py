"""The plan itself: decided by seed, edit and attempt, never by the order of arrival."""

import random
from collections import Counter

from pipeline.emulator.faults import FaultPlan
from pipeline.emulator.profile import Profile

PROFILE = Profile(faults={"status_500": 0.3, "truncated_body": 0.2, "refused_400": 0.1})


def decisions(keys, *, seed, profile=PROFILE, attempts=4):
    """Fault by (edit, attempt) when the edits ask in this order, round after round."""
    plan = FaultPlan(profile, seed)
    found = {}
    for _ in range(attempts):
        for key in keys:
            decision = plan.next(key, prompt=key, model="m", client_request_id=None)
            found[key, decision.attempt] = (decision.fault, decision.dice.random())
    return found


def test_the_same_seed_gives_the_same_faults_in_any_order():
    """Ten workers or one: the same job meets the same faults."""
    keys = [f"edit {n}" for n in range(200)]
    shuffled = random.Random(1).sample(keys, len(keys))
    assert decisions(keys, seed=7) == decisions(shuffled, seed=7)


def test_another_seed_gives_other_faults():
    """Otherwise the seed would be for nothing."""
    keys = [f"edit {n}" for n in range(200)]
    assert decisions(keys, seed=7) != decisions(keys, seed=8)


def test_faults_come_as_often_as_the_profile_says():
    """Of 4,000 first requests, within four standard deviations."""
    found = decisions([f"edit {n}" for n in range(4000)], seed=3, attempts=1)
    counts = Counter(fault for fault, _ in found.values())
    # A refusal is drawn first, so the others share the nine tenths that remain.
    for name, share in (("refused_400", 0.1), ("status_500", 0.27), ("truncated_body", 0.18)):
        spread = (4000 * share * (1 - share)) ** 0.5
        assert abs(counts[name] - 4000 * share) < 4 * spread


def test_a_refusal_stays_and_everything_else_passes():
    """Moderation says the same every time; faults end after `max_faulty_attempts`."""
    keys = [f"edit {n}" for n in range(300)]
    found = decisions(keys, seed=5, attempts=12)
    for key in keys:
        faults = [found[key, attempt][0] for attempt in range(1, 13)]
        if "refused_400" in faults:
            assert set(faults) == {"refused_400"}
        else:
            assert sum(fault is not None for fault in faults) <= PROFILE.max_faulty_attempts


def test_a_new_profile_starts_its_script_afresh_and_keeps_the_counts():
    """Attempts go on counting, `nth` starts again."""
    plan = FaultPlan(Profile(), 0)
    for _ in range(3):
        plan.next("k", prompt="p", model="m", client_request_id=None)
    scripted = Profile().with_overrides({"script": [{"when": {"nth": 1}, "fault": "status_500"}]})
    plan.use(scripted, afresh=True)
    decision = plan.next("k", prompt="p", model="m", client_request_id=None)
    assert (decision.fault, decision.attempt) == ("status_500", 4)
    assert plan.next("k", prompt="p", model="m", client_request_id=None).fault is None
    plan.use(scripted, afresh=False)
    assert plan.next("k", prompt="p", model="m", client_request_id=None).fault is None
