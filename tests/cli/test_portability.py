"""Notes of `edge check` on a handler file."""

from __future__ import annotations

import textwrap

import pytest

from edge.runtime.cli.portability import notes_on
from edge.runtime.core.edge_only import EdgeOnly

CASES = {
    "module-level fetch": (
        "async def fetch(request, env): pass",
        "1:1 note: a handler at module level works on Edge only",
    ),
    "too few parameters": (
        "class Default(W):\n  async def queue(self, batch): pass",
        "2:3 queue() is called with three arguments: write async def queue(self, batch, env, ctx).",
    ),
    "env is None": (
        "class Default(W):\n  async def fetch(self, request, env, ctx):\n    await env.KV.get('a')",
        "3:11 env is None in a method of class Default: write self.env.",
    ),
    "ctx is None": (
        "class Default(W):\n  async def fetch(self, request, env, ctx):\n    ctx.waitUntil(x)",
        "3:5 ctx is None in a method of class Default: write self.ctx.",
    ),
    "wait_until": ("def f(self): self.ctx.wait_until(x)", "1:14 ctx has no wait_until"),
    "env as a dict": ("def f(env): return env['X']", "1:20 env is no dict: write env.NAME"),
    "Response(dict)": ("def f(): return Response({'a': 1})", "1:17 Response takes no dict"),
    "generator as body": (
        "async def rows():\n  yield b''\ndef f(): return Response(rows())",
        "3:17 note: an async iterator in place of a ReadableStream works on Edge only.",
    ),
    "step as a call": (
        "async def f(step): await step.do('a', g)",
        "1:26 note: step.do(name, function) as a call works on Edge only.",
    ),
    "rollback": (
        "def f(step):\n  @step.do('a', rollback=undo)\n  def a(): pass",
        "2:4 note: a step's rollback works on Edge only.",
    ),
    "idempotency key": (
        "def f(ctx): return ctx['idempotencyKey']",
        '1:20 note: ctx["idempotencyKey"] works on Edge only.',
    ),
    "another handler than fetch": ("def queue(batch): pass", "1:1 note: a handler at module level works on Edge only."),
    "import of edge": ("import edge.runtime as e", "1:1 note: the module edge works on Edge only."),
    "import from edge": ("from edge import Response", "1:1 note: the module edge works on Edge only."),
    "semantics": (
        "def f(step):\n  @step.do('a', config={'semantics': 'at_most_once'})\n  def a(): pass",
        '2:4 note: the key "semantics" of a step\'s config works on Edge only.',
    ),
    "generator as a step": (
        "def f(step):\n  @step.do('a')\n  async def a(): yield b''",
        "3:3 note: an async iterator in place of a ReadableStream works on Edge only.",
    ),
    "stored types": (
        "class Order(WorkflowEntrypoint):\n  stored_types = (Receipt,)",
        "2:3 note: stored_types works on Edge only.",
    ),
    "stored types with their annotation": (
        "class Order(workers.WorkflowEntrypoint):\n  stored_types: tuple = (Receipt,)",
        "2:3 note: stored_types works on Edge only.",
    ),
    "a step's record": (
        "def f(step): return step.instance_version",
        "1:21 note: step.instance_version or step.recorded_state() works on Edge only.",
    ),
}


@pytest.mark.parametrize(("source", "expected"), CASES.values(), ids=CASES)
def test_what_fails_on_cloudflare_is_told_with_its_place(source: str, expected: str) -> None:
    (note,) = notes_on(source.encode())
    assert f"{note.line}:{note.column} {note.text}".startswith(expected)


def test_everything_is_told_of_one_line() -> None:
    notes = notes_on(b"async def f(step): await step.do('a', g, rollback=undo)")
    assert [(note.line, note.column, note.text) for note in notes] == [
        (1, 26, f"note: {EdgeOnly.ROLLBACK.note}"),
        (1, 26, f"note: {EdgeOnly.STEP_AS_CALL.note}"),
    ]


def test_what_works_on_edge_only_is_an_error_under_strict_and_the_rest_is_not() -> None:
    notes = notes_on(b"async def fetch(request, env):\n  return Response({'a': env['B']})", is_strict=True)
    assert [(note.line, note.is_error) for note in notes] == [(1, True), (2, False), (2, False)]
    assert notes[0].text == EdgeOnly.MODULE_HANDLER.note


def test_portable_code_has_no_notes() -> None:
    source = """
        from workers import Response, WorkerEntrypoint, wait_until

        class Default(WorkerEntrypoint):
            async def fetch(self, request, env, ctx):
                self.ctx.waitUntil(self.later())
                rows = {"env": 1}["env"]
                return Response(await self.env.KV.get("a"))

            async def scheduled(self, *event): pass
            async def queue(self, batch, env, ctx): pass
            async def run(self, event, step):
                @step.do("a", [b], config={"timeout": 5})
                async def a(ctx): return ctx["attempt"]
            async def later(self):
                async def inner(): yield 1

        def queue(of): stored_types = edge = of.instance_version
    """
    assert notes_on(textwrap.dedent(source).encode(), is_strict=True) == []
