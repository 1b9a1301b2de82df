"""What the engine's errors mean: for the author of the SQL when planning, for a dead letter when running.

The engine's texts quote values of the record; a dead letter's message must not. So a running error is told by its kind,
and only types are taken out of the text.
"""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from .growing_calls import MADE_TOO_MUCH
from .sql_error import SqlError, error_at
from .tree import Call, Cast, Column, Compound, Literal, SubQuery, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .statements import Insert
    from .tree import Expression, Item, Query


class EngineError(BackendError):
    """Raised when the SQL engine fails in a way that says nothing about the records."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """A panic of the engine is no Exception, and would end the whole process: inside, it is an EngineError."""
    try:
        yield
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":  # pyo3 exports the type nowhere
            raise
        raise EngineError(f"The SQL engine broke down: {exc}") from exc


def is_about_data(exc: Exception) -> bool:
    """Whether a query failed on the values it read, and not on memory or a defect."""
    text = str(exc)
    return MADE_TOO_MUCH in text or _NOT_DATA.search(text) is None


def row_message(exc: Exception) -> str:
    """Why a query fails on one record, without any value of it."""
    text = str(exc)
    if MADE_TOO_MUCH in text:
        return MADE_TOO_MUCH
    for pattern, message in _ROW_MESSAGES:
        match = pattern.search(text)
        if match is not None:
            return message.format(*match.groups())
    return "The SQL failed on this record."


def planning_error(insert: Insert, columns: Sequence[str], exc: Exception) -> SqlError:
    """The engine's refusal of a query, with the place of the name it is about."""
    text = _own_names_hidden(str(exc))
    if MADE_TOO_MUCH in text:
        text = MADE_TOO_MUCH
    missing = re.search(r"No field named (.+?)\.(?:\s|$)", text)
    if missing is not None:
        return _missing_column(insert, columns, missing.group(1))
    function = re.search(r"(?:Invalid function|[Ff]unction|call to) '(\w+)", text)
    if function is not None:
        for call in _expressions(insert.query):
            if isinstance(call, Call) and call.name == function.group(1):
                return error_at(insert.text, call.start, _first_sentences(text))
    return error_at(insert.text, _place_of(insert, text), _first_sentences(text))


def column_error(insert: Insert, name: str, message: str) -> SqlError:
    """The error for the item of the outermost SELECT that gives the column `name`, else for the SELECT."""
    select = insert.query.select
    for item in reversed(select.items):  # of two with one name the second is at fault
        if item.expression is not None and name_of(item, insert.text) == name:
            return error_at(insert.text, item.start, message)
    return error_at(insert.text, select.start, message)


def name_of(item: Item, text: str) -> str | None:
    """What a column is called; a computed one without a name by its own text."""
    if item.alias is not None or item.expression is None:
        return item.alias
    expression = item.expression
    return expression.names[-1] if isinstance(expression, Column) else " ".join(text[item.start : item.end].split())


def _missing_column(insert: Insert, columns: Sequence[str], shown: str) -> SqlError:
    names = tuple(re.findall(r'"((?:[^"]|"")+)"|([^.\s]+)', shown))
    name = (names[-1][0] or names[-1][1]) if names else shown
    close = [each for each in columns if each.lower() == name.lower()] or difflib.get_close_matches(name, columns, 1)
    message = f"There is no column {name}."
    if close and close[0].lower() == name.lower():
        message += f' Names fold to lower case unless quoted: write "{close[0]}".'
    elif close:
        message += f" Did you mean {close[0]}?"
    elif columns:
        message += f" The stream has: {', '.join(columns[:20])}{', ...' if len(columns) > 20 else ''}."
    for part in _expressions(insert.query):
        if isinstance(part, Column) and name in part.names:
            return error_at(insert.text, part.start, message)
    return error_at(insert.text, insert.query.select.start, message)


def _place_of(insert: Insert, text: str) -> int:
    """Where in the SQL is what the engine's text is about, by the name, type or constant it quotes."""
    select = insert.query.select
    same = re.search(r'and "(.+)" at position \d+ have the same name', text)
    if same is not None:
        name = same[1].rpartition(" AS ")[2].rpartition(".")[2].strip('"')
        return next((each.start for each in reversed(select.items) if name_of(each, insert.text) == name), select.start)
    kind = re.search(r"Unsupported SQL type (.+)", text)
    for part in _expressions(insert.query):
        if isinstance(part, Cast) and kind is not None and part.type_text.lower() == kind[1].strip().lower():
            return part.start
        if isinstance(part, Literal | Compound) and _constant(part, insert.text) in _quoted(text):
            return part.start
    if "Cannot create filter" in text and select.where is not None:
        return select.where.start
    return select.items[0].start if len(select.items) == 1 and select.where is None else select.start


def _constant(part: Literal | Compound, text: str) -> str | None:
    """A text in the SQL, `DATE '...'` and `INTERVAL '...'` included."""
    if isinstance(part, Literal):
        return part.value if isinstance(part.value, str) else None
    quoted = re.fullmatch(r"\w+\s+'(.*)'", text[part.start : part.end], re.DOTALL)
    return quoted[1] if quoted and part.operator in ("typed literal", "interval") else None


def _quoted(text: str) -> set[str]:
    return {one or other for one, other in re.findall(r"'([^']+)'|\"([^\"]+)\"", text)}


def _expressions(query: Query) -> Iterator[Expression]:
    for common in query.common_tables:
        yield from _expressions(common.query)
    if isinstance(query.select.source, SubQuery):
        yield from _expressions(query.select.source.query)
    for item in query.select.items:
        if item.expression is not None:
            yield from walk(item.expression)
    if query.select.where is not None:
        yield from walk(query.select.where)


def _own_names_hidden(text: str) -> str:
    text = re.sub(r"__edge_json_call_\d+", "a JSON function", text)
    return re.sub(r'"?__edge_\w+"?', "a value", text)


def _first_sentences(text: str) -> str:
    """Without the engine's own headings and its list of candidate functions."""
    text = text.rsplit("caused by\n", maxsplit=1)[-1]
    text = re.sub(r"^(?:DataFusion error: )?(?:[A-Z][\w ]{3,40}: )+", "", text)
    text = text.split("\n")[0].split(" No function matches")[0].strip()
    return text if text.endswith((".", "?")) else f"{text}."


_NOT_DATA = re.compile("Resources exhausted|Internal error|External error|Not enough memory|PyErr|Traceback")
_ROW_MESSAGES = [
    (re.compile(r"[Cc]annot cast string '.*' to value of (\w+) type", re.DOTALL), "A text cannot be cast to {0}."),
    (re.compile(r"[Cc]annot cast (?:value|string) .* (?:to|as) (\w+)$", re.DOTALL), "A value cannot be cast to {0}."),
    (re.compile(r"[Cc]an't cast value .* to type (\w+)", re.DOTALL), "A value is out of the range of {0}."),
    (re.compile(r"[Cc]annot cast value '.*' to value of (\w+) type", re.DOTALL), "A text cannot be cast to {0}."),
    (re.compile("[Dd]ivide by zero|division by zero"), "A number is divided by zero."),
    (re.compile("Error parsing timestamp|timestamp"), "A text is no timestamp of the expected form."),
    (re.compile("Error parsing date|[Dd]ate32|[Dd]ate64"), "A text is no date."),
    (re.compile("[Oo]verflow|out of range|too large"), "A number is too large for its type."),
    (re.compile("[Bb]ase64"), "A text is no base64."),
    (re.compile("[Hh]ex"), "A text is no hexadecimal."),
    (re.compile("[Uu][Tt][Ff]-?8"), "Bytes are no UTF-8 text."),
    (re.compile("[Rr]egex|[Rr]egular expression"), "A text is no regular expression."),
    (re.compile("[Dd]ecimal"), "A number does not fit its decimal type."),
    (re.compile(r"Arrow error: (\w[\w ]*?) error:"), "The SQL failed on this record ({0} error)."),
]
