"""What holds for every test: no setting of a developer's own reaches it, neither of the shell nor of the checkout."""

import os

import pytest

from tests.servers import leave_checkout

STORES, KEYS = ("BROKER_", "LEDGER_", "VAULT_"), ("SEALING_", "SIGNING_", "OPENING_", "PRODUCER_")
SETTINGS = (*STORES, *KEYS, "IMP_", "METRICS_", "LIMIT", "WEBHOOK_", "OTEL_")
OTHERS = ("LOOK_UP_FOR_S", "JOB_DEADLINE_S", "REQUIRE_LOCKED_MEMORY", "ALIVE_FOLDER", "MERCHANT_NAME", "API_KEYS_FILE")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developers_own() -> None:
    leave_checkout()
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name in OTHERS:
            del os.environ[name]
