"""What a call leaves behind that only the garbage collector could free."""

import gc
from collections.abc import Callable
from types import FrameType

import requests

from producer.contract.card import Card
from tests.fake_iamport import CARDS

HOLDERS = (Card, FrameType, requests.PreparedRequest)  # whose repr does not show what they hold


def left_in_cycles(call: Callable[[], object], *kinds: type) -> list[str]:
    """The types of what was left, as far as it holds a card, or frames that could; or is one of ``kinds``."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        digits = CARDS["visa"].card_number[-4:]
        return sorted(
            {type(one).__name__ for one in gc.garbage if isinstance(one, HOLDERS + kinds) or digits in repr(one)}
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
