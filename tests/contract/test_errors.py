import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from producer.contract.card import Card
from producer.contract.errors import ContractError, InvalidCard, InvalidInput, InvalidRequest, Refused, problems_of
from producer.contract.job import Request

NUMBER = "4242424242424242"


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    count: int = 0
    inner: dict[str, int] = {}


def problems_with(members: object) -> tuple[tuple[str, str], ...]:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(members)
    return problems_of(caught.value)


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        ({}, [("text", "is required")]),
        ({"text": 5}, [("text", "must be text")]),
        ({"text": "", "count": "many"}, [("count", "must be a whole number")]),
        ({"text": "", "count": 1.5}, [("count", "must be a whole number")]),
        ({"text": "", "count": None}, [("count", "must be a whole number")]),
        ({"text": "", "pin": 1}, [("pin", "is not a field of this")]),
        ({"text": "", "Pin number": 1}, [("unknown field", "is not a field of this")]),
        ({"text": "", "p" * 25: 1}, [("unknown field", "is not a field of this")]),
    ],
)
def test_problems_are_fields_and_rules_in_words(members: object, problems: list[tuple[str, str]]) -> None:
    assert problems == list(problems_with(members))


@given(
    st.dictionaries(
        st.sampled_from(["text", "count"]),
        st.integers(10**6) | st.text("0123456789XYZ", min_size=6) | st.lists(st.integers(10**6), min_size=1),
        min_size=1,
    )
)
def test_problems_never_repeat_a_value(members: dict[str, object]) -> None:
    try:
        Form.model_validate(members)
    except ValidationError as error:
        problems = problems_of(error)
    else:
        problems = ()

    assert not [value for value in members.values() if str(value) in str(problems)]


@given(st.text("0123456789 -가ABC", min_size=1) | st.from_regex(r"[a-z]{0,4}[0-9]{1,19}", fullmatch=True))
def test_problems_never_repeat_an_odd_field_name(name: str) -> None:
    assert problems_with({"text": "", name: 1}) == (("unknown field", "is not a field of this"),)


@pytest.mark.parametrize("form", [Card, Request])
@pytest.mark.parametrize(
    "value", [{NUMBER: NUMBER}, {"n": {NUMBER: NUMBER}}, [NUMBER], [{NUMBER: NUMBER}], NUMBER.encode()]
)
def test_problems_never_repeat_a_name_within_a_field(form: type[Card | Request], value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        form.model_validate(dict.fromkeys(form.model_fields, value))

    assert {field for field, _ in caught.value.problems} <= set(form.model_fields)
    assert NUMBER not in str(caught.value)


@pytest.mark.parametrize("kind", [InvalidCard, InvalidRequest])
def test_invalid_input_names_all_its_problems(kind: type[InvalidInput]) -> None:
    error = kind([("expiry", "must be YYYY-MM"), ("birth", "is required")])

    assert str(error) == "expiry: must be YYYY-MM; birth: is required"


@pytest.mark.parametrize(
    "error", [InvalidCard([("expiry", "must be YYYY-MM")]), InvalidRequest([("pg", "x")]), Refused("bad_json")]
)
def test_errors_travel_between_processes(error: ContractError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), vars(error)) == (type(again), str(again), vars(again))


def test_refusal_is_its_code() -> None:
    refusal = Refused("bad_json")

    assert (refusal.code, str(refusal)) == ("bad_json", "bad_json")
