"""Steering a run that goes on, from another process: one line of JSON in, one out.

`messages.py` is what is said, `channel.py` the private local socket, `server.py` the run's side and
`client.py` everybody else's.
"""
