"""The sample shops of ``examples/shop``, and the card page that the one in Node sends its customers to."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

from producer.web.api_key import add_api_key
from tests.ports import free_port
from tests.servers import ROOT, answers
from tests.stack import Stack

FOLDER = ROOT / "examples" / "shop"


class Shops:
    """Both shops, or one where there is no node.

    Args:
        page: the port of the card page.
    """

    def __init__(self, page: int) -> None:
        self._page, self._fastapi = page, free_port()
        self._node = free_port() if shutil.which("node") else None
        self.page_url = f"http://127.0.0.1:{page}/subscription"

    @property
    def fastapi_url(self) -> str:
        return f"http://127.0.0.1:{self._fastapi}"

    @property
    def node_url(self) -> str:
        return f"http://127.0.0.1:{self._node}"

    def urls(self) -> list[str]:
        return [self.fastapi_url, *([self.node_url] if self._node else [])]

    def answer(self) -> bool:
        """Whether all listen."""
        ports = [self._page, self._fastapi, *([self._node] if self._node else [])]
        return all(map(answers, ports))

    @contextlib.contextmanager
    def running(self, stack: Stack, **environ: str) -> Iterator[None]:
        """Run them and the card page, for as long as the block takes."""
        api_keys = stack.folder / "api_keys.json"
        api_key = add_api_key(api_keys, "shop", ["issue", "onetime"])
        given = {**stack.producer_env, **environ}
        given |= {name: " ".join(self.urls()) for name in ("RETURN_ORIGINS", "FRAME_ANCESTORS")}
        serve = ["-m", "producer", "serve", f"--port={self._page}"]
        uvicorn = ["-m", "uvicorn", "--app-dir", str(FOLDER), "shop:app", f"--port={self._fastapi}"]
        with contextlib.ExitStack() as undo:
            undo.enter_context(stack.running("page", serve, **given, API_KEYS_FILE=str(api_keys)))
            undo.enter_context(stack.running("shop", uvicorn, **given, SHOP_URL=self.fastapi_url))
            if self._node:
                undo.enter_context(self._node_shop(stack, api_key))
            yield

    @contextlib.contextmanager
    def _node_shop(self, stack: Stack, api_key: str) -> Iterator[None]:
        environ = {"BILLING_URL": self.page_url, "BILLING_API_KEY": api_key, "PORT": str(self._node)}
        with (stack.folder / "logs" / "node.log").open("ab") as log:
            process = subprocess.Popen(
                ["node", str(FOLDER / "shop.mjs")],
                cwd=stack.folder,
                env={"PATH": os.environ["PATH"], **environ},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait()
