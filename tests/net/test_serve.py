"""`lbkit proxy` as a process: workers, signals, reload."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from scripted import GET, TIMEOUT, Client, Connection, Scripted, answers
from served import Server, drain, running, wait_until

from lbkit.net.workers.worker import NOTICE

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)


def says(word: bytes):
    return answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(word), word))


def test_reloads_and_workers_start_at_different_backends(tmp_path: Path) -> None:
    """The first request after each reload would always go to the first backend."""
    with ExitStack() as stack:
        backends = [stack.enter_context(Scripted(says(b"%d" % i))) for i in range(8)]
        ports = [backend.port for backend in backends]
        first = []
        with Server(tmp_path / "proxy.toml", *ports, seed=5) as server:
            for reloads in range(4):
                if reloads:
                    server.hang_up()
                    server.wait_for("reloaded", reloads)
                first.append(ask(server))
        assert len(set(first)) > 1, first


def ask(server: Server) -> bytes:
    with Client(server) as client:
        client.send(GET)
        status, _, body = client.answer()
        assert status == 200, body
        return body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_workers_share_a_port_and_all_stop(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2) as server:
        assert len(server.workers()) == 2
        assert {ask(server) for _ in range(20)} == {b"one"}
        pids = server.workers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(TIMEOUT) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert len(server.said) == 1, server.said  # workers die in silence, too


def test_reload_under_load_loses_nothing(path: Path) -> None:
    backends = Scripted(says(b"one")), Scripted(says(b"two"))
    with backends[0] as one, backends[1] as two, Server(path, one.port, workers=2) as server:
        seen: list[bytes] = []
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                try:
                    seen.append(ask(server))  # a new connection each: the hard case
                except (OSError, AssertionError) as error:
                    seen.append(repr(error).encode())

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(seen) > 100)
        server.configure(two.port)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reloaded")
        mark = len(seen)
        # The old workers still answer what they have accepted; then there are new ones only.
        wait_until(lambda: len(seen) > mark + 200 and set(seen[-50:]) == {b"two"})
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT)
        assert set(seen) == {b"one", b"two"}  # and nothing failed on the way


def test_a_note_says_that_each_worker_counts_limits_by_itself(path: Path) -> None:
    limits = '[{ limiter = { kind = "gcra", rate = 1 } }]'
    with Scripted(says(b"one")) as backend:
        with Server(path, backend.port, workers=2, rate_limits=limits, admission="{ rate = 5 }") as server:
            server.wait_for(
                "each of 2 workers counts rate limits separately; with [redis] they count together"
            )
            server.wait_for("each of 2 workers applies [admission] separately: in all, 2 times as much")
        with Server(path, backend.port, workers=1, rate_limits=limits) as alone:
            assert ask(alone) == b"one"
        assert len(alone.said) == 1


def test_a_reload_of_an_invalid_file_changes_nothing(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        server.configure(backend.port, workers="'many'")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(f"not reloaded, the old configuration stays: {path}: workers is 'many': use a whole")
        assert ask(server) == b"one"


def test_sigterm_waits_for_answers_in_progress(path: Path) -> None:
    arrived, go = threading.Event(), threading.Event()

    def waits(connection: Connection) -> None:
        connection.head()
        arrived.set()
        go.wait(TIMEOUT)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    with Scripted(waits) as backend, Server(path, backend.port) as server, Client(server) as client:
        client.send(GET)
        assert arrived.wait(TIMEOUT)
        server.process.send_signal(signal.SIGTERM)
        go.set()
        assert client.answer()[2] == b"done"
        assert server.process.wait(TIMEOUT) == 0


def test_a_worker_that_dies_is_replaced(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        (pid,) = server.workers()
        os.kill(pid, signal.SIGKILL)
        server.wait_for("starting another")
        wait_until(lambda: server.workers() not in ([], [pid]))
        wait_until(lambda: answered(server) == 200)  # 503 until the new one serves


def test_workers_do_not_outlive_their_supervisor(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2) as server:
        pids = server.workers()
        server.process.kill()
        wait_until(lambda: not any(running(pid) for pid in pids))


def test_check_of_a_valid_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lbkit.net.serve import main

    path.write_text('listen = "127.0.0.1:0"\n[[backends]]\naddress = "127.0.0.1:1"')
    main(path, check=True)
    assert "fine, 1 backend, round_robin" in capsys.readouterr().out


# -- workers that are down ----------------------------------------------------------------------


def test_the_option_workers_overrides_the_file(path: Path) -> None:
    with Scripted(says(b"one")) as backend:
        with Server(path, backend.port, workers=3) as server:
            assert len(server.workers()) == 3
            server.configure(backend.port, workers=1)
            server.hang_up()
            server.wait_for("reloaded: round_robin, 1 backends, 1 worker")
            wait_until(lambda: len(server.workers()) == 1)
            # Three sockets, one worker: none of them is left alone.
            assert {ask(server) for _ in range(30)} == {b"one"}
            server.configure(backend.port, workers=2)
            server.hang_up()
            server.wait_for("1 backends, 2 workers")
            wait_until(lambda: len(server.workers()) == 2)
            assert {ask(server) for _ in range(30)} == {b"one"}
        with Server(path, backend.port, workers=3, arguments="--workers 1") as server:
            assert len(server.workers()) == 1


def test_workers_that_cannot_restart_do_not_stop_the_others(path: Path, tmp_path: Path) -> None:
    """No client hangs: not with one worker down, nor with all, nor when they are back."""
    logs = tmp_path / "logs"
    logs.mkdir()
    log = f'"{logs / "access.log"}"'
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2, access_log=log) as server:
        first, second = server.workers()
        logs.rename(tmp_path / "away")
        os.kill(first, signal.SIGKILL)
        server.wait_for(f"worker {first} ended (killed by SIGKILL); starting another in 0.2 s")
        assert {ask(server) for _ in range(30)} == {b"one"}  # while the other tries to come back
        line = server.wait_for("a worker did not start: access_log is")
        assert "there is no folder" in line
        assert line.endswith("starting another in 0.4 s")
        assert {ask(server) for _ in range(30)} == {b"one"}
        os.kill(second, signal.SIGKILL)
        server.wait_for("no worker is running: requests are answered 503 until one is")
        with Client(server) as client:
            client.send(GET)
            assert client.answer()[0] == 503
            assert client.closed()
        logs.mkdir()
        wait_until(lambda: answered(server) == 200)
        wait_until(lambda: len(server.workers()) == 2)
        assert {ask(server) for _ in range(20)} == {b"one"}


def answered(server: Server) -> int:
    with Client(server) as client:
        client.send(GET)
        return client.answer()[0]


# -- reload --------------------------------------------------------------------------------------


class Held:
    """A backend that answers when it is let."""

    def __init__(self) -> None:
        self.arrived, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, connection: Connection) -> None:
        while connection.head():
            self.arrived.release()
            self.go.wait(TIMEOUT)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")


def test_reloads_in_quick_succession_are_merged_and_lose_nothing(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2) as server:
        seen: list[object] = []
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                try:
                    seen.append(ask(server))
                except (OSError, AssertionError) as error:
                    seen.append(repr(error))

        def load_kept() -> None:
            """On a kept connection, until an answer says that it is the last."""
            while not stop.is_set():
                with Client(server) as client:
                    head, before = b"", time.monotonic()
                    while b"\r\nConnection: close" not in head and not stop.is_set():
                        with suppress(OSError):  # then there is no answer either
                            client.send(GET)
                        now = time.monotonic()
                        try:
                            _, head, body = client.answer()
                        except OSError as error:
                            # A busy machine may stop this thread for longer than the notice: then the
                            # connection may be closed.
                            if now - before < NOTICE / 2:
                                seen.append(repr(error))
                            break
                        seen.append(body)
                        before = now

        threads = [threading.Thread(target=target) for target in (load, load_kept, load_kept)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(seen) > 50)
        for i in range(30):
            server.hang_up()
            mark = len(seen)
            wait_until(lambda mark=mark: len(seen) > mark + 3)
            assert len(server.workers()) <= 2 * 4, i
        server.wait_for("reloaded")
        wait_until(lambda: len(server.workers()) == 2)
        stop.set()
        for thread in threads:
            thread.join(TIMEOUT)
        assert set(seen) == {b"one"}
        assert sum("reloaded" in line for line in server.said) < 15  # each takes as long as a start


def test_a_reload_waits_until_old_workers_have_finished_their_answers(path: Path) -> None:
    held = Held()
    with Scripted(held) as backend, Server(path, backend.port, grace=60) as server:
        clients = []
        for i in range(3):
            client = Client(server)
            client.send(GET)
            clients.append(client)
            assert held.arrived.acquire(timeout=TIMEOUT)
            server.hang_up()
            if i < 2:
                server.wait_for("reloaded", i + 1)
        server.wait_for("reload waits: workers of 2 earlier reloads still have requests in flight")
        server.hang_up()  # makes no difference
        held.go.set()
        for client in clients:
            with client:
                assert client.answer()[2] == b"done"
        server.wait_for("reloaded", 3)
        wait_until(lambda: len(server.workers()) == 1)


def test_old_workers_are_cut_off_at_the_end_of_the_grace(path: Path) -> None:
    held = Held()
    with Scripted(held) as backend, Server(path, backend.port, grace=0.2) as server, Client(server) as client:
        client.send(GET)
        assert held.arrived.acquire(timeout=TIMEOUT)
        server.hang_up()
        server.wait_for("reloaded")
        assert client.closed()
        wait_until(lambda: len(server.workers()) == 1)
        held.go.set()


def test_a_reload_may_change_the_address(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server.configure(backend.port, listen=f'"127.0.0.1:{port}"')
            server.hang_up()
            server.wait_for(
                f"not reloaded, the old configuration stays: cannot listen on 127.0.0.1:{port}: the port is"
            )
            assert ask(server) == b"one"
        old = server.port
        server.hang_up()
        server.wait_for(f"reloaded: round_robin on http://127.0.0.1:{port}, 1 backends")
        server.port = port
        assert ask(server) == b"one"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", old), timeout=TIMEOUT).close()


def test_a_reload_that_cannot_start_names_every_fault(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        server.configure(backend.port, access_log='"/no/such/log"', workers=2)
        server.hang_up()
        server.wait_for(
            "not reloaded, the old configuration stays: access_log is '/no/such/log': there is no folder"
        )
        server.configure(backend.port, access_log='""', workers=0, grace=-1)
        server.hang_up()
        server.wait_for(f"not reloaded, the old configuration stays: {path}: workers is 0")
        server.wait_for(f"not reloaded: {path}: grace is -1")
        assert ask(server) == b"one"
        wait_until(lambda: len(server.workers()) == 1)


# -- ends ----------------------------------------------------------------------------------------


def test_ctrl_c_stops_the_supervisor_and_all_workers(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, workers=2) as server:
        pids = server.workers()
        os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does
        assert server.process.wait(TIMEOUT) == 0
        assert not any(map(running, pids))
    assert len(server.said) == 1, server.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(path: Path, number: signal.Signals) -> None:
    held = Held()
    with Scripted(held) as backend, Server(path, backend.port, grace=600) as server, Client(server) as client:
        client.send(GET)
        assert held.arrived.acquire(timeout=TIMEOUT)
        server.process.send_signal(number)
        wait_until(lambda: refused(server.port))
        server.process.send_signal(number)
        assert server.process.wait(TIMEOUT) == 0
        assert client.closed()
        held.go.set()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
    except OSError:
        return True
    return False


def test_busy_workers_stop_when_their_supervisor_is_killed(path: Path) -> None:
    held = Held()
    with Scripted(held) as backend, Server(path, backend.port, grace=0.2) as server, Client(server) as client:
        pids = server.workers()
        client.send(GET)
        assert held.arrived.acquire(timeout=TIMEOUT)
        server.process.kill()
        wait_until(lambda: not any(map(running, pids)))
        held.go.set()


def test_standard_files_may_be_closed(path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port, arguments="<&- >&-") as server:
        assert ask(server) == b"one"


# -- descriptors -----------------------------------------------------------------------------------


def test_the_soft_limit_of_descriptors_is_raised(path: Path) -> None:
    shell = "ulimit -Sn 64;"
    with Scripted(says(b"one")) as backend, Server(path, backend.port, shell=shell) as server:
        (pid,) = server.workers()
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max open files +464 ", limits), limits
        assert len(server.said) == 1


def test_clients_beyond_the_descriptors_are_answered_503(path: Path) -> None:
    """Each is served or answered 503, nothing spins, and all is well when they have left."""
    with (
        Scripted(says(b"one")) as backend,
        Server(path, backend.port, shell="ulimit -n 150;", limits="{ connections = 1000 }") as server,
    ):
        server.wait_for("limits.connections is 1000, but 150 file descriptors are enough for 43")
        (pid,) = server.workers()
        os.kill(pid, signal.SIGSTOP)  # so that all of them are there at once
        idle = [Client(server) for _ in range(300)]
        os.kill(pid, signal.SIGCONT)
        refusals = 0
        try:
            for client in idle[43:]:
                client.sock.settimeout(TIMEOUT)
                refusals += client.rest().startswith(b"HTTP/1.1 503 ")
            assert refusals == 257
            before = cpu(pid)
            for client in idle[:43]:
                client.send(GET)
                assert client.answer()[2] == b"one"
            assert cpu(pid) - before < 0.5
        finally:
            for client in idle:
                client.sock.close()
        wait_until(lambda: answered(server) == 200)
        assert server.workers() == [pid]
        assert sum("full, further clients are answered 503" in line for line in server.said) == 1


def test_idle_connections_are_closed_for_new_ones(path: Path) -> None:
    """To twenty backends, there would soon be more of them than descriptors."""

    def slow(connection: Connection) -> None:
        while connection.head():
            time.sleep(0.02)  # so that all clients are served at the same time
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    options = {"limits": "{ connections = 1000 }", "policy": '{ algorithm = "random" }'}
    with ExitStack() as stack:
        ports = [stack.enter_context(Scripted(slow)).port for _ in range(20)]
        server = stack.enter_context(Server(path, *ports, shell="ulimit -n 150;", **options))
        clients = [stack.enter_context(Client(server)) for _ in range(43)]
        for _ in range(15):
            for client in clients:
                client.send(GET)
            assert {client.answer()[0] for client in clients} == {200}


def cpu(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- the command -----------------------------------------------------------------------------------


def command(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lbkit", "proxy", str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_each_mistake_is_one_line(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path.write_text(f'listen = "{address}"\naccess_log = "/no/such/log"\n[[backends]]\naddress = "a:1"')
        for arguments in ((), ("--check",)):
            done = command(path, *arguments)
            assert done.returncode == 1
            assert done.stderr.splitlines() == [
                f"lbkit: {path}: access_log is '/no/such/log': there is no folder '/no/such'; make it,"
                " or use another file",
                f"lbkit: {path}: listen is '{address}': cannot listen on {address}: the port is taken;"
                " choose another, or 0 for any free one",
            ]


def test_a_check_beside_a_running_proxy(path: Path, tmp_path: Path) -> None:
    with Scripted(says(b"one")) as backend, Server(path, backend.port) as server:
        server.configure(backend.port, listen=f'"127.0.0.1:{server.port}"')
        server.hang_up()
        server.wait_for("reloaded")
        done = command(path, "--check")
        assert done.returncode == 0
        assert f"note: a proxy runs from this file on 127.0.0.1:{server.port} already" in done.stdout
        other = tmp_path / "other.toml"
        other.write_text(path.read_text())
        assert command(other, "--check").returncode == 1
        assert ask(server) == b"one"
        assert len(server.said) == 2


# -- the operator's way in ------------------------------------------------------------------------


def test_the_operator_drains_a_backend_of_all_workers(path: Path, tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    held = Held()
    with (
        Scripted(held) as one,
        Scripted(says(b"two")) as two,
        Server(path, one.port, two.port, workers=2, admin=f'"{admin}"') as server,
        ExitStack() as after,
    ):
        first, second = (f"127.0.0.1:{b.port}" for b in (one, two))
        assert admin.stat().st_mode & 0o777 == 0o600
        assert drain(path) == [f"{name}  ready, 0 in flight" for name in (first, second)]
        clients: list[Client] = []
        after.callback(lambda: [client.sock.close() for client in clients])
        while not held.arrived.acquire(timeout=0.1):  # a request that takes long
            clients.append(Client(server))
            clients[-1].send(GET)
        assert drain(path, first)[0].startswith(f"{first}  draining, ")
        assert {ask(server) for _ in range(20)} == {b"two"}
        waiting: list[list[str]] = []
        thread = threading.Thread(target=lambda: waiting.append(drain(path, first, "--wait")))
        thread.start()
        held.go.set()
        thread.join()
        assert waiting[0][0] == f"{first}  drained, 0 in flight"
        assert [client.answer()[0] for client in clients] == [200] * len(clients)
        after.close()
        server.hang_up()
        server.wait_for("reloaded")
        assert drain(path)[0] == f"{first}  drained, 0 in flight"  # also for workers that are new
        wait_until(lambda: len(server.workers()) == 2)  # the old ones have ended
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for("starting another")
        assert {ask(server) for _ in range(20)} == {b"two"}
        wait_until(lambda: len(server.workers()) == 2)
        assert drain(path, first, "--undo")[0] == f"{first}  ready, 0 in flight"
        assert {ask(server) for _ in range(20)} == {b"done", b"two"}
        assert drain(path, first, "--stop")[0] == f"{first}  stopped, 0 in flight"
    assert not admin.exists()


def test_what_an_operator_gets_wrong_ends_in_a_line(path: Path, tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    with Scripted(says(b"one")) as backend, Server(path, backend.port, admin=f'"{admin}"') as server:
        name = f"127.0.0.1:{backend.port}"
        assert drain(path, "web9", status=1) == [f"lbkit: no backend 'web9': there are {name}"]
        assert "BACKEND is missing" in drain(path, "--undo", status=2)[0]
        assert "contradict" in drain(path, name, "--undo", "--stop", status=2)[0]
        assert ask(server) == b"one"
    assert "no proxy listens at admin" in drain(path, status=1)[0]
    path.write_text(f'[[backends]]\naddress = "{name}"')
    assert "has no admin: add a line such as admin" in drain(path, status=1)[0]
    path.write_text(f'admin = {{ listen = "127.0.0.1:9901" }}\n[[backends]]\naddress = "{name}"')
    assert "has no admin.socket: add a line such as socket" in drain(path, status=1)[0]


def test_the_socket_of_a_proxy_that_was_killed_is_no_obstacle(path: Path, tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(admin))
    with Scripted(says(b"one")) as backend, Server(path, backend.port, admin=f'"{admin}"'):
        assert drain(path) == [f"127.0.0.1:{backend.port}  ready, 0 in flight"]
        other = tmp_path / "other.toml"
        other.write_text(path.read_text())
        done = command(other)
        assert done.returncode == 1
        assert "another proxy listens there" in done.stderr


def test_a_check_looks_at_the_place_of_the_socket(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for admin, fault in (
        ("/no/such/admin", "there is no folder '/no/such'; make it, or use another path"),
        (str(tmp_path / "file"), "there is a file of that name; use another path"),
        ("admin", "use a short path from / on, such as /run/lbkit.sock"),
    ):
        path.write_text(f'listen = "127.0.0.1:0"\nadmin = "{admin}"\n[[backends]]\naddress = "127.0.0.1:1"')
        done = command(path, "--check")
        assert done.returncode == 1
        field = "admin.socket" if "/" in admin else "admin"
        assert done.stderr == f"lbkit: {path}: {field} is '{admin}': {fault}\n"
    sticky = '[policy.sticky]\nhow = "insert"'
    path.write_text(
        f'listen = "127.0.0.1:0"\nadmin = "{tmp_path}/s"\n{sticky}\n[[backends]]\naddress = "127.0.0.1:1"'
    )
    assert "no drain ends by itself" in command(path, "--check").stdout
    with path.open("a") as file:
        file.write("\n[policy.drain]\ntimeout = 30")
    assert "no drain ends by itself" not in command(path, "--check").stdout
