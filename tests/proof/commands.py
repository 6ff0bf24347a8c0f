"""Every command of every image: its ``--help`` inside the image that it ships in, and a real run where there is one."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import click

from producer.cli.main import main as producer
from tests.fake_iamport import CARDS
from tests.proof.containers import Project, first_line
from worker.cli import main as worker

CARD = CARDS["visa"]
STDIN = str(CARD.fields()).replace("'", '"')
ROWS = f"customer_uid,card_number,expiry,birth,pwd_2digit\r\nmoved_1,{CARD.card_number},2031-07,900101,12\r\n"
HELP = 'for c in "$@"; do said=$(%s $c --help 2>&1); echo "$?|$c|$(echo "$said" | head -n 1)"; done'
JOB = r'^\{"job_id": "[-0-9a-f]{36}"'
WEB = r"\bextra\b.*\bweb\b"  # which the image `producer` lacks
TICKET = r"^[\w-]+\.[\w-]+\.[\w-]+$"


class Row(NamedTuple):
    """A line of the table."""

    image: str
    command: str
    code: int
    line: str
    is_well: bool

    def __str__(self) -> str:
        return f"{'ok  ' if self.is_well else 'FAIL'} {self.image:12} {self.command:44} {self.code}  {self.line[:100]}"


class Run(NamedTuple):
    """A real run.

    Args:
        service: of docker-compose.yml.
        command: its arguments.
        code, says: the exit code, and a pattern of the first line.
        stdin: what it is given.
        options: of ``docker compose run``.
        lines: at most so many of them.
    """

    service: str
    command: str
    code: int
    says: str
    stdin: str = ""
    options: tuple[str, ...] = ()
    lines: int = 1_000


KEY_FILE = ("--volume={folder}/keys/producer:/made", "--env=API_KEYS_FILE=/made/api_keys.json")
SECRET = ("--env=WEBHOOK_SECRETS_FILE=", f"--env=WEBHOOK_SECRETS=whsec_{'AAAA' * 8}")
OLDEST = "grep -o '[0-9]*-P-256-[-_A-Za-z0-9]*' /keys/opening.private.jwks.json | head -n 1"
RUNS = (
    Run("producer", "issue --customer-uid cheolsu_0002 --wait 60", 0, JOB, STDIN),
    Run("producer", "onetime --merchant-uid order-1 --amount 9900 --name proof --wait 60", 0, JOB, STDIN),
    Run("producer", "outcome 00000000-0000-8000-8000-000000000000", 5, "^producer: .*", lines=1),
    Run("producer", "issue --customer-uid cheolsu_0002", 2, "^producer: card.*JSON on stdin", lines=1),
    Run("producer", "serve", 1, WEB, lines=1),
    Run("producer", "webhooks run", 1, WEB, lines=1),
    Run("producer", "ticket --customer-uid cheolsu_0002", 0, TICKET),
    Run("producer", "api-key shop", 1, "^producer: API_KEYS_FILE: is not set", lines=1),
    Run("migrate", "- --name proof --as-of 2025-01-01 --rows 1", 0, "proof", ROWS),
    Run("migrate", "- --name proof --rows 1 --dry-run", 0, "row", ROWS),
    Run("migrate", "status proof", 0, r"proof: 1 of 1 rows, 1 issued"),
    Run("web", "ticket --customer-uid cheolsu_0002", 0, TICKET),
    Run("web", "api-key shop", 0, "^bk_", options=KEY_FILE),
    Run("webhooks", "webhooks run", 1, "^producer: WEBHOOK_SECRETS_FILE: .* cannot be read", lines=1),
    Run("webhooks", "webhooks run", 1, "^producer: WEBHOOK_URL: is not set", options=SECRET, lines=1),
    Run("webhooks", "webhooks list", 0, "waiting"),
    Run("keys", "keygen /keys", 1, "^worker: .*already", lines=1),
    Run("keys", "acl /keys", 1, "^worker: .*already", lines=1),
    Run("keys", "keygen /keys --producer shop --may issue", 0, "^/keys/"),
    Run("keys", "keygen /keys --rotate", 0, "^/keys/"),
    Run("keys", "keygen /keys --replace-signing shop", 0, "^/keys/"),
    Run("retire", "no-such-kid", 1, "^worker: no-such-kid is not in", lines=1),
    Run("retire", f'-c "python -m worker retire --force $({OLDEST})"', 0, "is retired", options=("--entrypoint=sh",)),
    Run("operator", "jobs --json --limit 1", 0, JOB),
    Run("operator", "trace nobody", 1, "^worker: no job of that id", lines=1),
    Run("operator", "retry nobody", 1, "^worker: no job of that id", lines=1),
    Run("operator", "expire nobody", 1, "^worker: no job of that id", lines=1),
    Run("operator", "pause --for 1 --yes --as proof", 0, "open jobs? wait for 1 s"),
    Run("operator", "drain --yes", 1, "^worker: no workers of this ledger run here", lines=1),
    Run("look-up", "nobody", 1, "^worker: no job of that id", lines=1),
    Run("doctor", "--without-login", 0, "^ok    keys: "),
)


def names(group: click.Command, before: tuple[str, ...] = ()) -> Iterator[str]:
    """All commands of a program, those with subcommands before them."""
    if not isinstance(group, click.Group):
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        yield " ".join((*before, name))
        if (command := group.get_command(context, name)) is not None:
            yield from names(command, (*before, name))


def helps(project: Project) -> Iterator[Row]:
    """``--help`` of every command in every image that ships it."""
    programs = (
        ("producer", "python -m producer", ["", *names(producer)]),
        ("web", "python -m producer", ["", *names(producer)]),
        ("worker", "python -m worker", ["", *names(worker)]),
        ("flower", "celery", ["flower"]),
        ("fake-iamport", "python -m tests.fake_iamport", [""]),
    )
    for service, program, commands in programs:
        image = f"{project.name}-{service}"
        script = ("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", HELP % program, "sh")
        for line in project.docker(*script, *commands).stdout.splitlines():
            code, name, said = line.split("|", 2)
            yield Row(service, f"{name} --help".strip(), int(code), said, code == "0" and "sage: " in said)


def runs(project: Project, *, is_locked: bool) -> Iterator[Row]:
    """The real runs."""
    for run in RUNS:
        options = (option.format(folder=project.folder) for option in run.options)
        how = ("run", "--rm", "--no-TTY", *options, run.service, *shlex.split(run.command))
        done = project.compose(*how, stdin=run.stdin, codes=range(256))
        line = first_line(done.stdout) or first_line(done.stderr)
        code = 1 if run.service == "doctor" and not is_locked else run.code  # its last line says so
        length = len([one for one in (done.stdout + done.stderr).splitlines() if first_line(one)])
        is_well = done.returncode == code and bool(re.search(run.says, line)) and length <= run.lines
        yield Row(run.service, run.command, done.returncode, line, is_well)
