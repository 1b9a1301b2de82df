"""What an entry class may declare, on a section no product owns."""

from __future__ import annotations

import json
from collections.abc import Iterator  # noqa: TC003 - annotations are read at run time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import pytest

from edge.runtime.core.errors import ConfigError
from edge.wrangler_config.load import load
from edge.wrangler_config.section import Problem

if TYPE_CHECKING:
    from conftest import Project

    from edge.wrangler_config.worker_config import WorkerConfig


@dataclass(frozen=True, slots=True)
class Lamp:
    PHRASES: ClassVar[dict[str, str]] = {"watts": "must have a"}

    binding: str
    watts: float
    color: Literal["warm", "cold"] = "warm"
    rooms: tuple[str, ...] = field(default_factory=tuple)
    is_on: bool | None = None

    @property
    def env_name(self) -> str:
        return self.binding

    def problems(self, name: str, got: str) -> Iterator[Problem]:
        if self.watts > 100:
            yield Problem(f'"{name}" is too bright: {got}.')
        elif self.watts > 50:
            yield Problem(f'"{name}" is bright.', field="watts", is_error=False)


def load_lamps(project: Project, *lamps: object) -> WorkerConfig:
    project.write("wrangler.jsonc", json.dumps({"main": "entry.py", "compatibility_flags": [], "lamps": lamps}))
    return load(None, environment=None, sections={"lamps": Lamp}, start=project.folder)


def test_a_section_wrangler_does_not_know_is_read(project: Project) -> None:
    config = load_lamps(project, {"binding": "A", "watts": 5, "rooms": ["hall"]}, {"binding": "B", "watts": 1.5})
    assert config.bindings == {"lamps": (Lamp("A", 5, rooms=("hall",)), Lamp("B", 1.5))}
    assert "lamps" not in "".join(config.warnings)


@pytest.mark.parametrize(
    ("lamp", "text"),
    [
        ({"watts": 1}, '"lamps[0]" bindings should have a string "binding" field but got {"watts":1}.'),
        ({"binding": "A"}, '"lamps[0]" bindings must have a number "watts" field but got {"binding":"A"}.'),
        (
            {"binding": "A", "watts": 1, "rooms": [1]},
            (
                '"lamps[0]" bindings should, optionally, have a string array "rooms" field but got '
                '{"binding":"A","watts":1,"rooms":[1]}.'
            ),
        ),
        (
            {"binding": "A", "watts": 1, "is_on": "x"},
            '"lamps[0]" bindings should, optionally, have a boolean "is_on" field but got ',
        ),
        (
            {"binding": "A", "watts": 1, "color": "red"},
            'Expected "lamps[0].color" field to be one of ["warm","cold"] but got "red".',
        ),
        ({"binding": "A", "watts": 200}, '"lamps[0]" is too bright: {"binding":"A","watts":200}.'),
    ],
)
def test_types_are_checked_in_the_entrys_words(project: Project, lamp: object, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_lamps(project, lamp)
    assert text in str(refused.value)


def test_a_warning_of_the_entry_stands_at_its_field(project: Project) -> None:
    config = load_lamps(project, {"binding": "A", "watts": 60})
    assert 'wrangler.jsonc:1:76: "lamps[0]" is bright.' in config.warnings


def test_checks_of_the_entry_wait_for_sound_types(project: Project) -> None:
    with pytest.raises(ConfigError) as refused:
        load_lamps(project, {"binding": "A", "watts": "x"})
    assert "bright" not in str(refused.value)
