"""Card: what lies inside the seal, the holder's personal data included.

Owns the rules of a card's fields. Must never show one: repr, str, JSON and pickles of a card are masked, errors name
the field and the rule, and the only doors to the plaintext are :meth:`Card.reveal` and :meth:`Card.reveal_json`.
"""

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .card_rules import RULES, at_most, brand_of, luhn_holds
from .errors import InvalidCard, problems_of
from .jose import DuplicateMember, loads

DIGITS_THAT_TELL, UNKNOWN_LIMIT = 4, 10
SHORT_FIELDS = frozenset(RULES)
PLAINTEXT_LIMIT = 2400  # bytes of JSON: with the longest header the envelope stays below its 4 KiB


class Card(BaseModel):
    """A customer's card and the holder's data, every value masked wherever it is shown.

    Args:
        card_number: 14 to 16 digits, any separators. Luhn must hold for Visa, Mastercard, Amex, JCB and Diners.
        expiry: ``YYYY-MM``, from this month on in Korea.
        birth: ``YYMMDD``, or the 10-digit business number of a corporate card; many contracts require it.
        pwd_2digit: the first two digits of the card's password; many contracts require it.
        cvc: 3 or 4 digits, for the one gateway that asks (Paymentwall). Do not collect it otherwise.
        customer_name, customer_tel, customer_email, customer_addr, customer_postcode: kept with the billing key.
        buyer_name, buyer_email, buyer_tel, buyer_addr, buyer_postcode: for a onetime payment.

    Raises:
        InvalidCard: a field breaks its rule.

    Source: POST /subscribe/customers/{customer_uid} and POST /subscribe/payments/onetime, spelled as there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, cache_strings="none")

    card_number: SecretStr
    expiry: SecretStr
    birth: SecretStr | None = None
    pwd_2digit: SecretStr | None = None
    cvc: SecretStr | None = None
    customer_name: Annotated[SecretStr, at_most(20)] | None = None
    customer_tel: Annotated[SecretStr, at_most(20)] | None = None
    customer_email: Annotated[SecretStr, at_most(200)] | None = None
    customer_addr: Annotated[SecretStr, at_most(200)] | None = None
    customer_postcode: Annotated[SecretStr, at_most(8)] | None = None
    buyer_name: Annotated[SecretStr, at_most(16)] | None = None
    buyer_email: Annotated[SecretStr, at_most(64)] | None = None
    buyer_tel: Annotated[SecretStr, at_most(16)] | None = None
    buyer_addr: Annotated[SecretStr, at_most(128)] | None = None
    buyer_postcode: Annotated[SecretStr, at_most(8)] | None = None

    fields_of_issue: ClassVar[frozenset[str]] = frozenset(
        {"card_number", "expiry", "birth", "pwd_2digit", "cvc", "customer_name", "customer_tel"}
        | {"customer_email", "customer_addr", "customer_postcode"}
    )
    fields_of_onetime: ClassVar[frozenset[str]] = frozenset(
        {"card_number", "expiry", "birth", "pwd_2digit", "cvc", "buyer_name", "buyer_email"}
        | {"buyer_tel", "buyer_addr", "buyer_postcode"}
    )

    @model_validator(mode="wrap")
    @classmethod
    def _raise_our_own(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 — pydantic's
        try:
            card = handler(data)
        except ValidationError as error:
            problems = problems_of(error)
        else:
            if card.model_fields_set <= SHORT_FIELDS or len(card.reveal_json()) <= PLAINTEXT_LIMIT:
                return card
            problems = (("card", f"is longer than {PLAINTEXT_LIMIT} bytes in all"),)
        # Raised outside the except block: pydantic's error holds the input and must not live on as __context__.
        raise InvalidCard(problems)

    @field_validator("card_number", "expiry", "birth", "pwd_2digit", "cvc")
    @classmethod
    def _check_digits(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None or info.field_name is None:
            return None
        now = (info.context or {}).get("now", time.time())
        return SecretStr(RULES[info.field_name](value.get_secret_value(), now))

    @property
    def brand(self) -> str:
        """See :func:`brand_of`."""
        return brand_of(self.card_number.get_secret_value())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Doubts about the card: a check digit that fails where it is not assured to hold."""
        if luhn_holds(self.card_number.get_secret_value()):
            return ()
        return (f"card_number: the check digit does not hold (not assured for {self.brand} cards)",)

    def fits(self, masked: str | None) -> bool | None:
        """True if a masked number that a gateway shows can be this card's; None where it does not tell."""
        return same_digits(masked, self.card_number.get_secret_value())

    @classmethod
    def from_json(cls, data: bytes, *, now: float | None = None) -> Self:
        """Read the card JSON.

        Args:
            data: a JSON object, at most 2400 bytes of UTF-8, no member twice.
            now: Unix seconds at which the expiry must not lie in the past; the system's clock by default.

        Raises:
            InvalidCard: it is no such JSON, or a field breaks its rule.
        """
        if len(data) > PLAINTEXT_LIMIT:
            raise InvalidCard([("card", f"is longer than {PLAINTEXT_LIMIT} bytes")])
        members = _members(data)
        unknown = [name for name in members if name not in cls.model_fields]
        if len(unknown) > UNKNOWN_LIMIT:  # pydantic would word an error for each
            raise InvalidCard([("card", f"has {len(unknown)} members that no card has")])
        return cls.model_validate(dict(members), context=None if now is None else {"now": now})

    def reveal_json(self) -> bytes:
        """The plaintext, for the seal and nothing else: compact UTF-8 JSON, unset members left out."""
        text = json.dumps(self.reveal(), ensure_ascii=False, separators=(",", ":"))
        # Character by character: CPython encodes what is not ASCII through a buffer on the stack, which nothing scrubs.
        return b"".join(map(str.encode, text))

    def reveal(self, only: frozenset[str] | None = None) -> dict[str, str]:
        """The plaintext members as i'mport spells them, unset ones left out; ``only`` limits them."""
        return {
            name: value.get_secret_value()
            for name, value in self
            if value is not None and (only is None or name in only)
        }

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **_: Any) -> Self:  # noqa: ANN401 — pydantic's
        """:meth:`from_json`: pydantic's own parser keeps strings, and quotes its input in errors."""
        data = json_data.encode(errors="surrogatepass") if isinstance(json_data, str) else bytes(json_data)
        return cls.from_json(data)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but what is updated is checked and masked."""
        if not update:
            return super().model_copy(deep=deep)
        return type(self)(**{**self.reveal(), **update})

    @classmethod
    def model_construct(cls, _fields_set: Any = None, **values: Any) -> Self:  # type: ignore[override]  # noqa: ANN401 — pydantic's
        """There is no card without its rules."""
        return cls(**values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a card cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a card cannot be changed")

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled card is its masked text: pickles travel to places where cards must not."""
        return str, (repr(self),)

    def __str__(self) -> str:
        return repr(self)


def same_digits(one: str | None, other: str | None) -> bool | None:
    """True if two numbers, masked or not, can be one card's; None where the digits that both show do not tell."""
    if one is None or other is None or len(one) != len(other):
        return None
    equal = [mine == yours for mine, yours in zip(one, other, strict=True) if "*" not in {mine, yours}]
    return all(equal) if len(equal) >= DIGITS_THAT_TELL else None


def _members(data: bytes) -> Mapping[str, Any]:
    members, rule = None, "must be a JSON object"
    try:
        members = loads(data)
    except DuplicateMember:
        rule = "names a member twice"
    except (ValueError, RecursionError):
        rule = "is not JSON"
    if isinstance(members, Mapping):
        return members
    raise InvalidCard([("card", rule)])
