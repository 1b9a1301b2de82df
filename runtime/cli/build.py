"""`edge build`: freeze the checked config, so that a Lambda start parses and checks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...wrangler_config.plan import freeze, plan_path
from ..serve import load_config
from .options import choice_of, config_options
from .startup import say_warnings

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="build", help=__doc__)
@config_options
@click.option("--plan", "is_plan", is_flag=True, required=True, help="Write the plan beside the config.")
def command(path: Path | None, environment: str | None, *, is_plan: bool) -> None:
    assert is_plan, "click requires it: packaging a Worker will be another option"
    config = load_config(choice_of(path, environment))
    say_warnings(config)
    target = plan_path(config.path, config.environment)
    # Written beside and renamed: a plan is whole or the one before.
    beside = target.with_name(f"{target.name}.new")
    beside.write_text(freeze(config, target.parent), encoding="utf-8")
    beside.replace(target)
    click.echo(f"Wrote {target}. Ship it with the Worker; write it again when the config changes.")
