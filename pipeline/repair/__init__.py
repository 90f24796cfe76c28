"""The ledger held against the files: `filecheck.py` finds and mends, `adoption.py` saves pictures
that were paid for just before a crash.
"""
