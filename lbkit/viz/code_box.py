"""A text area for code, with numbers of lines and a mark at a line with an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lbkit.viz.late import OpenedLate
from lbkit.viz.widget import on_main


class CodeBox(OpenedLate, anywidget.AnyWidget):
    """Code that can be edited: `value` has it. Ctrl+Enter or Shift+Enter runs it."""

    _esm = Path(__file__).with_name("code_box.js")
    value = traitlets.Unicode("").tag(sync=True)
    lines = traitlets.Int(14).tag(sync=True)  # on the screen; more can be scrolled to
    error_line = traitlets.Int(0).tag(sync=True)  # 0: none

    def on_run(self, function: Callable[[], object]) -> None:
        """Call `function` in the loop that is running now, when the keys for it are pressed."""
        soon = on_main(function)

        def received(_: object, content: Any, __: object) -> None:
            if content == {"run": True}:
                soon()

        self.on_msg(received)
