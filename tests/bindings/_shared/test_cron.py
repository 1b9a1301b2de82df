"""Cron expressions as Cloudflare reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bindings._shared.cron import CRON_CHARS_MAX, CronError, parse_cron

MINUTE_MS = 60_000
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
THURSDAY = datetime(2026, 1, 1, tzinfo=UTC)


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def after(text: str, at: datetime = THURSDAY) -> str:
    next_ms = parse_cron(text).next_ms(ms(at))
    assert next_ms is not None, "it fires again"
    return f"{datetime.fromtimestamp(next_ms / 1000, UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("* * * * *", "2026-01-01 00:01"),
        ("*/30 * * * *", "2026-01-01 00:30"),
        ("45 * * * *", "2026-01-01 00:45"),
        ("0 17 * * sun", "2026-01-04 17:00"),
        ("0 17 * * 1", "2026-01-04 17:00"),
        ("10 7 * * mon-fri", "2026-01-01 07:10"),
        ("10 7 * * 2-6", "2026-01-01 07:10"),
        ("0 15 1 * *", "2026-01-01 15:00"),
        ("0 18 * * 6L", "2026-01-30 18:00"),
        ("0 18 * * friL", "2026-01-30 18:00"),
        ("59 23 LW * *", "2026-01-30 23:59"),
    ],
)
def test_cloudflares_examples_fire_when_its_docs_say(text: str, at: str) -> None:
    assert after(text) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("0 0 L * *", "2026-01-31 00:00"),
        ("0 0 L-3 * *", "2026-01-28 00:00"),
        ("0 0 15W 2 *", "2026-02-16 00:00"),  # a Sunday
        ("0 0 14W 2 *", "2026-02-13 00:00"),  # a Saturday
        ("0 0 1W 8 *", "2026-08-03 00:00"),  # a Saturday: not into July
        ("0 0 31W 5 *", "2026-05-29 00:00"),  # a Sunday: not into June
        ("0 0 31W 2,5 *", "2026-05-29 00:00"),
        ("0 0 * * L", "2026-01-03 00:00"),
        ("0 0 * * 6#2", "2026-01-09 00:00"),
        ("0 0 * * FRI#5", "2026-01-30 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 * 2 1#5", "2032-02-29 00:00"),
        ("5/20 * * * *", "2026-01-01 00:05"),
        ("0 22-2/2 * * *", "2026-01-01 02:00"),
        ("0 0 * * fri-mon", "2026-01-02 00:00"),
        ("0 0 * nov-FEB *", "2026-01-02 00:00"),
        ("\t0   0 3,2 * * ", "2026-01-02 00:00"),
    ],
)
def test_each_form_fires_next_at(text: str, at: str) -> None:
    assert after(text) == at


def test_either_kind_of_day_fires_when_both_are_restricted() -> None:
    assert after("0 0 5 * sat") == "2026-01-03 00:00"
    assert after("0 0 5 * sat", datetime(2026, 1, 4, tzinfo=UTC)) == "2026-01-05 00:00"


def test_a_fifth_sunday_in_february_is_found_over_a_century_without_leap_year() -> None:
    assert after("0 0 * 2 sun#5", datetime(2088, 3, 1, tzinfo=UTC)) == "2128-02-29 00:00"


def test_time_ends_with_the_calendar() -> None:
    assert parse_cron("0 0 1 1 *").next_ms(ms(datetime(9999, 6, 1, tzinfo=UTC))) is None
    assert parse_cron("0 0 1 1 *").latest_ms(ms(datetime(1969, 6, 1, tzinfo=UTC))) == ms(
        datetime(1969, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("* * * *", '"* * * *" has 4 fields, and a schedule has five: minute, hour, day of the month'),
        ("@daily", '"@daily" has 1 fields'),
        ("", '"" has 0 fields'),
        ("0 25 * * *", 'The hour takes 0 to 23, got "25" at character 3.'),
        ("1,2,x * * * *", 'The minute takes 0 to 59, got "x" at character 5.'),
        ("0 0 ? * *", 'The day of the month takes 1 to 31, or alone one of L, L-3, 15W, LW, got "?" at character 5.'),
        ("0 0 * * 0", "The day of the week takes 1 to 7 or sun to sat (1 is Sunday), or alone one of L, friL, fri#2"),
        ("0 0 * * friday", 'got "friday" at character 9.'),
        ("0 0 L,5 * *", 'got "L" at character 5.'),
        ("0 0 L-31 * *", 'got "L-31" at character 5.'),
        ("0 0 40W * *", 'got "40W" at character 5.'),
        ("0 0 * * xxxL", 'got "xxxL" at character 9.'),
        ("0 0 * * 6#6", 'got "6#6" at character 9.'),
        ("*/0 * * * *", 'The minute takes steps of 1 to 59, got "*/0" at character 1.'),
        ("*/60 * * * *", "The minute takes steps of 1 to 59"),
        ("\u0663 * * * *", 'got "\u0663" at character 1.'),
        ("0 0 30 2 *", '"0 0 30 2 *" never fires: no month it names has such a day.'),
        ("0" * (CRON_CHARS_MAX + 1), "A schedule has at most 256 characters, this one has 257."),
    ],
)
def test_what_is_no_schedule_is_refused_at_its_place(text: str, message: str) -> None:
    with pytest.raises(CronError) as refused:
        parse_cron(text)
    assert message in str(refused.value)


@given(st.text(alphabet="0123456789*/,-LW# sunfrijadecmo", max_size=30))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        cron = parse_cron(text)
    except CronError:
        return
    next_ms = cron.next_ms(0)
    assert next_ms is not None
    assert cron.latest_ms(next_ms) == next_ms


def ranges(least: int, most: int) -> st.SearchStrategy[str]:
    """A field without names: what crontab(5) and Cloudflare read alike."""
    number = st.integers(least, most)
    pair = st.tuples(number, number).map(sorted)
    item = number.map(str) | pair.map(lambda two: f"{two[0]}-{two[1]}")
    wide = pair.filter(lambda two: two[0] < two[1])  # cronsim takes 5-5/2 for 5/2
    step = st.tuples(wide, st.integers(1, most)).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}")
    return st.just("*") | st.lists(item | step, min_size=1, max_size=3).map(",".join)


MONTH_DAYS = ranges(1, 31) | st.sampled_from(["L", "LW"])
WEEKDAY_LISTS = st.just("*") | st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=3).map(",".join)
NTH_WEEKDAYS = st.builds("{}{}".format, st.sampled_from(WEEKDAYS), st.sampled_from(["#1", "#4", "#5", "L"]))
STARTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - hypothesis takes no others


@settings(max_examples=50)
@given(ranges(0, 59), ranges(0, 23), MONTH_DAYS, ranges(1, 12), WEEKDAY_LISTS | NTH_WEEKDAYS, STARTS)
def test_a_library_finds_the_same_times(
    minute: str, hour: str, month_day: str, month: str, weekday: str, start: datetime
) -> None:
    """Days of the week by name: it counts them from 0, and knows the last one by number only."""
    text = f"{minute} {hour} {month_day} {month} {weekday}"
    known = f"{WEEKDAYS.index(weekday[:-1])}L" if weekday.endswith("L") else weekday
    try:
        cron = parse_cron(text)
    except CronError:
        return
    at = start.replace(tzinfo=UTC)
    told = [ms(time) for time in islice(CronSim(f"{minute} {hour} {month_day} {month} {known}", at), 3)]
    found = []
    at_ms = ms(at)
    for _ in told:
        next_ms = cron.next_ms(at_ms)
        assert next_ms is not None
        found.append(next_ms)
        at_ms = next_ms
    assert found == told


WORKDAYS = st.integers(1, 31).map("{}W".format) | st.integers(0, 30).map("L-{}".format)
NUMBERED = st.integers(1, 7).map(str)


@settings(max_examples=50)
@given(ranges(0, 59), ranges(0, 23), WORKDAYS | MONTH_DAYS, WEEKDAY_LISTS | NTH_WEEKDAYS | NUMBERED, STARTS)
def test_no_time_is_left_out_and_none_is_made_up(
    minute: str, hour: str, month_day: str, weekday: str, start: datetime
) -> None:
    """Against a look at every day of two months, each judged by the rule's own words."""
    cron = parse_cron(f"{minute} {hour} {month_day} * {weekday}")
    first = start.replace(tzinfo=UTC, hour=0, minute=0, second=0, microsecond=0)
    days = [first + timedelta(days=number) for number in range(62)]
    firing = [day for day in days if fires_on(day, month_day, weekday)]
    expected = [
        ms(day.replace(hour=h, minute=m)) for day in firing for h in spread(hour, 0, 23) for m in spread(minute, 0, 59)
    ]
    at_ms, found = ms(first) - 1, []
    until_ms = ms(days[-1] + timedelta(days=1))
    while (next_ms := cron.next_ms(at_ms)) is not None and next_ms < until_ms and len(found) < 40:
        assert cron.latest_ms(next_ms + MINUTE_MS - 1) == next_ms
        assert cron.next_ms(next_ms - 1) == next_ms
        if found:
            assert cron.latest_ms(next_ms - 1) == found[-1]
        found.append(next_ms)
        at_ms = next_ms
    assert found == expected[:40]


def spread(field: str, least: int, most: int) -> list[int]:
    """Every number of a field that `ranges` drew."""
    numbers: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        low, _, high = span.partition("-")
        bounds = (least, most) if span == "*" else (int(low), int(high or low))
        numbers.update(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return sorted(numbers)


def fires_on(day: datetime, month_day: str, weekday: str) -> bool:
    by_month_day = month_day != "*" and is_month_day(day, month_day)
    by_weekday = weekday != "*" and is_weekday(day, weekday)
    return by_month_day or by_weekday or (month_day, weekday) == ("*", "*")


def is_month_day(day: datetime, rule: str) -> bool:
    month = days_of_month(day)
    if rule[0] == "L":
        wanted = len(month) - int(rule[2:]) if rule[1:2] == "-" else len(month)
    elif rule.endswith("W"):
        wanted = int(rule[:-1])
    else:
        return day.day in spread(rule, 1, 31)
    if not 1 <= wanted <= len(month):
        return False
    if not rule.endswith("W"):
        return day.day == wanted
    workdays = [one.day for one in month if one.weekday() < 5]
    return day.day == min(workdays, key=lambda one: (abs(one - wanted), one != wanted, one))


def is_weekday(day: datetime, rule: str) -> bool:
    name = WEEKDAYS[(day.weekday() + 1) % 7]
    same = [one.day for one in days_of_month(day) if one.weekday() == day.weekday()]
    if "#" in rule:
        wanted, _, number = rule.partition("#")
        return name == wanted and len(same) >= int(number) and same[int(number) - 1] == day.day
    if rule.endswith("L"):
        return name == rule[:-1] and day.day == same[-1]
    return str((day.weekday() + 1) % 7 + 1) == rule or name in rule.split(",")


def days_of_month(day: datetime) -> list[datetime]:
    first = day.replace(day=1)
    days = (first + timedelta(days=number) for number in range(31))
    return [one for one in days if one.month == day.month]
