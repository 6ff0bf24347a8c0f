"""Running the courier as a process of its own."""

import logging
import signal
import sys
from types import FrameType

from producer.outcome_stream import OutcomeReader
from producer.runtime.alive import alive_file
from producer.runtime.redaction import Redacting
from producer.settings import ProducerSettings
from producer.webhooks.delivery import GROUP, Deliverer
from producer.webhooks.delivery_queue import WebhookLedger
from producer.webhooks.http import WebhookClient
from producer.webhooks.settings import WebhookSettings

log = logging.getLogger("webhooks")


def run(producer: ProducerSettings) -> None:
    """Deliver until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    settings = WebhookSettings.from_env()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    poster = WebhookClient(
        settings.webhook_url,
        settings.webhook_secrets,
        timeout_s=settings.webhook_timeout_s,
        allow_private=settings.webhook_allow_private,
    )
    courier = Deliverer(
        OutcomeReader(producer.ledger_url, GROUP, GROUP),
        WebhookLedger(producer.ledger_url),
        poster,
        tell=_tell,
        tell_trouble=log.warning,
        alive=alive_file("webhooks").touch,
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        courier.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("delivering")
    courier.run()
    log.info("ended")


def _tell(job_id: str, word: str, given_up: bool) -> None:
    log.warning("job %s: %s; %s", job_id, word, "given up" if given_up else "again later")
