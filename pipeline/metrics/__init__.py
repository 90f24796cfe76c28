"""Runs and jobs as Prometheus reads them.

`Meter` is one job at one moment, made from a run's `Snapshot` or from a ledger; `exposition` turns
meters into text. Names follow Prometheus' conventions: base units in the name, `_total` for what
only grows. Labels have few values: a job, an outcome, a status; never an edit. A job's label is
`job_name`, because `job` is what Prometheus itself calls its targets.
"""

from pipeline.metrics.families import exposition
from pipeline.metrics.meter import Meter, meter_of_ledger, meter_of_run

__all__ = ["Meter", "exposition", "meter_of_ledger", "meter_of_run"]
