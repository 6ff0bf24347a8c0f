"""A faithful fake of i'mport's (PortOne V1) REST API, api.iamport.kr.

In process for tests (``FakeIamport``), as a server of its own (``python -m tests.fake_iamport``,
read through ``RemoteFake``), and as a judge: its log says what was really applied. Sample cards
are in ``cards``, troubles in ``faults``, HTTP control in ``control``. It is strict where i'mport
is, and where i'mport's behaviour is not known its docstrings say what was assumed.
"""

from tests.fake_iamport.cards import CARDS, SampleCard, made_up, numbered
from tests.fake_iamport.client import RemoteFake
from tests.fake_iamport.customers import Customer
from tests.fake_iamport.fake import FakeIamport
from tests.fake_iamport.faults import Fault
from tests.fake_iamport.journal import Applied, Request
from tests.fake_iamport.payments import Payment

__all__ = [
    "CARDS",
    "Applied",
    "Customer",
    "FakeIamport",
    "Fault",
    "Payment",
    "RemoteFake",
    "Request",
    "SampleCard",
    "made_up",
    "numbered",
]
