"""nginx's configuration files, or what `nginx -T` prints, as directives with the included ones in place."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from lbkit.importer.found import ImportFault, Unread
from lbkit.needs import why_not

# nginx has no such bounds; they keep a hostile file from taking forever.
MOST_FILES = 1000
DEEPEST_BLOCK = 30
DEEPEST_INCLUDE = 10

# How `nginx -T` starts each file that it prints.
_PRINTED = re.compile(r"# configuration file (\S+):$")


@dataclass(frozen=True)
class Directive:
    """A directive, with what is in its braces; `block` is None for one that ends in a semicolon."""

    file: str
    line: int
    words: list[str]
    block: list[Directive] | None = None

    @property
    def name(self) -> str:
        return self.words[0] if self.words else "{"

    def unread(self, text: str = "", kind: str = "") -> Unread:
        return Unread(self.file, self.line, text or " ".join(self.words), kind)


def read_directives(path: Path, unread: list[Unread]) -> list[Directive]:
    """Return the directives of a configuration and of the files that it includes.

    Included files outside the folder of `path` are named, not read; the files of `nginx -T` are those that it
    printed. Raises ImportFault without crossplane."""
    printed = _parse(path, unread)
    main, directives = next(((n, d) for n, d in printed.items() if n), ("", printed[""]))
    files = _Printed(printed, main) if main else _Folder(path.parent.resolve())
    return _Includes(files, unread).expanded(directives, (main or str(path.resolve()),))


# -- one file ------------------------------------------------------------------------------------


def _parse(path: Path, unread: list[Unread]) -> dict[str, list[Directive]]:
    """Return the directives of a file under the name "", those of each file that `nginx -T` printed under its
    own. An `include` is a directive like any other."""
    files: dict[str, list[Directive]] = {"": []}
    open_blocks = [files[""]]
    words: list[str] = []
    start = line = 1
    for token, line, quoted in _tokens(path, unread):
        if not quoted and token.startswith("#"):
            if printed := _PRINTED.match(token):
                words, open_blocks = [], [files.setdefault(printed[1], [])]
            continue
        if not words:
            start = line
        if quoted or token not in "{};":
            words.append(token)
        elif token == "}":
            if words:  # as in "server a }"
                unread.append(Unread(path.name, start, f"{' '.join(words)} (no ; after it)"))
            words = []
            if len(open_blocks) > 1:
                open_blocks.pop()
        else:
            directive = Directive(path.name, start, words, [] if token == "{" else None)
            words = []
            if len(open_blocks) > DEEPEST_BLOCK:
                unread.append(directive.unread(f"{directive.name} (braces in braces, {DEEPEST_BLOCK} deep)"))
            elif directive.words:
                open_blocks[-1].append(directive)
            if directive.block is not None:
                open_blocks.append(directive.block)
    if words:
        unread.append(Unread(path.name, start, f"{' '.join(words)} (never ends: a ; or a quote)"))
    elif len(open_blocks) > 1:
        unread.append(Unread(path.name, line, "end of file inside of { }: a brace is missing"))
    return files


def _tokens(path: Path, unread: list[Unread]) -> Iterator[tuple[str, int, bool]]:
    """Yield (word, line, whether it is quoted); a comment is one word."""
    try:
        import crossplane
    except ImportError:
        raise ImportFault(why_not("import")) from None
    line = 0
    try:
        for token, line, quoted in crossplane.lex(str(path)):
            token = token.removeprefix("\ufeff")
            if token:
                yield token, line, quoted
    except crossplane.errors.NgxParserBaseException as error:
        if "end of file" not in error.strerror:  # _parse says that itself
            where = error.lineno or line
            unread.append(Unread(path.name, where, f"{error.strerror}: nothing after it has been read"))


# -- included files ------------------------------------------------------------------------------


class _Folder:
    """The files in a folder and below. A path of the machine that it was copied from means its copy."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, pattern: str) -> tuple[list[str], str]:
        """Return the names of the files that an include means, and why there are none."""
        try:
            return self._find(Path(pattern))
        except (ValueError, NotImplementedError):  # "**x", a null byte
            return [], "no name of a file"

    def _find(self, wanted: Path) -> tuple[list[str], str]:
        if wanted.is_absolute():
            folder = wanted.parent.resolve()
            if not folder.is_relative_to(self.root):
                return self._copied(wanted), "outside the file's folder"
            wanted = (folder / wanted.name).relative_to(self.root)
        return sorted(str(p.resolve()) for p in self.root.glob(str(wanted)) if p.is_file()), "not there"

    def _copied(self, wanted: Path) -> list[str]:
        """Return the files that /etc/nginx/conf.d/*.conf means here, if conf.d lies in this folder."""
        parts = [part for part in wanted.parts[1:] if part not in ("..", "**")]
        for start in range(len(parts)):
            found = [p.resolve() for p in self.root.glob("/".join(parts[start:])) if p.is_file()]
            if found:
                return sorted(map(str, found))
        return []

    def read(self, name: str, unread: list[Unread]) -> list[Directive] | None:
        path = Path(name)
        return _parse(path, unread)[""] if path.is_relative_to(self.root) else None


class _Printed:
    """The files that `nginx -T` printed."""

    def __init__(self, files: dict[str, list[Directive]], main: str) -> None:
        self.files = files
        self.folder = posixpath.dirname(main)

    def find(self, pattern: str) -> tuple[list[str], str]:
        wanted = posixpath.normpath(posixpath.join(self.folder, pattern))
        return sorted(name for name in self.files if name and fnmatchcase(name, wanted)), "not printed"

    def read(self, name: str, unread: list[Unread]) -> list[Directive] | None:
        return self.files[name]


class _Includes:
    """Puts the directives of included files in place of each `include`."""

    def __init__(self, files: _Folder | _Printed, unread: list[Unread]) -> None:
        self.files = files
        self.unread = unread
        self.left = MOST_FILES

    def expanded(self, directives: list[Directive], stack: tuple[str, ...]) -> list[Directive]:
        """Return `directives` with included ones; `stack` holds the files that are being read."""
        result = []
        for d in directives:
            if d.name == "include" and d.block is None:
                result += self._included(d, stack)
            elif d.block is not None:
                result.append(replace(d, block=self.expanded(d.block, stack)))
            else:
                result.append(d)
        return result

    def _included(self, directive: Directive, stack: tuple[str, ...]) -> list[Directive]:
        pattern = directive.words[1] if len(directive.words) > 1 else ""
        names, why = self.files.find(pattern) if pattern else ([], "no name of a file")
        if not names and not (why.startswith("not ") and any(sign in pattern for sign in "*?[")):
            self.unread.append(directive.unread(f"include {pattern} ({why})"))  # a pattern may match nothing
        directives = []
        for name in names:
            if name in stack:
                why = "has been read already"
            elif len(stack) > DEEPEST_INCLUDE or not self.left:
                why = f"more than {DEEPEST_INCLUDE} deep, or than {MOST_FILES} files"
            else:
                self.left -= 1
                found = self.files.read(name, self.unread)
                if found is not None:
                    directives += self.expanded(found, (*stack, name))
                    continue
                why = "outside the file's folder"
            self.unread.append(directive.unread(f"include {posixpath.basename(name)} ({why})"))
        return directives
