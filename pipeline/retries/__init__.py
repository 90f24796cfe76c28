"""When to try again, and when to stop asking.

`policy.py` decides about one failure; `breaker.py` about an endpoint that keeps failing, both pure;
`outage.py` is where edits wait meanwhile.
"""
