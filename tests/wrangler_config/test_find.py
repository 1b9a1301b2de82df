"""Which file is read, and what is said when it cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.runtime.core.errors import ConfigError
from edge.wrangler_config.parse import FILE_BYTES_MAX

if TYPE_CHECKING:
    from conftest import Project

JSON = '{"name": "%s", "main": "entry.py", "compatibility_flags": ["python_workers"]}'
TOML = 'name = "%s"\nmain = "entry.py"\ncompatibility_flags = ["python_workers"]\n'


def test_each_name_is_sought_through_all_parents_before_the_next(project: Project) -> None:
    project.write("wrangler.json", JSON % "above")
    project.write("a/wrangler.jsonc", JSON % "near")
    project.write("a/b/wrangler.toml", TOML % "here")
    project.folder /= "a/b"
    config = project.load()
    assert config.name == "above"
    assert config.warnings == (
        "wrangler.json:1:1: note: wrangler.json is used, not a/b/wrangler.toml. Name another one with --config.",
    )


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.jsonc", "wrangler.toml"])
def test_a_parents_file_is_found(project: Project, name: str) -> None:
    project.write(name, (TOML if name.endswith("toml") else JSON) % "above")
    project.folder /= "a/b"
    assert project.load().name == "above"


def test_first_of_several_in_one_folder_wins_and_the_others_are_named(project: Project) -> None:
    project.write("wrangler.json", JSON % "one")
    project.write("wrangler.toml", TOML % "two")
    config = project.load()
    assert config.name == "one"
    assert config.warnings == (
        "wrangler.json:1:1: note: wrangler.json is used, not wrangler.toml. Name another one with --config.",
    )


def test_no_config_says_how_to_get_one(project: Project) -> None:
    assert project.refusal() == (
        "✘ [ERROR] No wrangler.json, wrangler.jsonc or wrangler.toml in . or a folder above it.\n\n"
        "    Start a project with `edge init`, or name a file with --config."
    )


def test_a_named_config_is_used_as_it_is(project: Project) -> None:
    project.write("wrangler.json", JSON % "one")
    path = project.write("sub/my.toml", TOML % "two")
    project.write("sub/entry.py", "")
    config = project.load(path=path)
    assert (config.name, config.path, config.main, config.warnings) == ("two", path, path.with_name("entry.py"), ())


def test_a_named_config_that_is_not_there(project: Project) -> None:
    with pytest.raises(ConfigError) as refused:
        project.load(path=project.folder / "nope.jsonc")
    assert str(refused.value) == "✘ [ERROR] Could not read file: nope.jsonc\n\n    No such file or directory"


def test_a_folder_in_place_of_the_file(project: Project) -> None:
    (project.folder / "conf.jsonc").mkdir()
    with pytest.raises(ConfigError, match=r"Could not read file: conf.jsonc\n\n    Is a directory"):
        project.load(path=project.folder / "conf.jsonc")


def test_a_file_that_cannot_be_opened(project: Project) -> None:
    (project.folder / "conf.jsonc").symlink_to("conf.jsonc")
    with pytest.raises(ConfigError, match=r"Could not read file: conf.jsonc\n\n    Too many levels of symbolic links"):
        project.load(path=project.folder / "conf.jsonc")


def test_a_file_that_is_no_utf8(project: Project) -> None:
    project.write("wrangler.jsonc", b'{\n "name": "\xff"}')
    assert project.refusal() == (
        "✘ [ERROR] wrangler.jsonc is not UTF-8\n\n"
        "    wrangler.jsonc:2:11: byte 0xff starts no character. Save the file as UTF-8."
    )


def test_a_file_larger_than_any_config(project: Project) -> None:
    project.write("wrangler.jsonc", b" " * (FILE_BYTES_MAX + 1))
    assert "It is larger than 4194304 bytes." in project.refusal()


def test_an_empty_file_and_a_byte_order_mark(project: Project) -> None:
    project.write("wrangler.jsonc", b"")
    assert project.refusal().startswith("✘ [ERROR] ValueExpected\n\n    wrangler.jsonc:1:1:\n")
    project.write("wrangler.jsonc", b"\xef\xbb\xbf" + (JSON % "marked").encode())
    assert project.load().name == "marked"


def test_syntax_error_shows_the_source_line_with_a_mark(project: Project) -> None:
    project.write("wrangler.jsonc", '{\n  "name" "demo"\n}')
    assert project.refusal() == (
        '✘ [ERROR] ColonExpected\n\n    wrangler.jsonc:2:10:\n      2 │   "name" "demo"\n        ╵          ~'
    )


def test_both_settings_files_are_an_error(project: Project) -> None:
    project.config()
    project.write("edge.toml", "")
    project.write("edge.jsonc", "{}")
    assert project.refusal() == (
        "✘ [ERROR] Both edge.toml and edge.jsonc exist.\n\n"
        "    Edge reads one settings file. Move everything into one of them and delete the other."
    )
