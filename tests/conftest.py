"""What holds for every test: no setting of a developer's own reaches it, neither of the shell nor of the checkout."""

import os

import pytest

from tests.servers import leave_checkout

STORES, KEYS = ("BROKER_", "LEDGER_", "VAULT_"), ("SEALING_", "SIGNING_", "OPENING_", "PRODUCER_")
SETTINGS = (*STORES, *KEYS, "APPLIED_", "IMP_", "METRICS_", "LIMIT", "WEBHOOK_", "MERCHANT_", "OTEL_")
OTHERS = ("LOOK_UP_FOR_S", "JOB_DEADLINE_S", "REQUIRE_LOCKED_MEMORY", "ALIVE_FOLDER", "API_KEYS_FILE")
PAGE = ("RETURN_ORIGINS", "FRAME_ANCESTORS", "SESSION_COOKIE", "TERMS_URL", "PRIVACY_URL")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developers_own() -> None:
    leave_checkout()
    for name in list(os.environ):
        if name.startswith(SETTINGS) or name in OTHERS + PAGE:
            del os.environ[name]
