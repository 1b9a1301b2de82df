"""Syslog lines, old and new, and ArcSight's Common Event Format, which often travels inside one.

Sources: RFC 3164 section 4.1, RFC 5424 section 6; "ArcSight Common Event Format", revision 26.
"""

from __future__ import annotations

import re
from typing import Any

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")

_PRIORITY = re.compile(r"<(\d{1,3})>")
_NEW = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (.*))?", re.DOTALL)
_OLD = re.compile(
    r"(?P<timestamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host>\S+) "
    r"(?:(?P<app>[^\s:\[]{1,64})(?:\[(?P<pid>\d+)\])?: ?)?(?P<message>.*)",
    re.DOTALL,
)
_ELEMENT = re.compile(r"\[([^\s\]=\"]+)((?:\s+[^\s=\"\]]+=\"(?:[^\"\\]|\\.)*\")*)\s*\]")
_PARAMETER = re.compile(r"([^\s=\"]+)=\"((?:[^\"\\]|\\.)*)\"")
_ESCAPED_VALUE = re.compile(r"\\([\"\\\]])")

_CEF_FIELD = re.compile(r"((?:[^|\\]|\\.)*)\|")
_CEF_KEY = re.compile(r"(?:^|\s)([A-Za-z0-9_.\[\]-]+)=")
_CEF_NAMES = ("device_vendor", "device_product", "device_version", "signature_id", "name", "severity")


def parse_syslog(text: str) -> dict[str, Any]:
    """facility, severity, timestamp, host, app, pid, message; of RFC 5424 also message_id and structured_data.

    The time stays as written: an old line names no year and no zone.

    Raises:
        ValueError: it is neither form.
    """
    priority = _PRIORITY.match(text)
    if priority is None or int(priority[1]) >= len(FACILITIES) * len(SEVERITIES):
        raise ValueError("no syslog line: it does not begin with a priority such as <34>")
    facility, severity = divmod(int(priority[1]), len(SEVERITIES))
    found: dict[str, Any] = {"facility": FACILITIES[facility], "severity": SEVERITIES[severity]}
    rest = text[priority.end() :]
    if new := _NEW.fullmatch(rest):
        names = ("timestamp", "host", "app", "pid", "message_id")
        found |= {name: value for name, value in zip(names, new.groups(), strict=False) if value != "-"}
        if new[6] != "-":
            found["structured_data"] = {
                element[1]: {name: _ESCAPED_VALUE.sub(r"\1", value) for name, value in _PARAMETER.findall(element[2])}
                for element in _ELEMENT.finditer(new[6])
            }
        found["message"] = (new[7] or "").removeprefix("\ufeff")
    elif old := _OLD.fullmatch(rest):
        found |= {name: value for name, value in old.groupdict().items() if value is not None}
    else:
        raise ValueError("no syslog line: neither RFC 3164 nor RFC 5424")
    return found


def parse_cef(text: str) -> dict[str, Any]:
    """The seven header fields by name, and the extension as an object.

    Raises:
        ValueError: there is no whole CEF header.
    """
    start = text.find("CEF:")
    if start < 0:
        raise ValueError('no CEF: "CEF:" is not in it')
    at = start + len("CEF:")
    fields: list[str] = []
    while len(fields) < 1 + len(_CEF_NAMES):
        match = _CEF_FIELD.match(text, at)
        if match is None:
            raise ValueError(f"no CEF: {len(fields)} header fields, expected {1 + len(_CEF_NAMES)}")
        fields.append(re.sub(r"\\([|\\])", r"\1", match[1]))
        at = match.end()
    found: dict[str, Any] = {"cef_version": fields[0], **dict(zip(_CEF_NAMES, fields[1:], strict=True))}
    found["extension"] = _extension(text[at:])
    return found


def _extension(text: str) -> dict[str, str]:
    """`src=10.0.0.1 msg=a text with spaces act=blocked`: a value ends where the next key begins."""
    keys = [match for match in _CEF_KEY.finditer(text) if text[match.end() - 2] != "\\"]
    ends = [match.start() for match in keys[1:]] + [len(text)]
    return {
        match[1]: re.sub(r"\\([=\\nr])", _unescaped, text[match.end() : end].strip())
        for match, end in zip(keys, ends, strict=True)
    }


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(match[1], match[1])
