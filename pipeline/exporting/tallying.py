"""What a data card says in numbers, counted while the edits are chosen. Memory: bounded."""

from collections import Counter
from collections.abc import Sequence

from pipeline.ledger.material import ExportRow

MOST_KINDS = 10_000
"""Different prompts (or licences) that are told apart; beyond, they are many."""

LICENCE_COLUMNS = ("licence", "license", "source_licence", "source_license")


class Tally:
    """``licence_column``: the manifest's, or "". Times: as in the results."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.edits = 0
        self.with_source = 0
        self.prompts: Counter[str] = Counter()
        self.more_prompts = False
        self.models: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.first = ""
        self.last = ""
        self.cost_usd = 0.0
        self.uncosted = 0
        self.licence_column = next(
            (name for name in columns if name.lower().replace(" ", "_") in LICENCE_COLUMNS), ""
        )

    def add(self, row: ExportRow) -> None:
        """An edit that was chosen."""
        values = row.values
        self.edits += 1
        self.with_source += bool(row.inputs)
        self.models[values["model"]] += 1
        if values["prompt"] in self.prompts or len(self.prompts) < MOST_KINDS:
            self.prompts[values["prompt"]] += 1
        else:
            self.more_prompts = True
        if self.licence_column:
            licence = values[self.licence_column] or "not stated"
            if licence in self.licences or len(self.licences) < MOST_KINDS:
                self.licences[licence] += 1
        finished = values["finished_at"]
        self.first = min(self.first or finished, finished)
        self.last = max(self.last, finished)
        if values["cost_usd"] is None:
            self.uncosted += 1
        else:
            self.cost_usd += values["cost_usd"]
