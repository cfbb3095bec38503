"""Hatch's build hook: adds the course to wheels, and compiled modules if LBKIT_COMPILE=1 or in cibuildwheel.

Otherwise a wheel is pure Python, as browsers need it. An editable install is compiled in place, and finds the
notebooks and labs beside the package.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def wanted() -> bool:
    return any(os.environ.get(name, "0") not in ("", "0") for name in ("LBKIT_COMPILE", "CIBUILDWHEEL"))


COURSE = ("notebooks", "labs/[0-9]*")  # the image for containers is built without them


def course(root: Path) -> Iterator[Path]:
    """Yield the files that `lbkit lab` copies for a learner, and those that check labs."""
    for pattern in COURSE:
        for path in sorted(root.glob(f"{pattern}/**/*")):
            hidden = any(part.startswith((".", "__")) for part in path.relative_to(root).parts)
            if path.is_file() and not hidden:
                yield path


class BuildHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        # mypy reads the types of what lbkit imports.
        needed: dict[str, list[str]] = self.metadata.core.optional_dependencies
        return [*needed["compile"], *self.metadata.core.dependencies] if wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            for path in course(Path(self.root)):
                build_data["force_include"][str(path)] = (
                    f"lbkit/material/{path.relative_to(self.root).as_posix()}"
                )
        if not wanted():
            return
        sys.path.insert(0, self.root)
        from native.build import build
        from native.table import extensions, up_to_date

        folder = extensions.FOLDER
        if not up_to_date(folder):
            build(folder)
        (folder / extensions.SEEN).unlink(missing_ok=True)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version == "standard":
            build_data["force_include"][str(folder)] = f"lbkit/_compiled/{folder.name}"
