"""Edits that wait for a redo although their row has left the manifest: no run asks for them."""

from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError
from pipeline.job import Job
from pipeline.ledger import LedgerReader
from pipeline.manifest import read_once
from pipeline.preview.reading import read_edits
from pipeline.targets.tries import candidate

LOOKED_AT = 100_000
"""Rows that are read for it, in a second or two: a status is there to be looked at often."""

WAY_OUT = "their rows left the manifest: bring them back, or decide anew (pipeline review)"


def waiting_redos(reader: LedgerReader) -> frozenset[str]:
    """Ids of the edits of which a person wants another picture that was not asked for yet."""
    wished = [said.id for said in reader.decisions() if said.decision == "redo"]
    known = [(edit_id, reader.fingerprint_of(edit_id)) for edit_id in wished]
    return frozenset([edit_id for edit_id, found in known if found and found[1] == "pending"])


def orphaned_redos(job: Job, reader: LedgerReader) -> tuple[str, ...]:
    """Those of them that no row asks for. Reads the manifest only where some wait, and no further
    than to the last of them; of a manifest longer than `LOOKED_AT` it says nothing. Raises
    `ManifestError`, and `JobError` about the job's values.
    """
    further = job.target_accepted.count is not None
    left: dict[str, list[str]] = {}
    for edit_id in sorted(waiting_redos(reader)):
        left.setdefault(candidate(edit_id) if further else edit_id, []).append(edit_id)
    if not left or read_once(job.manifest):
        return ()
    for number, row in enumerate(read_edits(job, model_spec(job.endpoint.model))):
        left.pop(row.id, None)
        if not left or number == LOOKED_AT:
            return ()
    return tuple([edit_id for of_row in left.values() for edit_id in of_row])


def shown_orphaned_redos(job: Job, reader: LedgerReader) -> tuple[str, ...]:
    """The same for whoever shows a job. Of a manifest that cannot be read it says nothing: `check`
    says what is wrong with it.
    """
    try:
        return orphaned_redos(job, reader)
    except ConfigError:
        return ()
