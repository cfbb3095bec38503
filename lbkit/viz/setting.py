"""A setting of the playground as a text: TOML or the query of a link. Both can be pasted back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qsl, urlencode

from lbkit.core import algorithms
from lbkit.core.options import real
from lbkit.core.text import did_you_mean, shown, unknown
from lbkit.viz.scenario import LIMITS, VARIABILITY, Settings

TEXT = """\
# To restore this setting, paste this text, or the short form, into a playground, and press "restore".
# Short form: {link}
# In Python:  {python}

{toml}"""


def to_text(settings: Settings, policies: Iterable[str]) -> str:
    """Return a setting as TOML; comments above it have the link and the line of Python that do the same."""
    names = list(policies)
    values = {"policies": names} | asdict(settings)
    toml = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    return TEXT.format(python=to_python(settings, names), link=to_link(settings, names), toml=toml)


def to_python(settings: Settings, policies: Iterable[str]) -> str:
    """Return the line that makes such a playground."""
    values = "".join(f", {name}={value!r}" for name, value in changed(settings).items())
    return f"Playground(run, {json.dumps(list(policies))}{values})"


def to_link(settings: Settings, policies: Iterable[str]) -> str:
    """Return the query of a link, without what is as at the beginning: "?policies=random&load=0.9"."""
    return "?" + urlencode({"policies": ",".join(policies)} | changed(settings), safe=",")


def changed(settings: Settings) -> dict[str, Any]:
    """Return the settings that are not as at the beginning."""
    first = asdict(Settings())
    return {name: value for name, value in asdict(settings).items() if value != first[name]}


def read(text: str) -> tuple[Settings, list[str] | None]:
    """Return the settings and the policies of a text; None if it names no policies.

    What a text does not have is as at the beginning. Raises ValueError, which names the field."""
    values = from_link(text) if is_link(text) else from_toml(text)
    policies = values.pop("policies", None)
    known = [field.name for field in fields(Settings)]
    for name, value in values.items():
        if name not in known:
            raise ValueError(unknown(name, [*known, "policies"], "setting"))
        values[name] = checked(name, value)
    return Settings(**values), policies if policies is None else checked_policies(policies)


def is_link(text: str) -> bool:
    """Return whether a text is a link or its query, not TOML."""
    return len(text.split()) == 1 and "?" in text


def from_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"neither a link nor TOML: {error}; copy the whole text of a setting") from None


def from_link(text: str) -> dict[str, Any]:
    query = text.strip().partition("?")[2].partition("#")[0]
    values: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values[name] = value.split(",") if name == "policies" else number(value)
    return values


def number(text: str) -> Any:
    """Return a text as a number, if it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def checked(name: str, value: Any) -> Any:
    """Return the value of a setting. Raises ValueError for one that its slider does not have."""
    if name == "variability":
        if not isinstance(value, str) or value not in VARIABILITY:
            raise ValueError(f"variability is {shown(value)}: use {', '.join(VARIABILITY)}")
        return value
    low, high = LIMITS[name]
    whole = isinstance(getattr(Settings(), name), int)
    if not real(value) or not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} is {shown(value)}: use {kind} from {low:g} to {high:g}")
    return int(value) if whole else float(value)


def checked_policies(names: Any) -> list[str]:
    """Raises ValueError for names of algorithms that there are not."""
    if not isinstance(names, list) or not names:
        raise ValueError(f'policies is {shown(names)}: use a list of names, such as ["random"]')
    for name in names:
        if not isinstance(name, str) or name not in algorithms():
            near = did_you_mean(str(name), algorithms())
            raise ValueError(
                f"policies: no algorithm {shown(name)}{near}; one of your own is known once its cell has run"
            )
    return names
