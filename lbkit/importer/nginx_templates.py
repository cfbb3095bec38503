"""Texts of nginx with variables, as templates of rules."""

from __future__ import annotations

import re
from typing import Any

from lbkit.core.routing import Action, Body, Fixed, Redirect, When
from lbkit.importer.rules import anywhere

# Longer names first.
_VARIABLES = {
    "$is_args$args": "{query}",
    "$is_args$query_string": "{query}",
    "$request_uri": "{path}{query}",
    "$document_uri": "{path}",
    "$uri": "{path}",
    "$http_host": "{host}",
    "$host": "{host}",
}
_COMPARED = {"$request_method": "method", "$host": "host", "$http_host": "host", "$uri": "path"}
_NAMED = {"$http_": "header", "$cookie_": "cookie", "$arg_": "query"}


def template_of(text: str) -> str:
    """Return a text as a template. Raises ValueError for a variable without counterpart."""
    if "{" in text or "}" in text:
        raise ValueError("has a brace in it")
    # Without a scheme and a host, clients keep those that they have.
    text = re.sub(r"\A\$scheme://(?:\$host|\$http_host)(?=/|\$request_uri|\$uri)", "", text)
    text = text.replace("${", "$").replace("}", "") if "${" in text else text
    for variable, slot in _VARIABLES.items():
        text = re.sub(re.escape(variable) + r"(?![A-Za-z0-9_])", slot, text)
    text = re.sub(r"\$([1-9])", r"{\1}", text)
    if found := re.search(r"\$\w*", text):
        raise ValueError(f"has {found[0]}, which has no counterpart")
    return text


def answer_of(words: list[str]) -> Action:
    """Return the answer of `return` with these arguments. Raises ValueError."""
    if len(words) == 1 and not words[0].isdigit():
        words = ["302", *words]
    if not words or not re.fullmatch(r"[1-5][0-9]{2}", words[0]) or len(words) > 2:
        raise ValueError("is no status and text")
    status, text = int(words[0]), words[1] if len(words) > 1 else ""
    if status in (301, 302, 303, 307, 308) and text:
        return Redirect(template_of(text), status)
    if status == 444:
        raise ValueError("closes the connection without an answer")
    if "$" in text:
        raise ValueError("has a variable in its text")
    return Fixed(status, Body(text))


def condition_of(words: list[str]) -> tuple[When, bool]:
    """Return the condition of an `if`, and whether it must not hold. Raises ValueError."""
    inner = " ".join(words).strip()
    if not (inner.startswith("(") and inner.endswith(")")):
        raise ValueError("has no condition")
    match = re.fullmatch(r"(\$\w+)\s*(=|!=|~\*?|!~\*?)\s*(.*)", inner[1:-1].strip(), re.DOTALL)
    if not match:
        raise ValueError("has a condition without counterpart")
    variable, how, text = match[1], match[2], match[3].strip()
    searched = "~" in how
    text = anywhere(text.strip("\"'"), how.endswith("*")) if searched else text.strip("\"'")
    for prefix, kind in _NAMED.items():
        if variable.startswith(prefix):
            name = variable.removeprefix(prefix)
            name = name.replace("_", "-") if kind == "header" and prefix == "$http_" else name
            if variable == "$http_host":
                break
            pattern = f"~{text}" if searched else text
            if not searched and (pattern.startswith("~") or "*" in pattern):
                pattern = f"~{re.escape(text)}"
            fields: dict[str, Any] = {kind: {name: pattern}}
            return When(**fields), how.startswith("!")
    field = _COMPARED.get(variable, "")
    if searched and field == "path":
        field = "regex"
    elif searched or not field:
        raise ValueError(f"compares {variable} in a way without counterpart")
    compared: dict[str, Any] = {field: (text,)}
    return When(**compared), how.startswith("!")
