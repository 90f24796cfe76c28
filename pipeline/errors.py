"""Every error of the pipeline. The class says what ends; the message says what happened.

::

    PipelineError                 exit 1
    ├─ ConfigError                exit 2   the run never starts
    │   ├─ JobError
    │   ├─ ManifestError          file:row: problem (way out)
    │   └─ NotRunningError        there is no run to steer
    ├─ EditError                  one edit ends, with a record; the run goes on
    │   ├─ InputError             missing, undecodable, too large
    │   ├─ RequestRejectedError   400, 413, 422
    │   ├─ ContentRefusedError    → status "refused"
    │   ├─ CheckFailedError       → status "rejected"
    │   └─ TransientError         retried first
    │       ├─ RateLimitError     429
    │       ├─ ServerError        408, 425, 5xx
    │       ├─ ConnectionFailed   no answer, or only part of one
    │       ├─ BadResponseError   an answer that holds no usable picture
    │       └─ NoImageError       a success without a picture
    ├─ FatalError                 exit 4   the run ends; what is in flight is kept
    │   ├─ AuthenticationError    401
    │   ├─ QuotaExceededError     402, 403 about money
    │   ├─ ModelGoneError         403, 404
    │   ├─ StoreError
    │   └─ LedgerError
    ├─ IncompleteError            exit 3   a delivery would lack pictures
    ├─ BudgetReachedError         exit 5   a money cap
    ├─ GuardError                 exit 5   a guard rail of an unattended run
    └─ LockedError                exit 6   another run holds the lock
"""

from typing import ClassVar, Literal

Outcome = Literal["failed", "refused", "rejected"]

CostSource = Literal["header", "body", "catalog", "log", "none"]
"""Who said what an attempt cost. ``log``: the provider's books, read later. ``none``: nobody did
and the price is unknown."""


class PipelineError(Exception):
    """The root. ``exit_code`` is what the command ends with."""

    exit_code: ClassVar[int] = 1


class ConfigError(PipelineError):
    """Something the user wrote cannot be used. Nothing was sent."""

    exit_code = 2


class JobError(ConfigError):
    """The job file, or an option that overrides it, is wrong."""


class ManifestError(ConfigError):
    """A manifest cannot be read. The message starts with ``file`` or ``file:row``."""


class NotRunningError(ConfigError):
    """A run was to be steered or watched, and none is going on."""


class EditError(PipelineError):
    """One edit cannot succeed. Becomes that edit's record.

    ``code`` is stable and goes to the ledger and ``results.csv``. ``http_status`` and
    ``inference_id`` are the provider's, where it answered; ``cost_usd`` what it said that this
    answer cost and ``cost_source`` where it said so, ``None`` and ``none`` where it said nothing;
    ``body`` the answer, cut, where a person has to find out why it could not be used.
    """

    exit_code = 3
    code: ClassVar[str] = "failed"
    outcome: ClassVar[Outcome] = "failed"

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        inference_id: str | None = None,
        cost_usd: float | None = None,
        cost_source: CostSource = "none",
        body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.inference_id = inference_id
        self.cost_usd = cost_usd
        self.cost_source = cost_source
        self.body = body


class InputError(EditError):
    """An input picture is missing, undecodable or too large. Nothing was sent for it."""

    code = "input"


class RequestRejectedError(EditError):
    """The provider calls the request itself wrong (400, 413, 422). Never retried, never charged."""

    code = "request_rejected"


class ContentRefusedError(EditError):
    """Moderation said no: an answer, not a fault. Never retried."""

    code = "refused"
    outcome = "refused"


class CheckFailedError(EditError):
    """A check or a person turned the picture down."""

    code = "check_failed"
    outcome = "rejected"


class TransientError(EditError):
    """May pass by itself.

    ``retry_after``: seconds that the provider asked to wait, if it did. ``sent``: the request left
    this machine and no answer settled it, so it may have been charged. False when it provably did
    not leave, or was answered with an error status (which is never charged).
    """

    code = "transient"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        sent: bool = False,
        http_status: int | None = None,
        inference_id: str | None = None,
        cost_usd: float | None = None,
        cost_source: CostSource = "none",
        body: bytes | None = None,
    ) -> None:
        super().__init__(
            message,
            http_status=http_status,
            inference_id=inference_id,
            cost_usd=cost_usd,
            cost_source=cost_source,
            body=body,
        )
        self.retry_after = retry_after
        self.sent = sent


class RateLimitError(TransientError):
    """429: too many requests a minute, or too many at once; the status does not say which."""

    code = "rate_limited"


class ServerError(TransientError):
    """The provider or a gateway before it failed: 408, 425, 5xx."""

    code = "server_error"


class ConnectionFailed(TransientError):  # noqa: N818 - DESIGN's name, read as a sentence
    """No connection, no answer in time, or an answer that broke off."""

    code = "connection_failed"


class BadResponseError(TransientError):
    """A success status with a body, or a picture, that cannot be used."""

    code = "bad_response"


class NoImageError(TransientError):
    """A success status and no picture in it: a refusal in disguise, or a passing fault."""

    code = "no_image"


class FatalError(PipelineError):
    """Every further edit would fail alike: the run ends, and nothing else is marked failed."""

    exit_code = 4


class AuthenticationError(FatalError):
    """401: the key is missing, wrong or disabled."""


class QuotaExceededError(FatalError):
    """Out of money, or at the key's own cap."""


class ModelGoneError(FatalError):
    """No access to the model, or it was withdrawn."""


class StoreError(FatalError):
    """Pictures cannot be written: disk full, no permission, remote storage down."""


class LedgerError(FatalError):
    """The ledger cannot be read or written."""


class IncompleteError(PipelineError):
    """What was to be delivered is not all there, so nothing was switched."""

    exit_code = 3


class BudgetReachedError(PipelineError):
    """The next request could pass a money cap, so it was not sent."""

    exit_code = 5


class GuardError(PipelineError):
    """A guard rail ended the run; ``rails``: which, by their keys in the job's ``guards``."""

    exit_code = 5

    def __init__(self, message: str, *, rails: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rails = rails


class LockedError(PipelineError):
    """Another run of the same job is going on."""

    exit_code = 6
