"""What a call leaves behind that only the garbage collector could free."""

import gc
import re
from collections.abc import Callable
from types import FrameType

import requests

from producer.contract.card import Card
from tests.fake_iamport import CARDS

# Three of the sample's groups or more: a port, an address or a thread's number could have one by chance.
NUMBER = re.compile(rf"(?:{CARDS['visa'].card_number[-4:]}\W{{0,4}}){{3}}")
HOLDERS = (Card, FrameType, requests.PreparedRequest)  # whose repr does not show what they hold


def left_in_cycles(call: Callable[[], object], *kinds: type) -> list[str]:
    """The types of what was left, as far as it holds a card, or frames that could; or is one of ``kinds``."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        return sorted(
            {type(one).__name__ for one in gc.garbage if isinstance(one, HOLDERS + kinds) or NUMBER.search(repr(one))}
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
