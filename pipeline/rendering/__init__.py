"""A job's renditions: what its ledger and its settings want, held against what is there.

The folder ``renditions/`` below the outputs is a function of the ledger, the job and the stored
originals. It can be deleted at any time, and made again at no cost.
"""
