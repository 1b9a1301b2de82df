"""What tells one INSERT from another: files are named after its id, and count from 1 for each."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.bindings.pipelines.admin import table_names
from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.delivery.plan import decide_plan
from edge.bindings.pipelines.objects import PipelineObject, SinkObject, StreamObject

if TYPE_CHECKING:
    from pathlib import Path

SQL = "INSERT INTO far SELECT * FROM flights"
PIPELINE = PipelineObject("c" * 32, "p", SQL, created_at=1.25, modified_at=1.25)


def test_a_pipeline_made_anew_under_its_name_is_another_one(tmp_path: Path) -> None:
    with closing(Catalogue(tmp_path)) as catalogue:
        catalogue.add_stream(StreamObject("a" * 32, "flights", 1.0, 1.0))
        catalogue.add_sink(SinkObject("b" * 32, "far", "local", 1.0, 1.0, {"path": "out"}))
        catalogue.add_pipeline(PIPELINE, table_names(SQL))
        (first,) = decide_plan(catalogue)
        assert [*decide_plan(catalogue)] == [first]
        catalogue.delete_pipeline(PIPELINE.id)
        catalogue.add_pipeline(replace(PIPELINE, created_at=2.5), table_names(SQL))
        (second,) = decide_plan(catalogue)
    assert second != first
    with closing(Catalogue(tmp_path)) as catalogue:  # as another process reads it
        assert [*decide_plan(catalogue)] == [second]
