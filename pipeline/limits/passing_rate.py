"""How fast requests passed, read from the times of refusals and successes."""

from collections import deque


def passing_rate(
    now: float,
    passed: int,
    *,
    anchors: deque[tuple[float, int]],
    successes: deque[float],
    enough: int,
) -> tuple[float | None, int]:
    """Requests a second that passed between refusals, the allowance used up at both ends, and how
    many; before there are two refusals, the success rate just before the cut.

    ``passed``: requests let in so far. ``anchors``: refusals, each with how many had passed by
    then. ``successes``: times of the latest ones. ``enough``: requests to measure with at most.
    """
    rate: float | None = None
    requests, most = 0, float("inf")
    for at, count in reversed(anchors):
        if at >= now:
            continue
        between = max(0, passed - count)
        found = (between + 0.5) / (now - at)
        if found * 0.9 > most:
            break  # it was more before and has fallen: older refusals would mislead
        rate, requests = found, between
        most = min(most, (between + 1.5) / (now - at))
        if requests >= enough:
            break
    if rate is None and len(successes) > 1 and now > successes[0]:
        rate = len(successes) / (now - successes[0])
    return rate, requests
