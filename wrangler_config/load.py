"""The one door: text -> WorkerConfig, or ConfigError with every problem at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.core.errors import ConfigError
from .diagnostics import Diagnostics, shown
from .entries import check_names, check_sections, entries_of, unsupported_names
from .environments import Levels, choose_levels, warn_of_not_inherited
from .find import find_environment, find_settings_file, find_wrangler_file, overlooked_files
from .level_checks import check_level
from .parse import Document, Located, read_document
from .section import SettingsPlace
from .variables import Variables, VariableSources, resolve_variables
from .worker_config import LOCAL_ACCOUNT_ID, CheckedSettings, DevSettings, WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .section import Problem, ProductSettings, ReadProducts

DEFAULT_NAME = "worker"
"""Of a Worker whose file gives none, as in `wrangler dev`."""
PORT_MAX = 65535
EDGES_MODULES = frozenset({"edge", "js", "pyodide", "workers"})
"""Modules that Edge puts before the user's."""


def load(
    path: Path | None,
    *,
    environment: str | None,
    sections: Mapping[str, type[Any]],
    products: Callable[[], Sequence[ProductSettings]] = tuple,
    further: Callable[[ReadProducts], Sequence[Problem]] | None = None,
    start: Path | None = None,
    var_overrides: Mapping[str, str] | None = None,
    env_files: Sequence[Path] = (),
    is_strict: bool = False,
) -> WorkerConfig:
    """Find, read and check the config of one Worker.

    Args:
        path: the wrangler file; None searches from `start` upwards.
        environment: `--env`; None asks CLOUDFLARE_ENV, "" is the top level.
        sections: binding section -> its entry dataclass (section.py says what one may declare).
        products: what sections of edge.toml bindings bring; asked only where there is such a file.
        further: what else is wrong in those sections, where something is declared; its problems are told with the rest.
        start: where the search begins; the current folder by default.
        var_overrides: `--var NAME:value`.
        env_files: `--env-file`, in place of .dev.vars and .env.
        is_strict: `--compat strict`: what works on Edge only is an error.

    Raises:
        ConfigError: there is no config, or it cannot be used. The text is the whole report, ready to print.
    """
    start = (start or Path.cwd()).absolute()
    file = path.absolute() if path else find_wrangler_file(start)
    document = read_document(file)
    report = Diagnostics(f"Processing {document.name} configuration", document)
    if path is None and (others := overlooked_files(file, start)):
        report.note(f"{document.name} is used, not {', '.join(map(shown, others))}. Name another one with --config.")
    levels = _check_wrangler_file(document, find_environment(environment), sections, report)
    declared, required = _declared_vars(levels), _required_secrets(levels)
    variables = resolve_variables(
        declared, required, VariableSources(file.parent, levels.environment, env_files, var_overrides or {})
    )
    bindings = {} if report.has_errors else entries_of(levels, sections)
    main = levels.effective("main").value
    main = file.parent / main if isinstance(main, str) and main else None
    place = SettingsPlace(file.parent, file.name, None if report.has_errors else bindings, main, is_strict)
    checked, settings_report = _load_settings(place, levels.environment, variables.values, products, further)
    _require_whole(report, settings_report)
    unsupported = unsupported_names(levels, sections, report)
    _warn_of_variables(variables, {e.env_name for es in bindings.values() for e in es} | {*unsupported}, report)
    dev = _dev_settings(levels, report)
    settings_files = [settings_report.document.path, *checked.files] if settings_report else []
    return WorkerConfig(
        path=file,
        name=levels.worker_name or DEFAULT_NAME,
        main=main,
        environment=levels.environment,
        compatibility_date=levels.effective("compatibility_date").value,
        compatibility_flags=tuple(levels.effective("compatibility_flags").value or ()),
        vars=variables.values,
        secret_names=variables.secret_names,
        bindings=bindings,
        unsupported=unsupported,
        dev=dev,
        settings=checked.settings,
        files=(file, *settings_files, *variables.files),
        value_files=variables.files,
        warnings=(*report.warnings(), *(settings_report.warnings() if settings_report else ())),
        declared_vars={**declared, **(var_overrides or {})},
        settings_references=checked.references,
        account_id=levels.effective("account_id").value or LOCAL_ACCOUNT_ID,
        is_strict=is_strict,
    )


def _check_wrangler_file(
    document: Document, environment: str | None, sections: Mapping[str, type[Any]], report: Diagnostics
) -> Levels:
    top = Located(document.value)
    check_level(top, frozenset(sections), report)
    check_sections(top, sections, report)
    levels = choose_levels(top, environment, report)
    part = report
    if levels.chosen:
        part = report.part(f'"{levels.chosen.name}" environment configuration')
        if not isinstance(levels.chosen.value, dict):
            part.error(
                f'The field "{levels.chosen.name}" should be an object but got {levels.chosen.echo}.', levels.chosen.at
            )
            return levels
        warn_of_not_inherited(levels, part)
        check_level(levels.chosen, frozenset(sections), part)
        check_sections(levels.chosen, sections, part)
    check_names(levels, sections, part)
    _check_entry_point(document, levels, part)
    return levels


def _check_entry_point(document: Document, levels: Levels, report: Diagnostics) -> None:
    main, flags = levels.effective("main"), levels.effective("compatibility_flags").value
    if main.value is None:
        if levels.effective("assets").value is None:
            report.error("Missing entry-point to Worker script or to assets directory")
        return
    if not isinstance(main.value, str):
        return
    if problem := _main_problem(document.path.parent / main.value, main):
        report.error(problem, main.at)
    if main.value.endswith(".py") and "python_workers" not in (flags if isinstance(flags, list) else []):
        report.note(
            "The `python_workers` compatibility flag is required to use Python. "
            'Edge runs this file without it; Cloudflare wants "compatibility_flags": ["python_workers"].',
            main.at,
        )


def _main_problem(file: Path, main: Located) -> str | None:
    """Why `main` cannot be imported, as far as its name tells."""
    if not _is_file(file):
        return f'The entry-point file at "{main.value}" was not found.'
    if file.suffix != ".py":
        return f'"main" must name a Python file, one that ends in .py, but got {main.echo}.'
    if "." in file.stem:
        return f'"main" names {file.name}, which Python cannot import: a dot parts packages. Give it another name.'
    if file.stem in sys.stdlib_module_names | EDGES_MODULES:
        whose = "Edge" if file.stem in EDGES_MODULES else "Python's standard library"
        return f'"main" names {file.name}, but "import {file.stem}" is a module of {whose}. Give it another name.'
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _declared_vars(levels: Levels) -> dict[str, Any]:
    declared = levels.effective("vars").value
    if isinstance(declared, list):
        return {str(i): value for i, value in enumerate(declared)}
    return dict(declared) if isinstance(declared, dict) else {}


def _required_secrets(levels: Levels) -> list[str] | None:
    """`secrets.required`; None without `secrets`, where the process environment is not asked."""
    secrets = levels.effective("secrets")
    if not isinstance(secrets.value, dict):
        return None
    return [name for name in secrets.value.get("required") or () if isinstance(name, str)]


def _warn_of_variables(variables: Variables, binding_names: set[str], report: Diagnostics) -> None:
    if variables.missing:
        report.warning(
            f"Missing required secrets: {', '.join(variables.missing)}. "
            "Add them to .dev.vars, .env, or set as environment variables.",
            ("secrets",),
        )
    for name in variables.values:
        if name in binding_names:
            report.warning(
                f"{name} is both a binding and a name in .dev.vars, .env or --var; env.{name} is the binding."
            )


def _load_settings(
    place: SettingsPlace,
    environment: str | None,
    variables: Mapping[str, Any],
    products: Callable[[], Sequence[ProductSettings]],
    further: Callable[[ReadProducts], Sequence[Problem]] | None,
) -> tuple[CheckedSettings, Diagnostics | None]:
    file = find_settings_file(place.folder)
    if file is None:
        return CheckedSettings(), None
    from .settings import check_settings  # noqa: PLC0415 - most projects have no such file

    document = read_document(file)
    report = Diagnostics(f"Processing {document.name} configuration", document)
    if not document.is_object:
        report.error("The file must hold one JSON object: { ... }.")
    checked = check_settings(
        Located(document.value),
        environment,
        variables=variables,
        products=products(),
        further=further,
        place=place,
        report=report,
    )
    return checked, report


def _dev_settings(levels: Levels, report: Diagnostics) -> DevSettings:
    dev = levels.effective("dev")
    settings = {key: dev.value[key] for key in ("ip", "port") if key in dev}
    default = DevSettings().port
    port = settings.get("port", default)
    if not (0 <= port <= PORT_MAX and port == int(port)):  # in this order: infinity is no int
        report.warning(
            f'"dev.port" must be a whole number from 0 to {PORT_MAX} but got {port}; {default} is used.',
            dev.member("port").at,
        )
        del settings["port"]
    return DevSettings(**settings)


def _require_whole(*reports: Diagnostics | None) -> None:
    found = [report for report in reports if report]
    if any(report.has_errors for report in found):
        raise ConfigError("\n\n".join(text for report in found if (text := report.report())))
