"""Both distributions, made of one checkout.

    python wheels.py DIRECTORY

With the setuptools that is installed here (requirements.txt), and nothing from an index.

``iamport-billing``         for merchants: one package, ``iamport_billing``, which is the folder ``producer``
``iamport-billing-worker``  for machines that are workers and nothing else: ``worker``, ``celeryconfig``, and of the
                            producer what both halves share

Dependencies, version and texts are pyproject.toml's.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")
MERCHANT, WORKER = "iamport-billing", "iamport-billing-worker"
FOLDERS = {
    MERCHANT: {"producer": "iamport_billing"},
    WORKER: {name: name for name in ("worker", "producer/contract", "producer/runtime")},
}
FILES = {MERCHANT: (), WORKER: ("celeryconfig.py", "producer/__init__.py", "producer/py.typed")}


def build(name: str, directory: Path) -> Path:
    """Build a distribution's wheel into a directory; gives its path.

    Raises:
        subprocess.CalledProcessError: pip failed, and said why.
    """
    with tempfile.TemporaryDirectory(prefix="wheel-") as temporary:
        stage, built = Path(temporary, "stage"), Path(temporary, "built")
        for folder, place in FOLDERS[name].items():
            shutil.copytree(ROOT / folder, stage / place, ignore=LEFT_OUT)
        for file in (*FILES[name], "README.md", "LICENSE"):
            shutil.copy(ROOT / file, stage / file)
        (stage / "pyproject.toml").write_text(_pyproject(name))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        offline = ["--no-deps", "--no-index", "--no-build-isolation"]
        subprocess.run([*pip, *offline, "--wheel-dir", str(built), str(stage)], check=True)
        (wheel,) = built.glob("*.whl")
        directory.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, directory))


def _pyproject(name: str) -> str:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    dependencies = project["dependencies"] + (extras["worker"] if name == WORKER else [])
    members = {
        "name": name,
        **{
            key: project[key]
            for key in ("version", "description", "readme", "license", "license-files", "requires-python")
        },
        "dependencies": dependencies,
        "optional-dependencies": {one: extras[one] for one in (("web", "otel") if name == MERCHANT else ("otel",))},
        "scripts": {MERCHANT: "iamport_billing.__main__:entry"} if name == MERCHANT else {},
    }
    roots = sorted({place.partition("/")[0] for place in FOLDERS[name].values()})
    modules = [file.removesuffix(".py") for file in FILES[name] if "/" not in file]
    return "\n".join(
        (
            '[build-system]\nrequires = ["setuptools>=80"]\nbuild-backend = "setuptools.build_meta"',
            "[project]",
            *(f"{key} = {_toml(value)}" for key, value in members.items()),
            f"[tool.setuptools]\npy-modules = {_toml(modules)}",
            f"[tool.setuptools.packages.find]\ninclude = {_toml([f'{root}*' for root in roots])}",
            '[tool.setuptools.package-data]\n"*" = ["*.lua", "*.html", "static/*", "lua/*", "py.typed"]',
        )
    )


def _toml(value: object) -> str:
    """Text, lists and tables as TOML writes them in a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python wheels.py DIRECTORY")
    for distribution in (MERCHANT, WORKER):
        print(build(distribution, Path(sys.argv[1])))
