import json
import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from producer.contract.card import Card
from producer.contract.envelope import Envelope
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.contract.job import TICKET_LIFE_LIMIT_S, Request
from producer.runtime.key_file import KeyFileError
from producer.sealing import SealingKeys, SigningKey
from producer.web.ticket import Tickets
from tests.servers import run_python
from tests.vectors.recipe import ACCEPTED_AT, CARD
from worker.cli import main
from worker.keys.generate import FORMER_KEPT_S, KeygenError, add_producer, generate, replace_signing, rotate
from worker.keys.opening import OpeningKeys, ProducerKeys

OPENING, PRODUCERS = "worker/opening.private.jwks.json", "worker/producers.public.jwks.json"
SEALING, SIGNING = "producer/sealing.public.jwks.json", "producer/signing.private.jwk.json"
ALL, PRIVATE = [OPENING, PRODUCERS, SEALING, SIGNING], [OPENING, SIGNING]
DAY, NEXT_DAY = datetime(2027, 1, 15, tzinfo=UTC), datetime(2027, 2, 15, tzinfo=UTC)


def keygen(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["keygen", *map(str, arguments)])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def kids_in(path: Path) -> list[str]:
    return [jwk["kid"] for jwk in read(path)["keys"]]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def raising(kind: type[Exception]) -> Any:
    def stop(*_: object) -> None:
        raise kind("stopped")

    return stop


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "keys"
    generate(folder, today=DAY)
    return folder


@pytest.fixture
def keys(generated: Path, tmp_path: Path) -> Path:
    """A copy of its own for each test: waiting for the disk four times is slower."""
    return shutil.copytree(generated, tmp_path / "keys")


@pytest.fixture
def careless_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_command_writes_the_four_files_and_names_them(tmp_path: Path) -> None:
    result = keygen(tmp_path / "keys")

    assert result.exit_code == 0
    assert sorted(ALL) == sorted(tree(tmp_path / "keys"))
    assert [str(tmp_path / "keys" / name) for name in ALL] == result.stdout.split()


@pytest.mark.usefixtures("careless_umask")
@pytest.mark.parametrize("name", PRIVATE)
def test_private_files_are_their_owners_alone(tmp_path: Path, name: str) -> None:
    generate(tmp_path / "keys")

    assert mode_of(tmp_path / "keys" / name) == 0o600
    assert mode_of((tmp_path / "keys" / name).parent) == 0o700


@pytest.mark.parametrize("name", [PRODUCERS, SEALING])
def test_public_files_hold_no_private_part(keys: Path, name: str) -> None:
    assert [jwk for jwk in read(keys / name)["keys"] if "d" in jwk] == []


def test_both_halves_read_their_files(keys: Path) -> None:
    assert kids_in(keys / SEALING) == list(OpeningKeys.load(keys / OPENING).kids)
    assert [read(keys / SIGNING)["kid"]] == list(ProducerKeys.load(keys / PRODUCERS).kids)
    assert SealingKeys.load(keys / SEALING).kid in kids_in(keys / OPENING)
    assert SigningKey.load(keys / SIGNING)


def test_there_is_a_key_on_each_curve_and_x25519_is_the_newest(keys: Path) -> None:
    assert [jwk["crv"] for jwk in read(keys / SEALING)["keys"]] == ["P-256", "X25519"]


def test_kids_tell_the_day_and_the_kind(keys: Path) -> None:
    kids = [*kids_in(keys / SEALING), *kids_in(keys / PRODUCERS)]

    assert [kid[:-9] for kid in kids] == ["20270115-P-256", "20270115-X25519", "20270115-producer"]


def test_keys_are_never_the_same(tmp_path: Path) -> None:
    generate(tmp_path / "one", today=DAY)
    generate(tmp_path / "other", today=DAY)

    assert not set(kids_in(tmp_path / "one" / OPENING)) & set(kids_in(tmp_path / "other" / OPENING))


@pytest.mark.parametrize("name", ALL)
def test_no_file_is_ever_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("here first")

    result = keygen(tmp_path)

    assert isinstance(result.exception, KeygenError)
    assert tree(tmp_path) == {name: b"here first"}


def test_refusal_is_one_line_on_the_terminal(keys: Path) -> None:
    done = run_python("-m", "worker", "keygen", str(keys))

    line = f"worker: {keys / OPENING} is there already; use --rotate to append a key, or another directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_rotation_appends_and_the_last_is_the_newest(keys: Path) -> None:
    before = kids_in(keys / OPENING)

    rotate(keys, today=NEXT_DAY)

    after = kids_in(keys / OPENING)
    assert before == after[:2]
    assert [kid[:-9] for kid in after[2:]] == ["20270215-P-256", "20270215-X25519"]
    assert after == kids_in(keys / SEALING)
    assert after[-1] == SealingKeys.load(keys / SEALING).kid


def test_rotation_by_command_names_what_it_changed(keys: Path) -> None:
    result = keygen(keys, "--rotate")

    assert result.exit_code == 0
    assert [str(keys / OPENING), str(keys / SEALING)] == result.stdout.split()


def test_rotation_changes_no_older_key(keys: Path) -> None:
    before = read(keys / OPENING)["keys"]

    rotate(keys)

    assert before == read(keys / OPENING)["keys"][:2]


def test_rotation_leaves_signing_alone(keys: Path) -> None:
    before = {name: (keys / name).read_bytes() for name in (SIGNING, PRODUCERS)}

    rotate(keys)

    assert before == {name: (keys / name).read_bytes() for name in (SIGNING, PRODUCERS)}


@pytest.mark.usefixtures("careless_umask")
def test_rotated_private_file_stays_its_owners_alone(keys: Path) -> None:
    rotate(keys)

    assert mode_of(keys / OPENING) == 0o600


def test_card_sealed_before_a_rotation_opens_after_it(keys: Path) -> None:
    card, iat = Card.model_validate(CARD, context={"now": ACCEPTED_AT}), int(ACCEPTED_AT)
    sealing = SealingKeys.load(keys / SEALING)
    text = sealing.seal(card, purpose=Operation.ISSUE, customer_uid="c", merchant_uid=None, iat=iat, exp=iat + 1)

    rotate(keys)

    assert card == OpeningKeys.load(keys / OPENING).open_card(Envelope.parse(text), now=ACCEPTED_AT)


def test_rotation_reaches_every_producer(keys: Path) -> None:
    add_producer(keys, "shop", ["issue"])

    rotate(keys)

    assert kids_in(keys / OPENING) == kids_in(keys / "producer-shop/sealing.public.jwks.json")


@pytest.mark.parametrize("arguments", [["--rotate"], ["--producer", "shop"]])
def test_without_an_installation_nothing_is_written(tmp_path: Path, arguments: list[str]) -> None:
    result = keygen(tmp_path, *arguments)

    assert isinstance(result.exception, KeygenError)
    assert tree(tmp_path) == {}


def test_damaged_set_is_not_rotated(keys: Path) -> None:
    (keys / OPENING).write_text("{")

    with pytest.raises(KeygenError, match="does not hold a key set"):
        rotate(keys)

    assert (keys / OPENING).read_text() == "{"


@pytest.mark.parametrize(
    ("arguments", "may"),
    [([], ["issue", "onetime"]), (["--may", "issue"], ["issue"]), (["--may", "onetime, issue"], ["onetime", "issue"])],
)
def test_first_producer_may_only_what_it_was_given(tmp_path: Path, arguments: list[str], may: list[str]) -> None:
    result = keygen(tmp_path, *arguments)

    assert result.exit_code == 0
    assert [jwk["may"] for jwk in read(tmp_path / PRODUCERS)["keys"]] == [may]


@pytest.mark.parametrize("may", ["refund", "issue,", "ISSUE", "", ","])
def test_first_producer_is_not_made_with_permissions_that_are_none(tmp_path: Path, may: str) -> None:
    result = keygen(tmp_path / "keys", "--may", may)

    assert result.exit_code == 2
    assert tree(tmp_path) == {}


def test_added_producer_may_only_what_it_was_given(keys: Path) -> None:
    result = keygen(keys, "--producer", "shop", "--may", "issue")

    assert result.exit_code == 0
    assert [(jwk["producer"], jwk["may"]) for jwk in read(keys / PRODUCERS)["keys"]] == [
        ("producer", ["issue", "onetime"]),
        ("shop", ["issue"]),
    ]


def test_added_producer_may_everything_by_default(keys: Path) -> None:
    keygen(keys, "--producer", "shop")

    assert read(keys / PRODUCERS)["keys"][-1]["may"] == ["issue", "onetime"]


def test_added_producer_has_files_of_its_own(keys: Path) -> None:
    add_producer(keys, "shop", ["issue"])

    signing = keys / "producer-shop/signing.private.jwk.json"
    assert mode_of(signing) == 0o600
    assert read(signing)["kid"] == ProducerKeys.load(keys / PRODUCERS).kids[-1]
    assert (keys / SEALING).read_bytes() == (keys / "producer-shop/sealing.public.jwks.json").read_bytes()


def test_producer_is_not_added_twice(keys: Path) -> None:
    add_producer(keys, "shop", ["issue"])
    before = tree(keys)

    result = keygen(keys, "--producer", "shop")

    assert isinstance(result.exception, KeygenError)
    assert before == tree(keys)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--producer", name] for name in ("../shop", "Shop", "", "s" * 33, "shop\n")),
        *(["--producer", "shop", "--may", may] for may in ("refund", "issue,", "")),
        *(["--rotate", *more] for more in (["--producer", "shop"], ["--may", "issue"], ["--may", ""])),
        *(["--replace-signing", "producer", *more] for more in (["--producer", "s"], ["--may", "issue"], ["--rotate"])),
        *(["--replace-signing", name] for name in ("../shop", "")),
    ],
)
def test_command_that_makes_no_sense_changes_nothing(keys: Path, arguments: list[str]) -> None:
    before = tree(keys)

    result = keygen(keys, *arguments)

    assert result.exit_code == 2
    assert before == tree(keys)


ISSUE = Request.model_validate({"operation": "issue", "customer_uid": "gildong"})


class Page:
    """A card page's tickets, whose signing key is read anew each time."""

    def __init__(self, path: Path, now: datetime) -> None:
        self.now = now.timestamp()
        self.tickets = Tickets(lambda: SigningKey.load(path), lambda: self.now)


@pytest.mark.parametrize("name", ["producer", "shop"])
def test_ticket_holds_for_its_life_after_its_signing_key_was_replaced(keys: Path, name: str) -> None:
    add_producer(keys, "shop", ["issue"], today=DAY)
    page = Page(keys / ("producer" if name == "producer" else "producer-shop") / "signing.private.jwk.json", NEXT_DAY)
    before = page.tickets.mint(ISSUE, life_s=TICKET_LIFE_LIMIT_S)

    replace_signing(keys, name, today=NEXT_DAY)
    replace_signing(keys, name, today=NEXT_DAY)

    page.now += TICKET_LIFE_LIMIT_S
    ticket = page.tickets.read(before)
    again = page.tickets.read(str(page.tickets.renewed(ticket)))
    assert (ticket.request, again.attempt) == (ISSUE, 2)
    page.now += 1
    with pytest.raises(Refused, match=r"^ticket_expired$"):
        page.tickets.read(before)


def test_replaced_signing_key_is_no_key_once_all_its_tickets_have_ended(keys: Path) -> None:
    page = Page(keys / SIGNING, NEXT_DAY)
    old = SigningKey.load(keys / SIGNING)
    replace_signing(keys, "producer", today=NEXT_DAY)

    page.now += FORMER_KEPT_S
    stolen = Tickets(lambda: old, lambda: page.now).mint(ISSUE)

    with pytest.raises(Refused, match=r"^ticket_invalid$"):
        page.tickets.read(stolen)
    replace_signing(keys, "producer", today=NEXT_DAY + timedelta(seconds=FORMER_KEPT_S))
    assert len(read(keys / SIGNING)["former"]) == 1


def test_replaced_signing_key_leaves_its_public_half_only(keys: Path) -> None:
    before = read(keys / SIGNING)

    result = keygen(keys, "--replace-signing", "producer")

    after = read(keys / SIGNING)
    assert [str(keys / PRODUCERS), str(keys / SIGNING)] == result.stdout.split()
    assert [one["kid"] for one in after["former"]] == [before["kid"]]
    assert before["d"] not in (keys / SIGNING).read_text()
    assert after["d"] != before["d"]
    assert mode_of(keys / SIGNING) == 0o600


def test_workers_know_both_keys_of_a_producer_and_what_it_may(keys: Path) -> None:
    add_producer(keys, "shop", ["issue"])
    old = read(keys / "producer-shop/signing.private.jwk.json")["kid"]

    replace_signing(keys, "shop")

    new = read(keys / "producer-shop/signing.private.jwk.json")["kid"]
    assert ProducerKeys.load(keys / PRODUCERS).kids[1:] == (old, new)
    assert [(jwk["producer"], jwk["may"]) for jwk in read(keys / PRODUCERS)["keys"]][1:] == [("shop", ["issue"])] * 2


def test_signing_key_of_nobody_is_not_replaced(keys: Path) -> None:
    before = tree(keys)

    with pytest.raises(KeyFileError, match="cannot be read"):
        replace_signing(keys, "shop")
    (keys / "producer-shop").mkdir()
    shutil.copy(keys / SIGNING, keys / "producer-shop")
    members = read(keys / PRODUCERS)
    (keys / PRODUCERS).write_text(json.dumps({"keys": [{**members["keys"][0], "kid": "another"}]}))
    with pytest.raises(KeygenError, match="does not know"):
        replace_signing(keys, "shop")

    assert before[SIGNING] == (keys / "producer-shop/signing.private.jwk.json").read_bytes()


@pytest.mark.parametrize("name", [SEALING, "producer-shop/sealing.public.jwks.json"])
def test_rotation_that_finds_a_damaged_set_changes_nothing(keys: Path, name: str) -> None:
    add_producer(keys, "shop", ["issue"])
    (keys / name).write_text("{")
    before = tree(keys)

    with pytest.raises(KeygenError, match="does not hold a key set"):
        rotate(keys)

    assert before == tree(keys)


def test_rotation_stopped_half_way_leaves_whole_files_and_can_be_repeated(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(keys)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", raising(OSError))
        with pytest.raises(OSError, match="stopped"):
            rotate(keys)
    stopped = {name: data for name, data in tree(keys).items() if name in before}

    rotate(keys)

    assert before == stopped
    assert kids_in(keys / SEALING) == list(OpeningKeys.load(keys / OPENING).kids)
    assert len(kids_in(keys / SEALING)) == 4


@pytest.mark.usefixtures("careless_umask")
def test_what_a_stopped_rotation_leaves_is_its_owners_alone(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "rename", raising(OSError))

    with pytest.raises(OSError, match="stopped"):
        rotate(keys)

    assert {mode_of(path) for path in (keys / OPENING).parent.glob("*opening*")} == {0o600}


def test_commands_leave_no_other_files_behind(keys: Path) -> None:
    rotate(keys)
    add_producer(keys, "shop", ["issue"])
    rotate(keys)

    shop = ["producer-shop/sealing.public.jwks.json", "producer-shop/signing.private.jwk.json"]
    assert sorted([*ALL, *shop]) == sorted(tree(keys))


def test_changed_files_keep_their_owner(keys: Path) -> None:
    owner = (4711, 4712) if os.getuid() == 0 else (os.getuid(), os.getgid())
    for name in (OPENING, SEALING, PRODUCERS):
        os.chown(keys / name, *owner)

    rotate(keys)
    add_producer(keys, "shop", ["issue"])

    assert {
        (path.stat().st_uid, path.stat().st_gid) for path in (keys / OPENING, keys / SEALING, keys / PRODUCERS)
    } == {owner}
