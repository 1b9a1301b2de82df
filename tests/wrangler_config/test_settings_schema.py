"""The JSON Schema of edge.toml says what the checks say."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from edge.runtime.core.errors import ConfigError
from edge.runtime.serve import product_settings
from edge.wrangler_config.settings_schema import settings_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Project

GOOD = """
[server]
allowed_hosts = ["a.test"]
[limits]
body_bytes = 5
[aws]
region = { env = "EDGE_TEST_NAME" }
stream_names = { S = "name" }
[streams.flights]
http = { enabled = true, authentication = false, cors = { origins = ["*"] } }
retention = { seconds = 60 }
[[streams.flights.schema.fields]]
name = "carrier"
type = "list"
items = { type = "string" }
[sinks.far]
type = "local"
path = "out/far"
format = { type = "parquet", compression = "zstd" }
rolling_policy = { interval_seconds = 5, file_size_bytes = 104857600 }
[sinks.search]
type = "elasticsearch"
url = "https://search.example.com"
index = { env = "EDGE_TEST_NAME" }
api_key = { env = "EDGE_TEST_NAME" }
[[pipelines]]
name = "far"
sql = "INSERT INTO far SELECT * FROM flights"
[[ingest.steps]]
type = "mask"
detectors = ["email"]
[env.prod.streams.flights]
validation = "strict"
"""
BAD = [
    "[limits]\nbody_bytes = 'x'",
    "[limits]\nbody_byte = 5",
    "[stream.a]",
    "[streams.a]\nvalidation = 'lax'",
    "[streams.a]\nhttp = { enable = true }",
    "[streams.a.schema]\nfields = [{ name = 'b', type = 'strng' }]",
    "[sinks.a]\npath = 'x'",
    "[sinks.a]\ntype = 'locl'\npath = 'x'",
    "[sinks.a]\ntype = 'local'",
    "[sinks.a]\ntype = 'local'\npath = 'x'\nbucket = 'y'",
    "[sinks.a]\ntype = 'elasticsearch'\nurl = 'https://a.test'\nindex = 'x'\napi_key = 'hush'",
    "[pipelines]",
    "[[pipelines]]\nsql = 'x'",
    "[[ingest.steps]]\ntype = 'maks'",
    "[env.prod.streams.a]\nvalidation = 'lax'",
]


@pytest.fixture(scope="module")
def problems() -> Callable[[str], list[Any]]:
    validator = Draft202012Validator(settings_schema(product_settings()))
    return lambda text: list(validator.iter_errors(tomllib.loads(text)))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(settings_schema(product_settings()))


def test_what_the_checks_take_the_schema_takes(
    project: Project, problems: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_TEST_NAME", "x")
    project.config(env={"prod": {}})
    project.write("edge.toml", GOOD)
    assert project.load().warnings == project.load("prod").warnings == ()
    assert problems(GOOD) == []


@pytest.mark.parametrize("text", BAD)
def test_what_the_checks_refuse_or_warn_of_the_schema_marks(
    project: Project, problems: Callable[[str], list[Any]], text: str
) -> None:
    project.config(env={"prod": {}})
    project.write("edge.toml", text)
    try:
        found = project.load("prod").warnings
    except ConfigError as error:
        found = (str(error),)
    assert found
    assert problems(text)


def test_the_key_that_names_the_schema_is_known(project: Project) -> None:
    project.config()
    project.write("edge.jsonc", '{"$schema": "./edge.schema.json"}')
    assert project.load().warnings == ()
