"""What a call leaves behind: what only the garbage collector could free, and what some cache keeps for good."""

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


def kept_texts(pattern: re.Pattern[str]) -> set[str]:
    """Every text in this process that a pattern is found in; caches of C code hold theirs where only this walk gets."""
    gc.collect()
    seen: set[int] = set()
    found: set[str] = set()
    left = gc.get_objects()
    while left:
        inner = [one for one in gc.get_referents(*left) if id(one) not in seen]
        seen.update(map(id, inner))
        # By type: isinstance asks an object for its class, and Celery's proxies answer by reading settings.
        found.update(one for one in inner if type(one) is str and pattern.search(one))
        left = [one for one in inner if not gc.is_tracked(one) and type(one) in {tuple, dict, frozenset}]
    return found
