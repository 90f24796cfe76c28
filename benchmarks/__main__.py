"""Measures the pipeline beside what people write first, and writes docs/performance.md.

``make bench`` runs everything; ``python -m benchmarks large small`` runs some.
"""

import sys

from benchmarks import rows
from benchmarks.report import write

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(rows.BENCHMARKS)
    unknown = [name for name in chosen if name not in rows.BENCHMARKS]
    if unknown:
        sys.exit(f"unknown: {' '.join(unknown)}; there are: {' '.join(rows.BENCHMARKS)}")
    measured = {name: rows.BENCHMARKS[name]() for name in chosen}
    if chosen == list(rows.BENCHMARKS):
        write(measured)
