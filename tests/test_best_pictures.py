"""Which pictures of several answers are kept, and how many are asked for again."""

from pipeline.best_pictures import TOP_UPS, Candidate, Held, Wanted, in_words
from pipeline.models import PictureCheck, StoredImage


def a_picture(name: str, *failed: str) -> Candidate:
    image = StoredImage(
        path=f"images/{name}.png", sha256=name, size=1, width=1, height=1, format="png"
    )
    checks = [
        PictureCheck(position=0, name=one, value=0, limit=1, passed=False, message=f"{one} says no")
        for one in failed
    ]
    passed = PictureCheck(
        position=0, name="decodes", value=1, limit=1, passed=True, message="all decoded"
    )
    return Candidate(image=image, checks=(passed, *checks))


def names(pictures: object) -> list[str]:
    assert isinstance(pictures, tuple | list)
    return [one.image.sha256 for one in pictures]


def test_the_picture_with_the_fewest_failed_checks_stays() -> None:
    held = Held(1)
    assert held.take([a_picture("two", "ratio", "not_blank")]) == []
    assert names(held.take([a_picture("one", "ratio")])) == ["two"]
    assert names(held.take([a_picture("again", "ratio")])) == ["again"], "alike: the first stays"
    assert names(held.take([a_picture("right")])) == ["one"]
    assert names(held.take([a_picture("late")])) == ["late"]
    assert names(held.pictures) == ["right"]


def test_pictures_keep_the_order_in_which_they_came() -> None:
    held = Held(3)
    held.take([a_picture("a", "ratio"), a_picture("b"), a_picture("c", "ratio", "min_size")])
    assert names(held.pictures) == ["a", "b", "c"]
    held.take([a_picture("d")])
    assert names(held.pictures) == ["a", "b", "d"], "the worst gave way"


def test_only_what_is_wrong_or_missing_is_wanted_and_not_for_ever() -> None:
    held = Held(4)
    held.take([a_picture("a"), a_picture("b", "ratio")])
    assert held.wanted(rerolls=0, top_up=False) == Wanted(0, 0)
    assert held.wanted(rerolls=1, top_up=False) == Wanted(1, 0)
    assert held.wanted(rerolls=1, top_up=True) == Wanted(1, 2)
    held.ask(Wanted(1, 2))
    assert held.wanted(rerolls=1, top_up=True) == Wanted(0, 2)
    for _ in range(TOP_UPS - 1):
        held.ask(Wanted(0, 2))
    assert held.wanted(rerolls=1, top_up=True).pictures == 0
    assert (held.requests, held.rerolls, held.top_ups) == (TOP_UPS, 1, TOP_UPS)


def test_the_message_says_which_picture_only_where_there_are_several() -> None:
    assert in_words([a_picture("a", "ratio")]) == "ratio: ratio says no"
    both = [a_picture("a"), a_picture("b", "ratio", "min_size")]
    assert in_words(both) == "picture 2: ratio: ratio says no; min_size: min_size says no"
    assert in_words([a_picture("a")]) == ""
