"""The review gallery: a job's pictures, decisions and charts as one page, from its ledger.

`write_report` makes a folder that opens from disk. A server gives the same page, data and charts at
addresses of its own: `index_of` and `details_of` make the data, with a `Links` that says where
pictures are; `index_script` and `details_script` turn them into the scripts that the page loads;
`thumbnail` makes one preview; `page` the page itself. Nothing here asks for an edit or decides one.

Data are scripts because a page that was opened from disk may not fetch anything. What comes from a
manifest or a provider is text in them, never markup.
"""

from pipeline.gallery.charting import Chart, charts_of
from pipeline.gallery.data import DETAILS_PER_FILE, details_of, index_of
from pipeline.gallery.links import Links, Picture, Shown
from pipeline.gallery.rendering import STATIC, details_script, index_script, page
from pipeline.gallery.sheet import write_contact_sheet
from pipeline.gallery.writing import ReportResult, write_report
from pipeline.pictures.thumbnails import thumbnail

__all__ = [
    "DETAILS_PER_FILE",
    "STATIC",
    "Chart",
    "Links",
    "Picture",
    "ReportResult",
    "Shown",
    "charts_of",
    "details_of",
    "details_script",
    "index_of",
    "index_script",
    "page",
    "thumbnail",
    "write_contact_sheet",
    "write_report",
]
