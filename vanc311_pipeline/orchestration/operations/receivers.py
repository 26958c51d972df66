"""Who takes alerts: a webhook, as Slack takes its messages, or whatever Apprise knows. An address may hold a secret, so no error has it."""

from html import escape

import dagster as dg
import requests

from vanc311_pipeline.orchestration.operations.deadline import within
from vanc311_pipeline.settings import ALERT_SECONDS, apprise_service, is_address


class NotDelivered(dg.DagsterError):
    """A message that its receiver did not take, in one sentence. One of Dagster's own errors: those are shown as they are."""

    def __init__(self, why: str, receiver: str = "The webhook") -> None:
        super().__init__(
            f"{receiver} did not take the alert: {why}. The data is not affected, and the alert is not lost: it is sent again in "
            "a minute. If that goes on, see whether VANC311_ALERT_WEBHOOK is still valid."
        )


def deliver(address: str, title: str, text: str) -> None:
    """Deliver a message to one receiver, or raise NotDelivered. A title is for receivers that have one, as a mail has a subject."""
    late = NotDelivered(f"no answer in {ALERT_SECONDS:g} s", "The receiver")
    within(ALERT_SECONDS, lambda: _post(address, text) if is_address(address) else _notify(address, title, text), late)


def _notify(address: str, title: str, text: str) -> None:
    service = apprise_service(address)
    if service is None:
        raise NotDelivered("Apprise does not know it any more, or is not installed any more", "A receiver")
    from apprise import Apprise, NotifyFormat, NotifyType, OverflowMode

    if service.overflow_mode == OverflowMode.UPSTREAM:  # a service would refuse what is too long for it, time and again
        service.overflow_mode = OverflowMode.SPLIT
    calm = text.replace("@", "@\u200b")  # else a label could call everyone who reads a channel
    if not Apprise(service).notify(calm, title, NotifyType.WARNING, NotifyFormat.TEXT):
        why = "Apprise says why, in words that may hold the address, after `apprise -v -b test ADDRESS`"
        raise NotDelivered(why, str(service.service_name))


def _post(url: str, text: str) -> None:
    message = {"text": escape(text, quote=False)}  # the three signs that Slack reads
    try:
        # A redirect would turn the message into a question; the body of an answer may never end, and says nothing.
        with requests.post(url, json=message, timeout=ALERT_SECONDS / 2, allow_redirects=False, stream=True) as answer:
            status = answer.status_code
    except requests.RequestException as error:  # its own words have the address in them
        kinds = {requests.Timeout: "no answer in time", requests.ConnectionError: "no connection"}
        why = next((words for kind, words in kinds.items() if isinstance(error, kind)), type(error).__name__)
        raise NotDelivered(why) from None
    if not 200 <= status < 300:
        raise NotDelivered(f"status {status}")
