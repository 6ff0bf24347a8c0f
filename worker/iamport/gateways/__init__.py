"""The gateways' codes, by what they mean: a module for each gateway.

A module has ``CODES``: :class:`Verdict` to the codes that mean it; and where a code means something else for one
operation, ``OF_ISSUES`` or ``OF_PAYMENTS`` in the same form. Codes that mean a refusal of the card are listed, too:
what no table knows is judged by its text.
"""

from collections.abc import Iterable, Mapping
from types import ModuleType

from worker.iamport.codes import Verdict
from worker.iamport.gateways import inicis, kcp, ksnet, nice, toss

Codes = Mapping[Verdict, Iterable[str]]
GATEWAYS: tuple[ModuleType, ...] = (nice, inicis, kcp, toss, ksnet)


def _by_code(name: str) -> dict[str, Verdict]:
    tables: list[Codes] = [getattr(gateway, name, {}) for gateway in GATEWAYS]
    return {code: verdict for table in tables for verdict, codes in table.items() for code in codes}


OF_ISSUES = _by_code("CODES") | _by_code("OF_ISSUES")
OF_PAYMENTS = _by_code("CODES") | _by_code("OF_PAYMENTS")
