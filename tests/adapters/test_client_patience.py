from __future__ import annotations

import pytest

from edge.runtime.adapters.client_patience import LINGER_SECONDS, Cut, Patience
from edge.wrangler_config.worker_config import Limits

CALM = {"is_answering": False, "is_body_open": False, "is_body_paused": False, "is_draining": False, "unsent_bytes": 0}


@pytest.fixture
def patience():
    return Patience(Limits(), 100.0)


def idle(patience):
    patience.begin_idle(100.0)
    return patience


@pytest.mark.parametrize(("now", "cut"), [(109.9, Cut.NOTHING), (110.0, Cut.CLOSE)])
def test_fresh_connection_has_the_header_timeout(patience, now, cut):
    assert patience.decide(now, **CALM) is cut


@pytest.mark.parametrize(("now", "cut"), [(174.9, Cut.NOTHING), (175.0, Cut.CLOSE)])
def test_idle_connection_has_keep_alive(patience, now, cut):
    assert idle(patience).decide(now, **CALM) is cut


def test_header_time_starts_with_the_first_byte_and_only_once(patience):
    idle(patience).begin_head(150.0)
    patience.begin_head(159.0)
    assert patience.decide(160.0, **CALM) is Cut.HEAD_LATE


@pytest.mark.parametrize("begin", [idle, lambda fresh: fresh])
def test_connection_that_owes_nothing_is_closed_when_draining(patience, begin):
    assert begin(patience).decide(100.0, **{**CALM, "is_draining": True}) is Cut.CLOSE


def test_answering_takes_as_long_as_it_takes(patience):
    assert patience.decide(1e9, **{**CALM, "is_answering": True, "is_draining": True}) is Cut.NOTHING


@pytest.mark.parametrize(("came", "cut"), [(10 * 1024, Cut.NOTHING), (10 * 1024 - 1, Cut.BODY_SLOW)])
def test_body_must_bring_its_rate_in_every_window(patience, came, cut):
    reading = {**CALM, "is_answering": True, "is_body_open": True}
    patience.begin_body(100.0)
    patience.count_body(1_000_000)
    assert patience.decide(110.0, **reading) is Cut.NOTHING
    patience.count_body(came)
    assert patience.decide(119.9, **reading) is Cut.NOTHING
    assert patience.decide(120.0, **reading) is cut


def test_time_in_which_the_handler_did_not_read_does_not_count(patience):
    reading = {**CALM, "is_answering": True, "is_body_open": True}
    patience.begin_body(100.0)
    assert patience.decide(109.0, **{**reading, "is_body_paused": True}) is Cut.NOTHING
    assert patience.decide(118.9, **reading) is Cut.NOTHING
    assert patience.decide(119.0, **reading) is Cut.BODY_SLOW


def test_reader_must_take_something_in_the_stall_time(patience):
    writing = {**CALM, "is_answering": True}
    patience.begin_stall(100.0, 1000)
    assert patience.decide(129.0, **{**writing, "unsent_bytes": 999}) is Cut.NOTHING
    assert patience.decide(158.9, **{**writing, "unsent_bytes": 999}) is Cut.NOTHING
    assert patience.decide(159.0, **{**writing, "unsent_bytes": 999}) is Cut.ABORT


def test_stall_that_ended_is_forgotten(patience):
    patience.begin_stall(100.0, 1000)
    patience.end_stall()
    assert patience.decide(1e9, **{**CALM, "is_answering": True}) is Cut.NOTHING


def test_lingering_ends(patience):
    patience.begin_linger(100.0, 0)
    assert patience.decide(100.0 + LINGER_SECONDS - 0.1, **CALM) is Cut.NOTHING
    assert patience.decide(100.0 + LINGER_SECONDS, **CALM) is Cut.ABORT


def test_lingering_client_that_takes_its_answer_slowly_gets_all_of_it(patience):
    patience.begin_linger(100.0, 1000)
    assert patience.decide(129.0, **{**CALM, "unsent_bytes": 500}) is Cut.NOTHING
    assert patience.decide(158.0, **{**CALM, "unsent_bytes": 500}) is Cut.NOTHING
    assert patience.decide(159.0, **{**CALM, "unsent_bytes": 500}) is Cut.ABORT


def test_idle_client_that_never_took_its_answer_is_not_waited_for(patience):
    assert idle(patience).decide(175.0, **{**CALM, "unsent_bytes": 1}) is Cut.ABORT
