"""Every fault the emulator knows, and where in the life of a request it strikes."""

from enum import Enum


class Moment(Enum):
    """When a fault strikes, which decides who pays."""

    DOOR = "door"
    """Turned away before any work, unseen by the provider's log. Not charged."""
    WORK = "work"
    """The work failed, or was refused. In the log as failed, not charged."""
    ANSWER = "answer"
    """The pictures exist and are charged; what is sent about them is wrong."""
    DELIVERY = "delivery"
    """The pictures exist and are charged; a correct answer does not arrive whole."""


FAULTS: dict[str, Moment] = {
    "reset_before_work": Moment.DOOR,
    "gateway_502_html": Moment.DOOR,
    "rate_limited": Moment.DOOR,
    "no_credits": Moment.DOOR,
    "model_withdrawn": Moment.DOOR,
    "never_answers": Moment.DOOR,
    "status_500": Moment.WORK,
    "status_503": Moment.WORK,
    "status_504": Moment.WORK,
    "refused_400": Moment.WORK,
    "refused_200_text": Moment.WORK,
    "empty_choices": Moment.WORK,
    "null_picture": Moment.WORK,
    "bad_base64": Moment.ANSWER,
    "not_a_picture": Moment.ANSWER,
    "fewer_pictures": Moment.ANSWER,
    "identical_pictures": Moment.ANSWER,
    "no_op_edit": Moment.ANSWER,
    "blank_picture": Moment.ANSWER,
    "wrong_shape": Moment.ANSWER,
    "repeated_picture": Moment.ANSWER,
    "expired_url": Moment.ANSWER,
    "slow_download": Moment.ANSWER,
    "wrong_content_type": Moment.ANSWER,
    "status_524_after_billing": Moment.DELIVERY,
    "reset_after_work": Moment.DELIVERY,
    "truncated_body": Moment.DELIVERY,
    "dripping_body": Moment.DELIVERY,
    "endless_body": Moment.DELIVERY,
    "gzip_bomb": Moment.DELIVERY,
}
"""Name → moment. `fewer_pictures` of one picture is none at all: it counts as failed work then."""

STICKY = ("refused_400", "refused_200_text")
"""Drawn once for an edit, not for each request of it: moderation says the same thing every time."""

SPOILT = (
    "fewer_pictures",
    "identical_pictures",
    "no_op_edit",
    "blank_picture",
    "wrong_shape",
    "repeated_picture",
)
"""Pictures are missing, or wrong: whoever looks at them asks again, and wants others."""
