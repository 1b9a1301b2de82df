"""Every problem of the config at once, in wrangler's layout.

    ✘ [ERROR] Processing wrangler.jsonc configuration:
        - wrangler.jsonc:3:3: Expected "name" to be of type string ...
        - "env.staging" environment configuration
          - wrangler.jsonc:14:5: "env.staging.kv_namespaces[0]" bindings should have ...

Severities are wrangler's (spec "wrangler configuration", section 2); a note is a warning that calls for no action.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

    from .parse import Document, Path
    from .worker_config import WorkerConfig

ERROR_MARK = "✘ [ERROR]"
WARNING_MARK = "▲ [WARNING]"
_PLACE = re.compile(r":\d+:\d+: ")
"""Between a file and what is said of it."""


@dataclass(slots=True)
class Diagnostics:
    """Problems found in one part of a file; parts nest as environments do."""

    title: str
    document: Document
    parts: list[Diagnostics] = field(default_factory=list)
    _found: list[_Found] = field(default_factory=list)

    def error(self, text: str, at: Path = ()) -> None:
        """The config cannot be used."""
        self._found.append(_Found("error", text, at))

    def warning(self, text: str, at: Path = ()) -> None:
        """The config can be used, but something in it has no effect or will surprise."""
        self._found.append(_Found("warning", text, at))

    def note(self, text: str, at: Path = ()) -> None:
        """Worth knowing; nothing to do while the Worker runs on Edge."""
        self._found.append(_Found("warning", f"note: {text}", at))

    def part(self, title: str) -> Diagnostics:
        """A nested part with a heading of its own, as `"env.staging" environment configuration`."""
        part = Diagnostics(title, self.document)
        self.parts.append(part)
        return part

    @property
    def has_errors(self) -> bool:
        return any(found.severity == "error" for found in self._found) or any(part.has_errors for part in self.parts)

    def has_error_in(self, at: Path) -> bool:
        """Was an error told of this value, or of something inside it?"""
        return any(found.at[: len(at)] == at for found in self._all("error"))

    def warnings(self) -> list[str]:
        """Every warning and note as `file:line:col: text`, in file order."""
        found = sorted(self._all("warning"), key=lambda one: self.document.offset(one.at))
        return [self._located(one) for one in found]

    def report(self) -> str:
        """The printed blocks: errors, then warnings; empty when there are none."""
        blocks = [
            f"{mark} {self.title}:\n" + "\n".join(lines)
            for mark, severity in ((ERROR_MARK, "error"), (WARNING_MARK, "warning"))
            if (lines := self._lines(severity, "    "))
        ]
        return "\n\n".join(blocks)

    def _lines(self, severity: str, indent: str) -> list[str]:
        lines = [bullet(self._located(one), indent) for one in self._found if one.severity == severity]
        for part in self.parts:
            if nested := part._lines(severity, indent + "  "):
                lines += [f"{indent}- {part.title}", *nested]
        return lines

    def _all(self, severity: str) -> Iterator[_Found]:
        yield from (one for one in self._found if one.severity == severity)
        for part in self.parts:
            yield from part._all(severity)

    def _located(self, found: _Found) -> str:
        return f"{self.document.where(found.at)}: {found.text}"


def bullet(text: str, indent: str = "    ") -> str:
    """One list item; further lines of the text are indented below it."""
    return f"{indent}- " + text.replace("\n", f"\n{indent}  ")


def warning_block(config: WorkerConfig) -> str:
    """What `edge check` prints when there are no errors (those are the text of ConfigError); "" when all is well."""
    if not config.warnings:
        return ""
    blocks: dict[str, list[str]] = {}
    for warning in config.warnings:  # those of edge.toml come last
        file = _PLACE.split(warning, maxsplit=1)[0]
        blocks.setdefault(file, []).append(bullet(warning))
    return "\n\n".join(
        f"{WARNING_MARK} Processing {file} configuration:\n" + "\n".join(lines) for file, lines in blocks.items()
    )


def shown(path: FilePath) -> str:
    """A path relative to the current folder when it is below it, else as it is."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


@dataclass(frozen=True, slots=True)
class _Found:
    severity: Literal["error", "warning"]
    text: str
    at: Path
