"""How many requests are at work at the endpoint at once, and how fast they may leave.

`throttle.py` is what a run holds; `stated_rates.py` keeps what was stated, exactly; `adaptive.py`
learns from 429s what nobody stated, and is pure; `latency.py` tells whether it slows down, and
`passing_rate.py` how fast requests passed. `bytes_held.py` is a gate for memory.
"""
