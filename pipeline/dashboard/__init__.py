"""The live page: all jobs of a folder in a browser, while they run and afterwards.

A view of the ledgers, of the runs' control sockets and of the job files; it keeps nothing of its
own but the logs of the runs that it starts. `access.py` decides who may do what, `gate.py` applies
it to every request, `watching.py` keeps fresh what somebody looks at, `wishes.py` and `starting.py`
start runs whose price was shown first. To add a page or an address, add it to one of the modules
with ``routes()``, or mount it in `server.make_app`.
"""

from pipeline.dashboard.server import GENERATE, ServeOptions, Serving, make_app, serve

__all__ = ["GENERATE", "ServeOptions", "Serving", "make_app", "serve"]
