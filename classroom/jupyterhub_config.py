"""A class on one machine: JupyterHub with the kit. `make classroom` starts it.

All students' processes run as the user who starts this, so they could read each other's files: it is for
a class whose members trust each other. For others, give each a system user (PAMAuthenticator and
LocalProcessSpawner) or a container (dockerspawner).
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner

sys.path.insert(0, str(Path(__file__).parent))
import students

from lbkit.cli.lab import FIRST, SETTINGS, STUDENT_OPTIONS, with_this_python
from lbkit.cli.workbook import fill
from lbkit.material import find_course

c = get_config()  # noqa: F821 - JupyterHub gives it

ROOM = Path(os.environ.get("LBKIT_ROOM", "room")).resolve()  # everything that the class writes
COURSE = find_course()
assert COURSE, "a classroom needs a clone of lbkit"
HOMES, SUBMITTED = ROOM / "students", ROOM / "submitted"
INSTRUCTOR = "instructor"
PATH = with_this_python(os.environ.get("PATH", ""))
for folder in (ROOM, HOMES, SUBMITTED):
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


class Desk(SimpleLocalProcessSpawner):
    """A student's JupyterLab: their copies of the course, their ports, and limits."""

    @property
    def folder(self) -> Path:
        return HOMES / self.user.name

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        own = students.environment(self.user.name, self.user.id, self.folder, SUBMITTED)
        return {**super().user_env(env), **own, "HOME": str(self.folder), "PATH": PATH}

    def make_preexec_fn(self, name: str):
        return students.preparing(self.folder)

    def prepare(self) -> None:
        fill(COURSE / "notebooks", self.folder / "workbook")


def secret(name: str, length: int) -> str:
    """Return a password: of the environment, or one that is made once and kept in a file."""
    if given := os.environ.get(name):
        return given
    file = ROOM / name.lower()
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(length // 2))
    return file.read_text()


# Who gets in: a name that can be a folder's, with the class password. Loopback only, until TLS is in front.
c.JupyterHub.bind_url = os.environ.get("LBKIT_HUB", "http://127.0.0.1:8000")
c.JupyterHub.hub_port = int(os.environ.get("LBKIT_HUB_PORT", "8081"))
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = secret("LBKIT_CLASS_PASSWORD", 8)
c.SharedPasswordAuthenticator.admin_password = secret("LBKIT_INSTRUCTOR_PASSWORD", 32)
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = r"[a-z0-9][a-z0-9_.-]{0,31}\Z"
c.Authenticator.admin_users = {INSTRUCTOR}

# The hub's own files.
c.JupyterHub.cookie_secret_file = str(ROOM / "cookie_secret")
c.JupyterHub.db_url = f"sqlite:///{ROOM / 'hub.sqlite'}"
c.JupyterHub.cleanup_servers = True  # with the hub, its students' servers end
c.ConfigurableHTTPProxy.pid_file = str(ROOM / "proxy.pid")
c.ConfigurableHTTPProxy.api_url = os.environ.get("LBKIT_HUB_PROXY", "http://127.0.0.1:8001")
PROXY = Path(sys.prefix) / "node_modules" / ".bin" / "configurable-http-proxy"
c.ConfigurableHTTPProxy.command = [str(PROXY), "--log-level", "warn"]

c.JupyterHub.spawner_class = Desk
c.JupyterHub.concurrent_spawn_limit = 10  # at once; the others wait in a line
c.Spawner.pre_spawn_hook = Desk.prepare
c.Spawner.cmd = students.limited([students.single_user_server()])
c.Spawner.args = [
    *STUDENT_OPTIONS,
    "--MappingKernelManager.cull_idle_timeout=3600",
    "--ServerApp.jpserver_extensions=jupyter_lsp=False",  # looks for language servers, which are not there
]
c.Spawner.notebook_dir = str(HOMES / "{username}" / "workbook")
c.Spawner.default_url = f"/lab/tree/{FIRST}"
c.Spawner.environment = {"JUPYTER_CONFIG_PATH": str(SETTINGS)}
c.Spawner.http_timeout = c.Spawner.start_timeout = 300  # when a whole class begins at once
c.JupyterHub.log_level = "WARN"

how = "control groups: memory, processor" if students.has_groups() else "rlimits of each process"
print(
    f"lbkit: the class is at {c.JupyterHub.bind_url}, its files are in {ROOM}\n"
    f"lbkit: any name, with the password {c.SharedPasswordAuthenticator.user_password}; yours is"
    f" {INSTRUCTOR}, with the one in {ROOM / 'lbkit_instructor_password'}\n"
    f"lbkit: limits by {how}; Ctrl-C ends the class",
    flush=True,
)
