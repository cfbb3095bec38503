"""Ten students at once in a real JupyterHub on this machine, as they would come into a lesson.

Each logs in, starts a server, opens a kernel, runs a simulation and a short live experiment. Prints what
memory and processor time that took a student; docs/pages/howto/a-classroom.md has such figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("jupyterhub", reason="no jupyterhub here: `make classroom` installs it")
import psutil
import requests
from websocket import WebSocket, WebSocketConnectionClosedException, create_connection

from lbkit.course import find_lab
from lbkit.live.program import free_ports

CLASSROOM = Path(__file__).parents[1]
sys.path.insert(0, str(CLASSROOM))
import collect

NAMES = [f"student{i}" for i in range(int(os.environ.get("LBKIT_STUDENTS", "10")))]
PASSWORD = "ten of them"
PATIENCE = float(os.environ.get("LBKIT_PATIENCE", "200"))  # seconds, for everything that starts
SIMULATION = """
from lbkit import Experiment, Traffic, run, servers
result = run(Experiment(servers(4), Traffic(duration=30)).at_load(0.8))
print("requests", len(result.latency))
"""
LIVE = """
result = run(Experiment(servers(2), Traffic(duration=2), policy="round_robin").at_load(0.3), on="live")
print("counts", sorted(result.counts.values()))
"""
GREEDY = """
try:
    bytearray(4 << 30)
    print("got it")
except MemoryError:
    print("limited")
"""
HAND_IN = """
import os, pathlib, subprocess, sys
pathlib.Path(os.environ["LBKIT_HOME"], "workbook", "labs", "01-turns", "turns.py").write_text({code!r})
print(subprocess.run([sys.executable, "-m", "lbkit", "submit", "1"], capture_output=True, text=True))
"""


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s"
        time.sleep(0.25)


class Room:
    """A hub in a process of its own, with everything that it writes in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port, api, hub = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder.with_name("hub.log")
        environment = os.environ | {
            "LBKIT_ROOM": str(folder),
            "LBKIT_HUB": self.url,
            "LBKIT_HUB_PROXY": f"http://127.0.0.1:{api}",
            "LBKIT_HUB_PORT": str(hub),
            "LBKIT_CLASS_PASSWORD": PASSWORD,
        }
        command = [sys.executable, "-m", "jupyterhub", "-f", str(CLASSROOM / "jupyterhub_config.py")]
        with self.log.open("w") as log:
            self.hub = subprocess.Popen(
                command, cwd=folder.parent, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        until(self.answers, "the hub's login page")

    def answers(self) -> bool:
        assert self.hub.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/hub/login", timeout=10).ok
        except requests.RequestException:
            return False

    def processes(self, home: Path) -> list[psutil.Process]:
        """Return the processes of a student: those below the hub with this home."""
        found = []
        for process in psutil.Process(self.hub.pid).children(recursive=True):
            try:
                if process.environ().get("LBKIT_HOME") == str(home):
                    found.append(process)
            except psutil.Error:  # it has just ended
                continue
        return found

    def end(self) -> list[psutil.Process]:
        """End the hub as Ctrl-C does; return the processes that are left."""
        below = psutil.Process(self.hub.pid).children(recursive=True)
        self.hub.terminate()
        self.hub.wait(60)
        return psutil.wait_procs(below, timeout=30)[1]


class Student:
    """A student's browser, as far as the hub can tell."""

    def __init__(self, room: Room, name: str) -> None:
        self.room, self.name = room, name
        self.home = room.folder / "students" / name
        self.browser = requests.Session()
        self.token = ""
        self.kernel = ""  # the path of its API
        self.socket: WebSocket | None = None

    def log_in(self, password: str = PASSWORD) -> int:
        page = f"{self.room.url}/hub/login"
        self.browser.get(page, timeout=60)
        form = {"username": self.name, "password": password, "_xsrf": self.browser.cookies["_xsrf"]}
        return self.browser.post(page, data=form, allow_redirects=False, timeout=60).status_code

    def begin(self) -> None:
        """Log in, and start JupyterLab."""
        assert self.log_in() == 302
        path = f"/hub/api/users/{self.name}"
        self.browser.get(f"{self.room.url}/hub/token", timeout=60)  # a page of the hub sets this cookie
        xsrf = {"X-XSRFToken": self.browser.cookies.get("_xsrf", path="/hub/")}
        answer = self.browser.post(f"{self.room.url}{path}/tokens", json={}, headers=xsrf, timeout=60)
        self.token = answer.json()["token"]
        assert self.ask("POST", f"{path}/server").status_code in (201, 202)
        until(
            lambda: self.ask("GET", path).json()["servers"].get("", {}).get("ready"), f"{self.name}'s server"
        )

    def ask(self, method: str, path: str) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, self.room.url + path, headers=headers, timeout=PATIENCE)

    def open_kernel(self) -> None:
        path = f"/user/{self.name}/api/kernels"
        self.kernel = f"{path}/{self.ask('POST', path).json()['id']}"
        self.connect()

    def connect(self) -> None:
        address = f"{self.room.url}{self.kernel}/channels".replace("http", "ws", 1)
        headers = [f"Authorization: token {self.token}"]
        self.socket = create_connection(address, header=headers, timeout=PATIENCE)

    def leave(self) -> None:
        self.browser.close()
        if self.socket:
            self.socket.close()

    def execute(self, code: str) -> str:
        """Return what the code prints in the student's kernel.

        Where Jupyter Server hears nothing from a kernel for 60 s after it has accepted a connection to it
        (`kernel_info_timeout`), it closes the connection. JupyterLab connects once more, and so does this.
        """
        try:
            return self.printed(code)
        except WebSocketConnectionClosedException as lost:
            print(f"{self.name}: {lost} Once more; the hub's log:\n{self.room.log.read_text()[-4000:]}")
            self.connect()
            return self.printed(code)

    def printed(self, code: str) -> str:
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "session": number, "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "stop_on_error": True}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        assert self.socket
        self.socket.send(json.dumps(message | {"channel": "shell"}))
        printed, status = "", ""
        idle = False
        while not (status and idle):
            answer = json.loads(self.socket.recv())
            if answer["parent_header"].get("msg_id") != number:
                continue
            kind, content = answer["msg_type"], answer["content"]
            if kind == "stream" and content["name"] == "stdout":
                printed += content["text"]
            elif kind == "error":
                printed += "\n".join(content["traceback"])
            elif kind == "execute_reply":
                status = content["status"]
            elif kind == "status":
                idle = content["execution_state"] == "idle"
        assert status == "ok", printed
        return printed

    def memory(self) -> float:
        """Return the megabytes of the student's processes; pages that several share count in parts."""
        total = 0
        for process in self.room.processes(self.home):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        return total / 1e6

    def processor(self) -> float:
        """Return the seconds of processor time that the student's processes took, with those that ended."""
        return sum(sum(process.cpu_times()[:4]) for process in self.room.processes(self.home))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("class") / "room")
    try:
        yield room
    finally:
        left = room.end()
        for process in left:
            process.kill()
    assert not left


@pytest.fixture(scope="module")
def students(room: Room) -> Iterator[list[Student]]:
    students = [Student(room, name) for name in NAMES]
    yield students
    for student in students:
        student.leave()


def together(students: list[Student], do: Callable[[Student], object]) -> list[object]:
    with ThreadPoolExecutor(len(students)) as threads:
        return list(threads.map(do, students))


def test_the_class_password_lets_in_and_another_does_not(room: Room) -> None:
    stranger = Student(room, "stranger")
    assert stranger.log_in("something else") == 403
    stranger.leave()


@pytest.mark.parametrize("name", ["../submitted", "a/b", "..", ".profile", "a b", "x" * 33])
def test_a_name_that_could_lead_out_of_the_folder_is_refused(room: Room, name: str) -> None:
    stranger = Student(room, name)
    assert stranger.log_in() == 403
    assert not list((room.folder / "students").iterdir())
    stranger.leave()


def test_all_students_at_once(room: Room, students: list[Student]) -> None:
    spent: list[tuple[str, float, float]] = []

    def note(what: str, memory: list[float]) -> None:
        processor = statistics.mean(student.processor() for student in students)
        spent.append((what, statistics.mean(memory), processor - sum(row[2] for row in spent)))

    def megabytes() -> list[float]:
        return [student.memory() for student in students]

    started = time.monotonic()
    together(students, Student.begin)
    note("JupyterLab", megabytes())

    together(students, Student.open_kernel)
    printed = together(students, lambda student: student.execute(SIMULATION))
    assert len(set(printed)) == 1, "the same seed has the same requests"
    note("a kernel and a simulation", megabytes())

    done, most = threading.Event(), [0.0] * len(students)

    def watch() -> None:
        while not done.wait(2):
            most[:] = map(max, most, megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        printed = together(students, lambda student: student.execute(LIVE))
    finally:
        done.set()
        watcher.join()
    for text in map(str, printed):
        first, second = json.loads(text.split("counts ")[1])
        assert second - first <= 1, "in turns, on sockets of one's own"
    note("a live experiment, at its most", most)

    print(
        f"\n{len(students)} students at once on {os.cpu_count()} cores, {time.monotonic() - started:.0f} s;"
    )
    print("a student's memory, and additional seconds of processor time:")
    for what, memory, processor in spent:
        print(f"  {what:32} {memory:6.0f} MB  {processor:6.1f} s")
    assert all(0 < memory < 1500 for _, memory, _ in spent)


def test_each_has_copies_and_ports_of_their_own(students: list[Student]) -> None:
    ports = [student.execute("import os; print(os.environ['LBKIT_PORTS'])") for student in students[:3]]
    assert len(set(ports)) == 3
    for student in students:
        files = student.ask("GET", f"/user/{student.name}/api/contents").json()["content"]
        assert {"00-playground.ipynb", "labs"} <= {file["name"] for file in files}
        assert not list((student.home / "workbook").rglob("solution.py"))


def test_nobody_gets_into_the_server_of_another(students: list[Student]) -> None:
    one, other = students[:2]
    assert one.ask("GET", f"/user/{one.name}/api/kernels").status_code == 200
    assert one.ask("GET", f"/user/{other.name}/api/kernels").status_code == 403


def test_memory_is_limited(students: list[Student]) -> None:
    if sys.platform != "linux":
        pytest.skip("platform: limits of address space are Linux's")
    assert students[0].execute(GREEDY).strip() == "limited"


def test_labs_are_handed_in_and_graded(room: Room, students: list[Student]) -> None:
    lab = find_lab("1")
    right = next(iter(lab.right.values())).read_text()
    wrong = lab.mistakes["Consecutive"].code
    for student, codes in zip(students, ([wrong, right], [wrong], ["class Turns(:"]), strict=False):
        for code in codes:
            assert "is handed in" in student.execute(HAND_IN.format(code=code))
    grades = {grade.student: grade for grade in collect.collect(room.folder)}
    assert list(grades) == NAMES[:3]
    best, less, none = grades.values()
    assert best.points == best.out_of
    assert best.hidden == best.hidden_of
    assert best.missing == ""
    assert 0 < less.points < less.out_of
    assert "turns-are-spread-out" in less.missing
    assert none.points == none.hidden == 0
    table = (room.folder / "grades.csv").read_text().splitlines()
    assert len(table) == 4
    assert table[0].startswith("student,lab,points")
