"""Finished pictures as a folder for a shop: named by product, with checksums and feeds.

The folder is a link to one of several deliveries that lie beside it, and is switched in one step:
whoever reads it sees the old delivery or the new one, whole.
"""

from pipeline.delivery.delivering import deliver_job, roll_back_job
from pipeline.delivery.values import DeliveryResult, DeliverySettings

__all__ = ["DeliveryResult", "DeliverySettings", "deliver_job", "roll_back_job"]
