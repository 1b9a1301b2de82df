"""Whom an exception is meant for: the code that raised it, or all of the process."""

from __future__ import annotations

import signal
import threading

import pytest

from edge.runtime.core.own_failure import is_from_outside, own_failure


@pytest.fixture
def unhandled_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("unhandled_ctrl_c")
def test_ctrl_c_that_nobody_handles_stops_the_process():
    assert is_from_outside(KeyboardInterrupt())
    assert own_failure(KeyboardInterrupt(), "The handler fetch") is None


@pytest.mark.usefixtures("unhandled_ctrl_c")
def test_no_ctrl_c_reaches_another_thread_than_the_main_one():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(is_from_outside(KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.usefixtures("handled_ctrl_c")
def test_where_ctrl_c_is_handled_the_code_raised_it_itself():
    assert not is_from_outside(KeyboardInterrupt())


def test_a_closed_coroutine_is_closed():
    assert is_from_outside(GeneratorExit())


@pytest.mark.parametrize("error", [ValueError("x"), StopAsyncIteration(), GeneratorExit()], ids=type)
def test_what_ends_no_more_than_the_code_passes_as_it_is(error):
    assert own_failure(error, "The handler fetch") is None
