"""The control panel of a live experiment: change its algorithm and servers while requests come in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from html import escape
from typing import Any

import ipywidgets as widgets

from lbkit.core import algorithms
from lbkit.experiment import Experiment
from lbkit.viz import figures
from lbkit.viz.engines import EngineSelector
from lbkit.viz.style import title
from lbkit.viz.topology import topology
from lbkit.viz.widget import FigureView, on_main

PERIOD = 0.5  # seconds between two updates
WINDOW = 30.0  # seconds shown


class LivePanel(widgets.VBox):  # type: ignore[misc]
    """A panel that starts and stops `experiment`, switches its algorithm, and kills and revives servers.

    `open_session(experiment, engine)` makes the session: lbkit.live.LiveSession. After a stop, the end of the
    experiment, a failure or the end of the notebook's kernel nothing is left running.
    """

    def __init__(self, open_session: Callable[[Experiment, str], Any], experiment: Experiment) -> None:
        self._open = open_session
        self.experiment = experiment
        self.session: Any = None
        self._task: asyncio.Task[None] | None = None
        self.engine = EngineSelector(
            value="live", never={"sim": "sim runs in virtual time: use the Playground"}
        )
        self.start_button = widgets.Button(description="start", icon="play", button_style="success")
        self.stop_button = widgets.Button(description="stop", icon="stop", disabled=True)
        self.policy = widgets.Dropdown(
            options=[(title(name), name) for name in algorithms()],
            value=experiment.policy.algorithm,
            description="policy",
            layout={"width": "270px"},
        )
        self.servers = {
            s.name: widgets.ToggleButton(
                value=True,
                description=s.name,
                icon="check",
                disabled=True,
                tooltip=f"kill or revive {s.name}",
                layout={"width": "auto"},
            )
            for s in experiment.servers
        }
        self.message = widgets.HTML("Real processes on this machine; starting takes about three seconds.")
        self.message.add_class("lbkit-message")
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
                widgets.Box([self.picture, self.latency, self.rates], layout=wrap),
            ]
        )
        self.add_class("lbkit-live")
        self._look()
        self.start_button.on_click(on_main(lambda _: self.start()))
        self.stop_button.on_click(on_main(lambda _: self.stop()))
        self.policy.observe(on_main(lambda change: self._switched(change["new"])), "value")
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
            end = f"{type(error).__name__}: {error}"
        finally:
            # Stopping waits for processes, and has to be finished even if this task is cancelled again.
            if session:
                await asyncio.shield(asyncio.to_thread(session.stop))
            self.session = None
            self._running(False)
        self._say(f"{end} Nothing is running.")

    def _switched(self, name: str) -> None:
        if self.session:
            self._do(asyncio.to_thread(self.session.switch, name))

    def _toggled(self, name: str, up: bool) -> None:
        button = self.servers[name]
        button.icon = "check" if up else "times"
        if self.session:
            self._do(asyncio.to_thread(self.session.recover if up else self.session.crash, name))

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` in a task, and show its error on the panel."""

        async def done() -> None:
            try:
                await work
            except Exception as error:
                self._say(f"{type(error).__name__}: {error}")

        self._last = asyncio.get_running_loop().create_task(
            done()
        )  # keep a reference, or the task may be collected

    # -- on the screen ------------------------------------------------------------------------

    def _running(self, on: bool) -> None:
        self.start_button.disabled, self.stop_button.disabled = on, not on
        self.engine.lock(on)
        for button in self.servers.values():
            button.disabled = not on
            if not on:
                button.value = True  # the next start begins with all of them

    def _say(self, text: str) -> None:
        self.message.value = escape(text)

    def _look(self) -> None:
        """Draw the last WINDOW seconds."""
        session = self.session
        self.picture.show(topology(self.experiment, session.state() if session else None))
        if not session:
            return
        result = session.result(last=WINDOW)
        self.latency.show(figures.latency_over_time([result], PERIOD))
        self.rates.show(figures.backend_load(result, PERIOD))
        answered = len(result.latencies())
        self._say(
            f"{session.elapsed:.0f} s. Last {min(WINDOW, session.elapsed):.0f} s: {answered} good answers, "
            f"mean {result.mean * 1e3:.0f} ms, 99 % within {result.percentile(99) * 1e3:.0f} ms, "
            f"{result.error_rate:.1%} errors. Proxy: {session.url}"
        )
