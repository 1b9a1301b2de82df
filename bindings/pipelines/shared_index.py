"""INSERTs that send a stream's records into one Elasticsearch index: there a document is named after its record.

So a record that two of them send becomes one document, the first. It is allowed, since their conditions may leave each
other's records out, but worth a warning. Source: spec "Pipelines" 5.6, `_id` from the offset.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .sql.statements import SqlError, parse_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Target:
    """Where documents are told apart by their names."""

    url: str
    index: str


def index_of(sink_type: str, config: Mapping[str, Any]) -> Target | None:
    """The index a sink writes to; None for a sink of another type."""
    url, index = config.get("url"), config.get("index")
    if sink_type != "elasticsearch" or not isinstance(url, str) or not isinstance(index, str):
        return None
    return Target(url.rstrip("/"), index)


def shared_index_warnings(
    pipelines: Iterable[tuple[str, str]], targets: Mapping[str, Target | None]
) -> Iterator[tuple[str, str]]:
    """Name of a pipeline, and a sentence; for each index that several INSERTs of one stream share, the last to come.

    Args:
        pipelines: name and SQL; SQL that cannot be parsed is left out.
        targets: by the sink's name.
    """
    senders: dict[tuple[str, Target], list[str]] = defaultdict(list)
    for name, sql in pipelines:
        try:
            inserts = parse_pipeline(sql)
        except SqlError:
            continue
        for one in inserts:
            if (target := targets.get(one.sink)) is not None:
                senders[one.stream, target].append(name)
    for (stream, target), names in senders.items():
        if len(names) > 1:
            text = (
                f'{len(names)} INSERTs send records of the stream "{stream}" to the index "{target.index}" of '
                f"{target.url} (pipelines: {', '.join(dict.fromkeys(names))}): a record that two of them send becomes "
                f"one document there, the first. Give each INSERT an index of its own."
            )
            yield names[-1], text
