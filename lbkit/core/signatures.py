"""Signatures of attacks: a small table, each with an id, a score, and the reason that it is there.

They are matched against *plain* text (`lbkit.core.plain_text.plain`): decoded, in lower case, without SQL
comments, each run of spaces and control characters made one space. So a pattern needs no case, no encodings,
and one optional space where an attacker may put many; and as no repetition in it is unbounded, its time is
linear in the text (a test looks for unbounded ones, and measures).

Scores are those of the OWASP Core Rule Set: 5 critical, 4 error, 3 warning, 2 notice; a request is refused
from 5 on. What also occurs in ordinary text scores less, so that it takes two such things together.

Sources: OWASP Web Security Testing Guide (WSTG) and cheat sheets; MITRE's CWE and CAPEC. The patterns are
this project's own, and few: real rule sets have hundreds.
"""

from __future__ import annotations

import re
from enum import Flag, auto
from typing import NamedTuple


class Where(Flag):
    """The parts of a request that a signature is for."""

    PATH = auto()
    ARGUMENT = auto()  # names and values in the query and in the body
    FIELD = auto()  # values of header fields, but for User-Agent
    AGENT = auto()  # User-Agent


class Signature(NamedTuple):
    id: int
    attack: str
    score: int
    where: Where
    pattern: re.Pattern[str]
    why: str


_INPUT = Where.ARGUMENT | Where.FIELD | Where.PATH
_ALL = _INPUT | Where.AGENT
_Q = "['\"`]"
_END = rf"{_Q}[ )]{{0,3}}"  # of a text in SQL
_EVENTS = (
    r"on(?:error|load|click|focus|blur|toggle|mouse[a-z]{2,6}|key[a-z]{2,5}|pointer[a-z]{2,6}"
    r"|animation[a-z]{3,9}) ?="
)
_FILES = (
    r"(?:etc[/\\](?:passwd|shadow|group|hosts)\b|proc[/\\]self[/\\]|windows[/\\](?:win\.ini|system32)"
    r"|boot\.ini)"
)
_COMMANDS = r"(?:cat|ls|id|wget|curl|nc|bash|sh|whoami|ping|uname|python3?|powershell)"
_SCANNERS = (
    r"\b(?:acunetix|arachni|dirbuster|feroxbuster|ffuf|gobuster|havij|jaeles|masscan|nessus|netsparker|nikto"
    r"|nuclei|openvas|sqlmap|w3af|whatweb|wpscan|zgrab)\b"
)

# An id, the kind of attack, the score, where it is looked for, the reason, and the pattern.
_TABLE: tuple[tuple[int, str, int, Where, str, str], ...] = (
    # -- SQL injection (CWE-89; WSTG-INPV-05)
    (1001, "sqli", 5, _ALL, "UNION SELECT, and columns: it adds rows of another table",
     r"\bunion[ (]{1,3}(?:all|distinct)?[ (]{0,3}select\b ?"
     r"(?:\d|null\b|[('@*]|[\w.()]{1,40} ?,|.{1,60}\bfrom\b)"),
    (1002, "sqli", 5, _ALL, "a quote ends the text, and a condition follows",
     rf"{_END}(?:or|and|\|\||&&)[ (]{{0,3}}(?:not )?{_Q}?[\w.]{{0,20}}{_Q}? ?(?:[=<>]|like |is |in ?\()"),
    (1003, "sqli", 5, _ALL, "a condition that is always true: or 1=1",
     r"\b(?:or|and)[ (]{1,3}(\d{1,8}) ?= ?\1(?!\d)"),
    (1004, "sqli", 5, _ALL, "a number and a condition, where a number is expected",
     r"^-?\d{1,10}[ )]{1,3}(?:or|and)\b[ (]{1,3}(?:not )?[\w'\"(),]{1,60} ?[=<>]"),
    (1005, "sqli", 5, _ALL, "a quote ends the text, and a comment hides the rest of the statement",
     rf"\w{_END};? ?(?:--|#)[ -]{{0,3}}$"),
    (1006, "sqli", 2, _INPUT, "a comment at the end; also C#",
     r"[\w)] ?(?:--[ -]{0,2}|#)$"),
    (1007, "sqli", 5, _ALL, "a second statement",
     r"; ?(?:(?:drop|alter|create|truncate) (?:table|database|view|user)\b|insert into\b|delete from\b"
     r"|update \w{1,40} set\b|exec(?:ute)?[ (]|shutdown\b|declare @)"),
    (1008, "sqli", 5, _ALL, "it makes the database wait: the time is the answer (blind injection)",
     r"(?:\b(?:and|or|select|if)|[,;'\"(]) ?\(? ?(?:select ?\(? ?)?(?:pg_)?sleep ?\( ?\d"
     r"|\bwaitfor delay ?['\"]|\bbenchmark ?\( ?\d{3}|\bdbms_pipe\.receive_message"),
    (1009, "sqli", 5, _ALL, "functions that read files, run programs or put data into errors",
     r"\b(?:extractvalue|updatexml|load_file|xp_cmdshell|utl_http\.request|sys_exec) ?[('\"]"
     r"|\binto (?:out|dump)file ?['\"]"),
    (1010, "sqli", 3, _ALL, "tables that list the tables; also in questions about SQL",
     r"\b(?:information_schema|sqlite_master|pg_catalog|all_tables)\b|@@(?:version|datadir|hostname)"),
    (1011, "sqli", 2, _ALL, "a query; also plain English",
     r"\bselect\b.{1,80}\bfrom\b"),
    (1012, "sqli", 3, _ALL, "a query in parentheses",
     r"\( ?select (?:\*|[\w.,@() ]{1,60}) from [\w.]{1,40} ?(?:\)|where|limit)"),
    (1013, "sqli", 3, _ALL, "it counts the columns",
     rf"(?:{_Q}|\d)[ )]{{1,3}}(?:order|group) by \d{{1,3}}\b"),
    (1014, "sqli", 5, _ALL, "a quote ends the text, and an expression follows",
     rf"{_Q} ?(?:;|\|\||\+) ?(?:\(? ?select\b|(?:char|chr|concat|ascii|substr(?:ing)?) ?\()"),
    (1015, "nosqli", 5, _ALL, "operators of a document database in place of a value (CWE-943)",
     r"\[ ?\$(?:ne|gte?|lte?|in|nin|regex|where|exists)\]|\"\$(?:ne|gte?|lte?|nin|regex|where)\" ?:"),
    # -- cross-site scripting (CWE-79; WSTG-INPV-01; OWASP XSS filter evasion cheat sheet)
    (2001, "xss", 5, _ALL, "a script element",
     r"< ?/? ?script\b"),
    (2002, "xss", 5, _ALL, "an element with an event handler",
     r"<[a-z!?/][^>]{0,150}[ /\"'`]on[a-z]{3,24} ?="),
    (2003, "xss", 5, _ALL, "a quote ends an attribute, and a handler follows",
     rf"{_Q}[ />]{{0,3}}{_EVENTS}"),
    (2004, "xss", 5, _ALL, "a URL that is a program",
     r"j ?a ?v ?a ?s ?c ?r ?i ?p ?t ?: ?(?://)?[\w.$%\[\]]{1,40} ?[(=`]|\bvbscript ?: ?\w{1,20} ?\("),
    (2005, "xss", 5, _ALL, "a URL that is a page",
     r"data ?: ?text/html ?[;,]"),
    (2006, "xss", 5, _ALL, "an element that loads from elsewhere",
     r"<(?:iframe|frame|object|embed|base|meta|applet)[ /][^>]{0,120}"
     r"(?:src|srcdoc|data|href|http-equiv|code) ?="),
    (2007, "xss", 3, _ALL, "calls that injected scripts make; also in questions about them",
     r"\b(?:alert|prompt|confirm|eval|settimeout|fetch|atob) ?[(`]"
     r"|\bdocument\.(?:cookie|domain|location|write)|\bwindow\.(?:location|open)|\bstring\.fromcharcode"),
    (2008, "xss", 2, _ALL, "HTML; also in texts about it",
     r"<(?:img|svg|a|body|input|video|audio|details|math|form|style|link|marquee)\b"),
    (2009, "xss", 3, _ALL, "a quote ends a text of a program",
     rf"{_Q} ?[;+-] ?[\w.]{{1,30}} ?[(`].{{0,60}}(?:[;+-]|//)"),
    # -- path traversal (CWE-22; WSTG-ATHZ-01)
    (3001, "traversal", 5, _INPUT, "two folders up; links of browsers arrive resolved",
     r"(?:\.\.[/\\]{1,3}){2}"),
    (3002, "traversal", 3, _INPUT, "one folder up; also in relative links",
     r"(?:^|[/\\=])\.\.(?:[/\\]|$)"),
    (3003, "traversal", 5, Where.PATH, "files that no site serves",
     rf"[/\\]{_FILES}"),
    (3004, "traversal", 5, Where.ARGUMENT, "such a file as the value",
     rf"^(?:file:/{{0,3}})?(?:[a-z]:)?[/\\.]{{1,20}}{_FILES}"),
    (3005, "traversal", 5, Where.PATH, "files of developers, and secrets (CWE-538)",
     r"/\.(?:git|svn|hg|env|ssh|aws|htpasswd|htaccess)(?:[/.]|$)|/wp-config\.php|/web\.config$"),
    (3006, "traversal", 5, _INPUT, "two dots, disguised: ..;/ for Java, ....// where ../ is removed once",
     r"\.\.;[/\\]|\.{4,8}[/\\]{2,4}"),
    # -- other injections
    (4001, "rce", 5, _ALL, "a lookup that Log4j carried out (CVE-2021-44228)",
     r"\$\{ ?(?:jndi ?:|(?:lower|upper|env|sys|date) ?:|\$\{)"),
    (4002, "rce", 5, _ALL, "a command after the end of another (CWE-78)",
     rf"(?:[;|&`]|\$\() ?(?:/(?:usr/)?s?bin/)?{_COMMANDS}(?: -{{1,2}}\w| [/.]| \d| http|[;|&`)]|$)"),
    (4003, "rce", 5, _ALL, "PHP's streams and code (CWE-98)",
     r"\b(?:php|phar|expect|zip)://|<\?(?:php\b|=)"),
    (4004, "rce", 3, _ALL, "code of a template (CWE-1336); also in texts about them",
     r"\{\{.{1,60}\}\}|<%=.{1,60}%>"),
    (4005, "ssrf", 5, Where.ARGUMENT, "addresses that only the server reaches (CWE-918)",
     r"\b169\.254\.169\.254\b|\bmetadata\.google\.internal\b|^(?:gopher|dict|ldap)://"),
    # -- scanners
    (5001, "bot", 5, Where.AGENT, "a scanner that says so",
     _SCANNERS),
)  # fmt: skip

SIGNATURES = tuple(
    Signature(number, attack, score, where, re.compile(pattern, re.DOTALL), why)
    for number, attack, score, where, why, pattern in _TABLE
)
