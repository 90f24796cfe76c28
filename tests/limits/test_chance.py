"""Refusals that no limit explains, and what the learner makes of them."""

from statistics import mean

from benchmarks.pacing import HARD, oracle, pipeline, played
from pipeline.limits.chance import ALONE_AMONG, AMONG_MOST, KNOWN_AFTER, TRUSTED, Chance


def passes(chance: Chance, count: int, *, below: bool = True) -> None:
    for _ in range(count):
        chance.passed(below=below)


def known() -> Chance:
    """After refusals where no limit would refuse, far between."""
    chance = Chance()
    for _ in range(KNOWN_AFTER):
        passes(chance, 2 * AMONG_MOST)
        chance.explains(below=True)
    passes(chance, ALONE_AMONG)
    return chance


def test_a_first_refusal_means_a_limit() -> None:
    chance = Chance()
    passes(chance, 1000)
    assert not chance.explains(below=True)


def test_refusals_at_the_limit_never_become_chance() -> None:
    chance = Chance()
    for _ in range(50):
        passes(chance, ALONE_AMONG, below=False)
        assert not chance.explains(below=False)


def test_once_known_a_single_refusal_anywhere_may_be_chance() -> None:
    assert known().explains(below=True)
    assert known().explains(below=False)


def test_several_together_are_a_limit_all_the_same() -> None:
    chance = known()
    assert chance.explains(below=True)
    passes(chance, ALONE_AMONG // 2)
    assert not chance.explains(below=True)


def test_what_is_refused_too_often_well_below_is_no_chance() -> None:
    chance = known()
    for _ in range(20):
        passes(chance, ALONE_AMONG // 2)
        chance.explains(below=True)
    passes(chance, ALONE_AMONG, below=False)
    assert not chance.explains(below=True)


def test_a_limit_is_looked_for_again_once_in_a_while() -> None:
    chance, excused = known(), 0
    while chance.explains(below=False):
        excused += 1
        passes(chance, ALONE_AMONG, below=False)
        assert excused <= KNOWN_AFTER * TRUSTED
    assert excused == KNOWN_AFTER * TRUSTED


def test_a_provider_that_turns_some_away_by_chance_is_not_crept_away_from() -> None:
    """One in thirty, whatever the load. Each taken for a limit, it would be 40 % of the pace."""
    hidden = HARD["3 % of 429s for no reason"]
    seeds = range(1, 7)
    best = [played(hidden, oracle, seed).seconds for seed in seeds]
    ours = [played(hidden, pipeline, seed).seconds for seed in seeds]
    assert mean(a / b for a, b in zip(best, ours, strict=True)) > 0.55
