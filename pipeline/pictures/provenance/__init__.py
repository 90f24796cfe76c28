"""What pictures say of their origin: facts written into them, and read from any picture.

`with_provenance` and `write_provenance` put a `Provenance` into the XMP of a PNG, JPEG or WebP
without touching its pixels; `read_provenance` says what lies in a file. Importing this loads no
Pillow.
"""

from pipeline.pictures.provenance.facts import DerivedFrom, DigitalSource, Provenance
from pipeline.pictures.provenance.inspection import Inspection, read_provenance
from pipeline.pictures.provenance.writing import (
    labelled_pieces,
    with_provenance,
    write_provenance,
)

__all__ = [
    "DerivedFrom",
    "DigitalSource",
    "Inspection",
    "Provenance",
    "labelled_pieces",
    "read_provenance",
    "with_provenance",
    "write_provenance",
]
