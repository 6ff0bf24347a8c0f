"""``python -m tests.canary``: the search for card data. The last line is one JSON object.

Ends with 1 if a promise was broken.
"""

import json
import sys
import time

import click

from tests.canary.run import FULL, QUICK, run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="The short form: 150 cards, no measurement of cost; about a minute.")
@click.option("--plant", "leak", metavar="PLACE", help="Plant a leak in a place: the run must fail.")
def main(leak: str | None, *, quick: bool) -> None:
    """Distinct cards go through the whole stack; then everything is searched for them."""
    began = time.monotonic()

    def tell(what: str) -> None:
        click.echo(f"{time.monotonic() - began:5.1f} s  {what}", err=True)

    figures = run((QUICK if quick else FULL)._replace(leak=leak), tell)
    figures["seconds"] = round(time.monotonic() - began, 1)
    click.echo(json.dumps(figures, ensure_ascii=False))
    sys.exit(1 if figures["failed"] else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.canary")
