"""The provider's own books: what its log and its bill say of requests whose outcome nobody knows.

`paging.py` reads them, `matching.py` holds the ledger against them; `inquiry.py` asks while a run
goes on, `reconciling.py` when a person does.
"""
