"""The control panel of a live experiment: change its algorithm and servers while requests come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape
from typing import Any, ClassVar, Protocol
from weakref import ref

import ipywidgets as widgets

from lbkit.experiment import Experiment
from lbkit.viz.engines import EngineSelector
from lbkit.viz.live_figures import Window, latency_history, server_history
from lbkit.viz.style import FAILED_TEXT, duration, title
from lbkit.viz.topology import topology
from lbkit.viz.widget import FigureView, Panel, on_main

PERIOD = 0.5  # seconds between two updates
WINDOW = 30.0  # seconds shown


USUAL = "round_robin"  # every engine has it


class Sessions(Protocol):
    """Makes sessions: the class lbkit.live.LiveSession."""

    def __call__(self, experiment: Experiment, on: str) -> Any: ...
    def algorithms(self, on: str) -> list[str]: ...


class LivePanel(Panel):
    """A panel that starts and stops `experiment`, switches its algorithm, and kills and revives servers.

    After a stop, the end of the experiment, a failure or the end of the notebook's kernel nothing is left
    running. A new panel stops the one before it, as when its cell is run again.
    """

    _last: ClassVar[ref[LivePanel] | None] = None  # the panel made last

    def __init__(self, open_session: Sessions, experiment: Experiment) -> None:
        previous = LivePanel._last() if LivePanel._last else None
        if previous is not None:
            previous.stop()
        LivePanel._last = ref(self)
        self._open = open_session
        self.experiment = experiment
        self.session: Any = None
        self._task: asyncio.Task[None] | None = None
        self.engine = EngineSelector(
            value="live", never={"sim": "sim runs in virtual time: use the Playground"}
        )
        self.start_button = widgets.Button(description="start", icon="play", button_style="success")
        self.stop_button = widgets.Button(description="stop", icon="stop", disabled=True)
        self.policy = widgets.Dropdown(description="policy", layout={"width": "270px"})
        self._offer()
        self.servers = {
            s.name: widgets.ToggleButton(
                value=True,
                description=s.name,
                icon="check",
                disabled=True,
                tooltip=f"kill or revive {s.name}",
                layout={"width": "auto"},
            )
            for s in experiment.leaves
        }
        self.message = widgets.HTML("Real processes on this machine; starting takes about three seconds.")
        self.message.add_class("lbkit-message")
        self.reason = widgets.HTML()  # of the last refusal; stays until something else is done
        self.reason.add_class("lbkit-reason")
        self.picture, self.latency, self.rates = (
            FigureView(flex="1 1 380px", min_width="0") for _ in range(3)
        )
        wrap = widgets.Layout(flex_flow="row wrap", width="100%", align_items="center")
        super().__init__(
            [
                widgets.Box([self.start_button, self.stop_button, self.policy], layout=wrap),
                widgets.Box([widgets.Label("servers"), *self.servers.values()], layout=wrap),
                self.engine,
                self.message,
                self.reason,
                widgets.Box([self.picture, self.latency, self.rates], layout=wrap),
            ]
        )
        self.add_class("lbkit-live")
        self._faults: list[str] = []  # of the session, when they were shown last
        self._up: dict[str, bool] = {}  # server -> what it was told last; without: it runs
        self._look()
        self.start_button.on_click(on_main(lambda _: self.start()))
        self.stop_button.on_click(on_main(lambda _: self.stop()))
        self.policy.observe(on_main(lambda change: self._switched(change["new"])), "value")
        self.engine.observe(on_main(lambda _: self._offer()), "value")
        for name, button in self.servers.items():
            button.observe(on_main(lambda change, name=name: self._toggled(name, change["new"])), "value")

    # -- what the buttons do; called in the notebook's loop ----------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Run until `stop` or the experiment's end; a task, so that the notebook stays usable."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        self._running(True)
        self._explain("")
        self._faults = []
        self._say("Starting the servers, the proxy and the load ...")
        session: Any = None
        try:
            session = self._open(self.experiment.but(policy=self.policy.value), self.engine.value)
            await asyncio.to_thread(session.start)
            self.session = session
            while not session.done:
                self._look()
                await asyncio.sleep(PERIOD)
            self._look()
            end = "The experiment is over."
        except asyncio.CancelledError:
            end = "Stopped."
        except Exception as error:
            end = "It failed."
            self._explain(f"{type(error).__name__}: {error}")
        finally:
            # Stopping waits for processes, and has to be finished even if this task is cancelled again.
            if session:
                await asyncio.shield(asyncio.to_thread(session.stop))
            self.session = None
            self._running(False)
        self._say(f"{end} Nothing is running.")

    def _offer(self) -> None:
        """Offer the algorithms of the chosen engine, also new ones; keep the choice if it has it."""
        names = self._open.algorithms(self.engine.value) if self.engine.value else []
        wanted = self.policy.value or self.experiment.policy.algorithm
        self.policy.options = [(title(name), name) for name in names]
        if names:
            self.policy.value = wanted if wanted in names else USUAL

    def _switched(self, name: str) -> None:
        if self.session and name != self.session.policy:
            self._do(self.session.switch, name)

    def _toggled(self, name: str, up: bool) -> None:
        button = self.servers[name]
        button.icon = "check" if up else "times"
        if self.session and up != self._up.get(name, True):
            self._up[name] = up
            self._do(self.session.recover if up else self.session.crash, name)

    def _do(self, action: Callable[[str], object], name: str) -> None:
        """Do it in a thread. If it is refused, the panel returns to what is true, and the reason stays."""

        async def work() -> None:
            session = self.session
            try:
                await asyncio.to_thread(action, name)
                self._explain("")
            except Exception as error:
                self._explain(f"Refused: {error}")
                if self.session is session:
                    self._return_to_what_runs()

        # Keep a reference, or the task may be collected.
        self._doing = asyncio.get_running_loop().create_task(work())

    def _return_to_what_runs(self) -> None:
        self.policy.value = self.session.policy
        for row in self.session.state():
            self._up[row["name"]] = row["alive"]
            self.servers[row["name"]].value = row["alive"]

    # -- on the screen ------------------------------------------------------------------------

    def _running(self, on: bool) -> None:
        self.start_button.disabled, self.stop_button.disabled = on, not on
        self.engine.lock(on)
        self._up.clear()
        for button in self.servers.values():
            button.disabled = not on
            if not on:
                button.value = True  # the next start begins with all of them

    def _say(self, text: str) -> None:
        self.message.value = escape(text)

    def _explain(self, reason: str) -> None:
        lines = [f'<div style="color: {FAILED_TEXT}">{escape(line)}</div>' for line in reason.splitlines()]
        self.reason.value = "".join(lines)

    def _look(self) -> None:
        """Draw the last WINDOW seconds."""
        session = self.session
        if not session:
            self.picture.show(topology(self.experiment))
            return
        self.picture.show(topology(self.experiment, session.state(), session.policy))
        result = session.result(last=WINDOW)
        window = Window(result, session.history, session.experiment.policy.algorithm, PERIOD)
        self.latency.show(latency_history(window))
        self.rates.show(server_history(window))
        if (faults := session.faults) != self._faults:  # else what is shown since may be a refusal
            self._faults = faults
            self._explain("\n".join(faults))
        good = len(result.latencies())
        found = (
            f"{good} good answers, mean {duration(result.mean)}, 1 in 100 takes longer than "
            f"{duration(result.percentile(99))}, {result.error_rate:.1%} errors"
            if good
            else f"{len(result)} answers, and no good one"
            if len(result)
            else "no answers yet"
        )
        self._say(f"{session.progress()}. From {window}: {found}. Proxy: {session.url}")
