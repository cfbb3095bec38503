"""The Jupyter server's part of `lbkit lab`: the first notebook's kernel, and a line with the address.

A page that opens at a notebook's address may ask for two kernels at once, and go on with the one that is then
shut down (jupyterlab #12935). So the kernel is started first, and the page finds it.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

TREE = "/lab/tree/"


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter when the server is set up, before it listens."""
    page = server.config.LabApp.get("default_url", "/lab")
    server.io_loop.add_callback(_begin, server, page)


async def _begin(server: Any, page: str) -> None:
    if page.startswith(TREE):
        path = page.removeprefix(TREE)
        await server.session_manager.create_session(
            path=path, name=PurePosixPath(path).name, type="notebook", kernel_name="python3"
        )
    address = f"{server.connection_url.rstrip('/')}{page}?token={server.identity_provider.token}"
    print(f"lbkit: JupyterLab is at {address}\nlbkit: Ctrl-C twice ends it", flush=True)
