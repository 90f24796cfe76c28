"""Data sets from a ledger: what is chosen, how it is split and packed, and how it is published.

`writing.export_job` reads top to bottom. The formats themselves are in `pipeline.exports`.
"""
