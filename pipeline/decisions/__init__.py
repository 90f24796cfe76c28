"""What people decide about pictures: read from a table, held against the ledger, taken."""
