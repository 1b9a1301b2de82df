"""What tells one INSERT from another: its id has one account of what is in a sink, and names the files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.admin import table_names
from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.delivery.plan import decide_plan
from edge.bindings.pipelines.objects import PipelineObject, SinkObject, StreamObject

if TYPE_CHECKING:
    from pathlib import Path

SQL = "INSERT INTO far SELECT * FROM flights"
PIPELINE = PipelineObject("c" * 32, "p", SQL, created_at=1.25, modified_at=1.25)


@pytest.mark.parametrize(("what", "is_same"), [("pipeline", True), ("stream", False), ("sink", False)])
def test_a_pipeline_made_anew_goes_on_a_stream_or_a_sink_is_another_one(
    tmp_path: Path, what: str, is_same: bool
) -> None:
    with closing(Catalogue(tmp_path)) as catalogue:
        catalogue.add_stream(StreamObject("a" * 32, "flights", 1.0, 1.0))
        catalogue.add_sink(SinkObject("b" * 32, "far", "local", 1.0, 1.0, {"path": "out"}))
        catalogue.add_pipeline(PIPELINE, table_names(SQL))
        (first,) = decide_plan(catalogue)
        assert [*decide_plan(catalogue)] == [first]
        catalogue.delete_pipeline(PIPELINE.id)
        if what == "stream":
            catalogue.delete_stream("a" * 32)
            catalogue.add_stream(StreamObject("a" * 32, "flights", 2.0, 2.0))
        if what == "sink":
            catalogue.delete_sink("b" * 32)
            catalogue.add_sink(SinkObject("b" * 32, "far", "local", 2.0, 2.0, {"path": "out"}))
        catalogue.add_pipeline(replace(PIPELINE, created_at=2.5), table_names(SQL))
        (second,) = decide_plan(catalogue)
    assert (second == first) is is_same
    with closing(Catalogue(tmp_path)) as catalogue:  # as another process reads it
        assert [*decide_plan(catalogue)] == [second]


def test_inserts_that_change_places_keep_their_accounts(tmp_path: Path) -> None:
    a, b = "INSERT INTO a SELECT n FROM s", "INSERT INTO b SELECT n FROM s"
    with closing(Catalogue(tmp_path)) as catalogue:
        catalogue.add_stream(StreamObject("a" * 32, "s", 1.0, 1.0))
        for name in "ab":
            catalogue.add_sink(SinkObject(name * 31 + "0", name, "local", 1.0, 1.0, {"path": name}))
        sql = f"{a}; {a}; {b}"
        catalogue.add_pipeline(replace(PIPELINE, sql=sql), table_names(sql))
        first = {plan.key.id: plan.key.position for plan in decide_plan(catalogue).values()}
        sql = f"{b}; {a}"
        catalogue.change_pipeline(replace(PIPELINE, sql=sql, version=2), table_names(sql))
        second = {plan.key.id: plan.key.position for plan in decide_plan(catalogue).values()}
    of_a, also_a, of_b = sorted(first, key=lambda insert: first[insert])
    assert second == {of_b: 0, of_a: 1}
    assert also_a not in second
