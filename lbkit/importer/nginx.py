"""nginx.conf, or a fragment of it, as upstreams with nginx's own versions of the algorithms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from attrs import evolve

from lbkit import presets
from lbkit.experiment import Policy
from lbkit.importer.found import ImportFault, Unread, Upstream, with_backups
from lbkit.needs import why_not

# What hands requests to an upstream, each with directives of its own for what follows a failure.
_PASS = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
_UNLIMITED = presets.nginx().retries
# Understood elsewhere, or of no meaning for balancing.
_IGNORED = {"include", "events", "worker_processes", "listen", "server_name", "default_type"}

# nginx variable -> key; of names with a prefix, the rest is the name of the field.
_KEYS = {
    "$remote_addr": "client",
    "$binary_remote_addr": "client",
    "$uri": "path",
    "$document_uri": "path",
    "$request_uri": "uri",
}
_NAMED_KEYS = {"$http_": "header", "$cookie_": "cookie", "$arg_": "query"}


@dataclass
class Directive:
    """A directive, with what is in its braces; `block` is None for one that ends in a semicolon."""

    file: str
    line: int
    words: list[str]
    block: list[Directive] | None = None

    @property
    def name(self) -> str:
        return self.words[0] if self.words else "{"

    def unread(self, text: str = "") -> Unread:
        return Unread(self.file, self.line, text or " ".join(self.words))


@dataclass(frozen=True)
class _Retry:
    """What follows a failed attempt: `proxy_next_upstream` and `proxy_next_upstream_tries`."""

    enabled: bool = True
    tries: int = 0  # 0: no limit

    @property
    def retries(self) -> int:
        if not self.enabled:
            return 0
        return self.tries - 1 if self.tries else _UNLIMITED


def read_nginx(path: Path, unread: list[Unread]) -> list[Upstream]:
    """Return the upstreams of a configuration and the files that it includes, in their order.

    Included files outside the folder of `path` are named, not read. Raises ImportFault without crossplane."""
    directives = _parse(path, path.parent.resolve(), unread, {path.resolve()})
    blocks: list[Directive] = []
    users: dict[str, list[_Retry]] = {}
    _walk(directives, dict.fromkeys(_PASS, _Retry()), blocks, users, unread)
    workers = next((d.words[1] for d in directives if d.name == "worker_processes" and len(d.words) > 1), "1")
    return [_upstream(block, users, workers) for block in blocks]


# -- directives ----------------------------------------------------------------------------------


def _parse(path: Path, root: Path, unread: list[Unread], seen: set[Path]) -> list[Directive]:
    """Return the directives of a file, with those of included files in place of each `include`."""
    top: list[Directive] = []
    open_blocks: list[list[Directive]] = [top]
    words: list[str] = []
    start = line = 1
    for token, line, quoted in _tokens(path, unread):
        if not words:
            start = line
        if quoted or token not in "{};":
            words.append(token)
        elif token == "}":
            if words:  # as in "server a }"
                unread.append(Unread(path.name, start, f"{' '.join(words)} (no ; after it)"))
            words = []
            open_blocks.pop()
        else:
            directive = Directive(path.name, start, words, [] if token == "{" else None)
            words = []
            if directive.name == "include":
                open_blocks[-1] += _include(directive, root, unread, seen)
            elif directive.words:
                open_blocks[-1].append(directive)
            if directive.block is not None:
                open_blocks.append(directive.block)
    if words:
        unread.append(Unread(path.name, start, f"{' '.join(words)} (never ends: a ; or a quote)"))
    elif len(open_blocks) > 1:
        unread.append(Unread(path.name, line, "end of file inside of { }: a brace is missing"))
    return top


def _tokens(path: Path, unread: list[Unread]) -> Iterator[tuple[str, int, bool]]:
    """Yield (word, line, whether it is quoted), without comments."""
    try:
        import crossplane
    except ImportError:
        raise ImportFault(why_not("import")) from None
    line = 0
    try:
        for token, line, quoted in crossplane.lex(str(path)):
            token = token.removeprefix("\ufeff")
            if token and (quoted or not token.startswith("#")):
                yield token, line, quoted
    except crossplane.errors.NgxParserBaseException as error:
        if "end of file" not in error.strerror:  # _parse says that itself
            where = error.lineno or line
            unread.append(Unread(path.name, where, f"{error.strerror}: nothing after it has been read"))


def _include(directive: Directive, root: Path, unread: list[Unread], seen: set[Path]) -> list[Directive]:
    pattern = directive.words[1] if len(directive.words) > 1 else ""
    wanted = Path(pattern)
    if wanted.is_absolute():
        if not wanted.parent.resolve().is_relative_to(root):
            unread.append(directive.unread(f"include {pattern} (outside the file's folder)"))
            return []
        wanted = Path(*(wanted.parent.resolve() / wanted.name).relative_to(root).parts)
    found = sorted(p for p in root.glob(str(wanted)) if p.is_file()) if pattern else []
    if not found:
        if not any(sign in pattern for sign in "*?["):  # a pattern may match nothing
            unread.append(directive.unread(f"include {pattern} (not there)"))
        return []
    directives = []
    for path in found:
        real = path.resolve()
        if not real.is_relative_to(root):
            unread.append(directive.unread(f"include {path.name} (outside the file's folder)"))
        elif real in seen:
            unread.append(directive.unread(f"include {path.name} (has been read already)"))
        else:
            directives += _parse(path, root, unread, seen | {real})
    return directives


# -- who passes to which upstream ----------------------------------------------------------------


def _walk(
    directives: list[Directive],
    inherited: dict[str, _Retry],
    blocks: list[Directive],
    users: dict[str, list[_Retry]],
    unread: list[Unread],
) -> None:
    """Collect upstream blocks, and for each name of an upstream the retries of the locations that use it."""
    retry = dict(inherited)
    passes: list[tuple[str, str]] = []
    for d in directives:
        kind = d.name.removesuffix("_tries").replace("_next_upstream", "_pass")
        if d.name == "upstream" and d.block is not None:
            blocks.append(d)
        elif d.name in _PASS and len(d.words) > 1:
            passes.append((d.name, d.words[1]))
        elif (
            kind in _PASS
            and d.name.endswith("_next_upstream_tries")
            and d.words[1:2]
            and d.words[1].isdigit()
        ):
            retry[kind] = replace(retry[kind], tries=int(d.words[1]))
        elif kind in _PASS and d.name.endswith("_next_upstream"):
            retry[kind] = replace(retry[kind], enabled=d.words[1:] != ["off"])
        elif d.block is None and d.name not in _IGNORED:
            unread.append(d.unread())
    for kind, target in passes:
        if name := re.match(r"(?:\w+://)?([^/:$]+)", target):
            users.setdefault(name[1], []).append(retry[kind])
    for d in directives:
        if d.block is not None and d.name not in ("upstream", "events"):
            _walk(d.block, retry, blocks, users, unread)


# -- one upstream --------------------------------------------------------------------------------


def _upstream(block: Directive, users: dict[str, list[_Retry]], workers: str) -> Upstream:
    found = Upstream(block.words[1] if len(block.words) > 1 else "upstream")
    policy = presets.nginx()
    shared = False
    for d in block.block or ():
        arguments = d.words[1:]
        if d.name == "server" and arguments:
            _server(found, d)
        elif d.name == "zone":
            shared = True
        elif chosen := _algorithm(d, found.notes):
            policy = chosen
        else:
            found.unread.append(d.unread())
    retries = users.get(found.name, [_Retry()])
    if len({r.retries for r in retries}) > 1:
        found.notes.append(
            f"{found.name} is used with different proxy_next_upstream_tries; those of its first use are taken"
        )
    policy = evolve(policy, retries=retries[0].retries)
    if not shared and workers.isdigit() and int(workers) > 1:
        policy = evolve(policy, balancers=int(workers))
        found.notes.append(
            f"{workers} worker processes without a zone in {found.name}: each balances for itself"
        )
    found.policy = with_backups(found, policy)
    return found


def _server(found: Upstream, d: Directive) -> None:
    _, address, *options = d.words
    weight, priority = 1.0, 0
    down = False
    for option in options:
        key, _, value = option.partition("=")
        if key == "weight" and value.isdigit() and int(value):
            weight = float(value)
        elif option == "down":
            down = True
        elif option == "backup":
            priority = 1
        else:
            found.unread.append(d.unread(f"server {address} {option}"))
    found.add(address, address, weight=0.0 if down else weight, priority=priority)


def _algorithm(d: Directive, notes: list[str]) -> Policy | None:
    """Return the policy of a directive of an upstream; None for one that chooses no algorithm."""
    match d.words:
        case ["least_conn" | "ip_hash" as name]:
            return presets.nginx(name)
        case ["random"]:
            return presets.nginx("random")
        case ["random", "two", *how]:
            if how and how[0] != "least_conn":
                notes.append(f"{d.unread()}: imported as random two least_conn")
            return presets.nginx("random_two")
        case ["least_time", _, *_]:
            return presets.nginx("least_time")
        case ["hash", variable, *how]:
            key = _key(variable)
            if not key:
                key = "client" if "addr" in variable else "uri"
                notes.append(f"{d.unread()}: imported as a hash of the {key}")
            return evolve(presets.nginx("hash_consistent" if "consistent" in how else "hash"), key=key)
        case _:
            return None


def _key(variable: str) -> str:
    """Return the key that an nginx variable stands for; empty for another variable."""
    for prefix, kind in _NAMED_KEYS.items():
        name = variable.removeprefix(prefix)
        if name != variable and name.isidentifier():
            return f"{kind}:{name.replace('_', '-') if kind == 'header' else name}"
    return _KEYS.get(variable, "")
