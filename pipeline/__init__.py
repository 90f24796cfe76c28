"""Bulk image editing: a manifest in, pictures and a results ledger out."""

__version__ = "0.1.0"
