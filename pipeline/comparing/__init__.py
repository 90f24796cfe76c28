"""Several models over the same edits: figures, a page with them side by side, and a blind vote.

Each model of a job has a ledger of its own; everything here is a function of these ledgers, and of
the votes that people export from the page.
"""

from pipeline.comparing.figures import Comparison, ModelFigures, compare
from pipeline.comparing.page import ComparePage, write_page
from pipeline.comparing.votes import Preference, VoteSummary, read_votes, summed_up

__all__ = [
    "ComparePage",
    "Comparison",
    "ModelFigures",
    "Preference",
    "VoteSummary",
    "compare",
    "read_votes",
    "summed_up",
    "write_page",
]
