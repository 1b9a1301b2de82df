"""The syntax of `.env` and `.dev.vars`.

    # a comment
    export NAME=plain text        # trailing comments end a plain value
    QUOTED='as it is'  ESCAPED="line\\nbreak"
    URL=https://${NAME}/${PORT:-8080}

Source: the npm packages dotenv (its LINE pattern) and dotenv-expand, which wrangler uses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE = re.compile(
    r"""^[^\S\n]*(?:export\s+)?([\w.-]+)(?:\s*=[^\S\n]*|:\s+)"""
    r"""('(?:\\'|[^'])*'|"(?:\\"|[^"])*"|`(?:\\`|[^`])*`|[^#\n]+)?"""
    r"""[^\S\n]*(?:\#.*)?$""",
    re.ASCII | re.MULTILINE,
)
_REFERENCE = re.compile(r"\\\$|\$\{([A-Za-z_]\w*)(?::?-([^{}]*))?\}|\$([A-Za-z_]\w*)", re.ASCII)


def parse_dotenv(text: str) -> dict[str, str]:
    """Name -> value; of a name given twice the last counts. Lines that are no assignment are skipped, as by dotenv."""
    return {match[1]: _unquoted((match[2] or "").strip()) for match in _LINE.finditer(text)}


def expand(values: Mapping[str, str], outside: Mapping[str, str]) -> dict[str, str]:
    """Values with `${NAME}`, `${NAME:-default}` and `$NAME` replaced: from the values before it, else from `outside`.

    An unknown name becomes the default, else nothing; `\\$` is a dollar sign.
    """
    expanded: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        if match[0] == r"\$":
            return "$"
        name = match[1] or match[3]
        return expanded.get(name) or outside.get(name) or values.get(name) or match[2] or ""

    for name, value in values.items():
        expanded[name] = _REFERENCE.sub(replaced, value)
    return expanded


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote not in ("'", '"', "`") or len(value) < 2 or not value.endswith(quote):
        return value
    inner = value[1:-1]
    return inner.replace("\\n", "\n").replace("\\r", "\r") if quote == '"' else inner
