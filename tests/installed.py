"""The installed package under the name that it has in a checkout: ``producer`` is ``iamport_billing``.

Becomes the ``sitecustomize`` of every process of :mod:`tests.half`. A module is one object under both names.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

CHECKOUT, INSTALLED = "producer", "iamport_billing"


class Renamed(MetaPathFinder, Loader):
    """Finds ``producer.x`` as ``iamport_billing.x``; refuses the other half."""

    def __init__(self) -> None:
        self._specs: dict[int, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, _ = fullname.partition(".")
        if root == "worker":
            raise ModuleNotFoundError("this process must do without the worker", name=fullname)
        found = find_spec(self._installed(fullname)) if root == CHECKOUT else None
        if found is None:
            return None
        return ModuleSpec(fullname, self, origin=found.origin, is_package=found.submodule_search_locations is not None)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._installed(spec.name))
        self._specs[id(module)] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._specs.pop(id(module))  # the import system has put the other name's there

    def get_code(self, fullname: str) -> CodeType | None:
        """For ``python -m producer``."""
        found: Any = find_spec(self._installed(fullname))
        code: CodeType | None = found.loader.get_code(found.name)
        return code

    @staticmethod
    def _installed(name: str) -> str:
        return INSTALLED + name.removeprefix(CHECKOUT)


sys.meta_path.insert(0, Renamed())
