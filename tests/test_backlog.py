"""The crew's order of work, on a clock that is a number."""

import asyncio

import pytest

from pipeline.backlog import Backlog, Later
from pipeline.models import Edit
from pipeline.planning import Item, Planned
from tests.virtual_clock import run_virtual


def planned(name: str) -> Planned:
    edit = Edit(
        id=name, images=(), prompt="p", parameters={}, variables={}, place="m.csv:2", output=name
    )
    return Planned(edit=edit, fingerprint="f", digests=(), state="new")


def later(name: str, due: float) -> Later:
    return Later(planned=planned(name), due=due, progress=None)


def name_of(work: Item | Later | None) -> str | None:
    if isinstance(work, Later):
        return work.planned.edit.id
    return work.edit.id if isinstance(work, Planned) else None


def clock() -> float:
    return round(asyncio.get_running_loop().time(), 3)


async def taken(backlog: Backlog) -> list[tuple[float, str]]:
    """All there is, with the time at which it came."""
    found = []
    while (work := await backlog.take()) is not None:
        found.append((clock(), name_of(work) or ""))
    return found


def test_what_is_due_goes_before_what_is_new_and_what_is_not_due_after_it() -> None:
    async def story() -> list[tuple[float, str]]:
        backlog = Backlog(fresh=10, waiting=10)
        for name in ("a", "b"):
            await backlog.put(planned(name))
        backlog.postpone(later("due", 0))
        backlog.postpone(later("waits", 5))
        backlog.close()
        return await taken(backlog)

    assert run_virtual(story()) == [(0, "due"), (0, "a"), (0, "b"), (5, "waits")]


def test_waiting_edits_go_in_the_order_in_which_they_are_due() -> None:
    async def story() -> list[tuple[float, str]]:
        backlog = Backlog(fresh=10, waiting=10)
        for name, due in (("c", 9), ("a", 2), ("b", 2)):
            backlog.postpone(later(name, due))
        backlog.close()
        return await taken(backlog)

    assert run_virtual(story()) == [(2, "a"), (2, "b"), (9, "c")]


def test_an_edit_that_is_due_sooner_wakes_whoever_waits_for_a_later_one() -> None:
    async def story() -> list[tuple[float, str]]:
        backlog = Backlog(fresh=10, waiting=10)
        backlog.postpone(later("late", 60))
        backlog.close()
        crew = asyncio.gather(*(taken(backlog) for _ in range(3)))
        await asyncio.sleep(1)
        backlog.postpone(later("soon", 4))
        return sorted(each for mine in await crew for each in mine)

    assert run_virtual(story()) == [(4, "soon"), (60, "late")]


def test_when_too_many_wait_nothing_fresh_is_taken_until_one_is_due() -> None:
    async def story() -> list[tuple[float, str]]:
        backlog = Backlog(fresh=10, waiting=2)
        await backlog.put(planned("fresh"))
        backlog.postpone(later("a", 3))
        backlog.postpone(later("b", 7))
        backlog.close()
        return await taken(backlog)

    assert run_virtual(story()) == [(3, "a"), (3, "fresh"), (7, "b")]


def test_the_producer_waits_while_there_is_enough() -> None:
    async def story() -> None:
        backlog = Backlog(fresh=2, waiting=2)
        producer = asyncio.create_task(produce(backlog, 5))
        await asyncio.sleep(1)
        assert not producer.done()
        for _ in range(3):
            assert await backlog.take() is not None
        await producer
        assert len(await taken(backlog)) == 2

    run_virtual(story())


async def produce(backlog: Backlog, count: int) -> None:
    for number in range(count):
        await backlog.put(planned(f"e{number}"))
    backlog.close()


@pytest.mark.parametrize("members", [1, 3, 50])
def test_every_item_is_taken_once_and_everybody_goes_home(members: int) -> None:
    """A third of the edits has to wait, each three times, some after the manifest's end."""

    async def story() -> tuple[list[str], float]:
        backlog = Backlog(fresh=members, waiting=100)
        done: list[str] = []
        tries: dict[str, int] = {}

        async def member() -> None:
            while (work := await backlog.take()) is not None:
                name = name_of(work)
                assert name is not None
                tries[name] = tries.get(name, 0) + 1
                await asyncio.sleep(0.1)
                if int(name[1:]) % 3 == 0 and tries[name] <= 3:
                    due = asyncio.get_running_loop().time() + 2
                    backlog.postpone(later(name, due))
                else:
                    done.append(name)

        await asyncio.gather(produce(backlog, 300), *(member() for _ in range(members)))
        return done, clock()

    done, seconds = run_virtual(story())
    assert sorted(done) == sorted(f"e{n}" for n in range(300))
    assert seconds < 600 * 0.1 / members + 15


def test_waiting_edits_cost_fresh_ones_no_time() -> None:
    """Half of the crew's work waits for an hour: the other half is done as if it were alone."""

    async def story() -> float:
        backlog = Backlog(fresh=4, waiting=1000)
        finished = 0.0

        async def member() -> None:
            nonlocal finished
            while (work := await backlog.take()) is not None:
                if isinstance(work, Later):
                    continue
                await asyncio.sleep(1)
                if int((name_of(work) or "e0")[1:]) % 2:
                    backlog.postpone(later("again", 3600))
                else:
                    finished = clock()

        await asyncio.gather(produce(backlog, 400), *(member() for _ in range(4)))
        return finished

    assert run_virtual(story()) == 100


def test_a_member_that_is_cancelled_takes_no_work_with_it() -> None:
    async def story() -> str | None:
        backlog = Backlog(fresh=2, waiting=2)
        first = asyncio.create_task(backlog.take())
        second = asyncio.create_task(backlog.take())
        await asyncio.sleep(0)
        await backlog.put(planned("a"))  # the first is woken
        first.cancel()
        return name_of(await second)

    assert run_virtual(story()) == "a"


def test_a_member_that_is_cancelled_as_others_are_roused_is_passed_over() -> None:
    """It has been told, and has not gone yet, when something comes for the one after it."""

    async def story() -> list[str | None]:
        backlog = Backlog(fresh=10, waiting=10)
        gone, other = [asyncio.create_task(backlog.take()) for _ in range(2)]
        await asyncio.sleep(1)
        gone.cancel()
        await backlog.put(planned("a"))
        backlog.close()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return [name_of(await other), name_of(await backlog.take())]

    assert run_virtual(story()) == ["a", None]
