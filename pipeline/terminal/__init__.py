"""A run as a terminal, a log or a pipe shows it.

`block.py` draws a `Snapshot`, `painter.py` keeps what is drawn in place; `live.py`, `plain.py` and
`json_lines.py` follow a run's events, each for one kind of onlooker.
"""
