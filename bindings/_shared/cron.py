"""When a schedule fires: Cloudflare's cron expressions, in UTC.

Five fields: minute, hour, day of the month, month, day of the week. Each takes `*`, numbers, ranges (`9-17`, also over
the end, as `fri-mon`), steps (`*/15`, `0-30/10`, `5/20`: from 5 on) and lists of these; months and days of the week
also names of three letters. Beside them, each alone in its field:

    day of the month   L       the last day                L-3     three days before it
                       15W     the Monday to Friday that is nearest to the 15th, within the month
                       LW      the last Monday to Friday
    day of the week    L       Saturday                    friL    the last Friday of the month
                       fri#2   the second one

Days of the week are numbered from 1, Sunday, to 7, Saturday: not as in crontab(5). When both kinds of days are
restricted, either one makes it fire.

The libraries there are (croniter, cronsim) count days of the week from 0 and have no `W`; tests hold this one against
cronsim where both mean the same.
Source: Cloudflare docs, "Cron Triggers"; spec "Workflows", 6; "AWS", 6.
"""

from __future__ import annotations

import re
from calendar import SATURDAY, SUNDAY, monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CRON_CHARS_MAX = 256
MONTHS_AHEAD_MAX = 40 * 12 + 1
"""How far a next time may lie: a fifth Sunday in February comes again within 40 years, or never."""

_MINUTE_MS = 60_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CronError(ValueError):
    """Raised for a text that is no schedule. It says which field, at which character, and what is taken there."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule. `text` is as it was written, with single spaces. Times are Unix milliseconds, whole minutes."""

    text: str
    _minutes: tuple[int, ...]
    _hours: tuple[int, ...]
    _months: frozenset[int]
    _month_days: frozenset[int] | _MonthDay | None
    _weekdays: frozenset[int] | _NthWeekday | None

    def next_ms(self, after_ms: int) -> int | None:
        """The first time later than `after_ms`; None when none comes."""
        return self._nearest(_EPOCH + timedelta(minutes=after_ms // _MINUTE_MS + 1), 1)

    def latest_ms(self, until_ms: int) -> int | None:
        """The last time that is not later than `until_ms`; None when there was none."""
        return self._nearest(_EPOCH + timedelta(minutes=until_ms // _MINUTE_MS), -1)

    def _nearest(self, start: datetime, direction: int) -> int | None:
        """The first time from `start` on, going forward (1) or back (-1)."""
        for year, month in _months_from(start, direction):
            if month not in self._months:
                continue
            for day in sorted(self._days(year, month))[::direction]:
                date = datetime(year, month, day, tzinfo=UTC)
                ahead = (date.date() - start.date()).days * direction
                for hour in self._hours[::direction] if ahead >= 0 else ():
                    is_same_hour = ahead == 0 and hour == start.hour
                    if ahead == 0 and (hour - start.hour) * direction < 0:
                        continue
                    for minute in self._minutes[::direction]:
                        if not is_same_hour or (minute - start.minute) * direction >= 0:
                            return (date.replace(hour=hour, minute=minute) - _EPOCH) // timedelta(milliseconds=1)
        return None

    def _days(self, year: int, month: int) -> Collection[int]:
        """The days of a month on which it fires."""
        first_weekday, count = monthrange(year, month)
        days = set() if self._month_days is not None or self._weekdays is not None else set(range(1, count + 1))
        if isinstance(self._month_days, _MonthDay):
            days.update(self._month_days.days(first_weekday, count))
        elif self._month_days is not None:
            days.update(day for day in self._month_days if day <= count)
        if isinstance(self._weekdays, _NthWeekday):
            days.update(self._weekdays.days(first_weekday, count))
        elif self._weekdays is not None:
            days.update(day for day in range(1, count + 1) if _cron_weekday(first_weekday, day) in self._weekdays)
        return days


def parse_cron(text: str) -> Cron:
    """What a schedule means.

    Raises:
        CronError: it is none, or one that never fires (February 30).
    """
    if len(text) > CRON_CHARS_MAX:
        raise CronError(f"A schedule has at most {CRON_CHARS_MAX} characters, this one has {len(text)}.")
    found = [_Text(match[0], match.start()) for match in re.finditer(r"\S+", text)]
    if len(found) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise CronError(f'"{text}" has {len(found)} fields, and a schedule has five: {names}.')
    minute, hour, month_day, month, weekday = found
    cron = Cron(
        " ".join(part.text for part in found),
        tuple(sorted(_numbers(_MINUTE, minute))),
        tuple(sorted(_numbers(_HOUR, hour))),
        _numbers(_MONTH, month),
        None if month_day.text == "*" else _month_day(month_day) or _numbers(_MONTH_DAY, month_day),
        None if weekday.text == "*" else _nth_weekday(weekday) or _numbers(_WEEKDAY, weekday),
    )
    if cron.next_ms(0) is None:
        raise CronError(f'"{text}" never fires: no month it names has such a day.')
    return cron


class _Text(NamedTuple):
    """A part of an expression, and where it begins in it."""

    text: str
    at: int


class _Field(NamedTuple):
    """What a field is called and takes. `names` are those of its numbers, from `least` on."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    remark: str = ""

    def refusal(self, part: _Text) -> CronError:
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        takes = f"takes {self.least} to {self.most}{names}{self.remark}"
        return CronError(f'The {self.name} {takes}, got "{part.text}" at character {part.at + 1}.')


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_MONTH_DAY = _Field("day of the month", 1, 31, remark=", or alone one of L, L-3, 15W, LW")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field(
    "day of the week",
    1,
    7,
    ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
    remark=" (1 is Sunday), or alone one of L, friL, fri#2",
)
_FIELDS = (_MINUTE, _HOUR, _MONTH_DAY, _MONTH, _WEEKDAY)

_RANGE = re.compile(r"(?:\*|([0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?)(?:/([0-9]+))?", re.IGNORECASE)
_MONTH_DAY_RULE = re.compile(r"(?:L(?:-([0-9]{1,2}))?|([0-9]{1,2})(?=W))(W)?", re.IGNORECASE)
_WEEKDAY_RULE = re.compile(r"([1-7]|[a-z]{3})(?:L|#([1-5]))", re.IGNORECASE)


class _MonthDay(NamedTuple):
    """One day of each month that has it: the `day`th, or when that is not above 0, so many days from the last."""

    day: int
    is_workday: bool
    """The nearest day from Monday to Friday is meant."""

    def days(self, first_weekday: int, count: int) -> Iterator[int]:
        day = self.day if self.day > 0 else count + self.day
        if not 1 <= day <= count:
            return
        weekday = (first_weekday + day - 1) % 7
        if self.is_workday and weekday == SATURDAY:
            day += -1 if day > 1 else 2
        elif self.is_workday and weekday == SUNDAY:
            day += 1 if day < count else -2
        yield day


class _NthWeekday(NamedTuple):
    """One day of the week in each month that has it: the `which`th; 0: the last."""

    weekday: int
    which: int

    def days(self, first_weekday: int, count: int) -> Iterator[int]:
        days = [day for day in range(1, count + 1) if _cron_weekday(first_weekday, day) == self.weekday]
        if self.which <= len(days):
            yield days[self.which - 1]


def _cron_weekday(first_weekday: int, day: int) -> int:
    """1, Sunday, to 7, of a day in a month that begins with a weekday of `calendar` (0 is Monday)."""
    return (first_weekday + day) % 7 + 1


def _months_from(start: datetime, direction: int) -> Iterator[tuple[int, int]]:
    first = start.year * 12 + start.month - 1
    for number in range(first, first + MONTHS_AHEAD_MAX * direction, direction):
        if MINYEAR <= number // 12 <= MAXYEAR:
            yield number // 12, number % 12 + 1


def _numbers(field: _Field, part: _Text) -> frozenset[int]:
    """The numbers that a field's list stands for."""
    found: set[int] = set()
    at = part.at
    for text in part.text.split(","):
        found |= _range(field, _Text(text, at))
        at += len(text) + 1
    return frozenset(found)


def _range(field: _Field, part: _Text) -> set[int]:
    match = _RANGE.fullmatch(part.text)
    if match is None:
        raise field.refusal(part)
    first, last, step_text = match.groups()
    step = int(step_text or 1)
    if not 1 <= step <= field.most:
        raise CronError(
            f'The {field.name} takes steps of 1 to {field.most}, got "{part.text}" at character {part.at + 1}.'
        )
    low = field.least if first is None else _number(field, first, part)
    if last is None:
        high = low if first is not None and step_text is None else field.most
    else:
        high = _number(field, last, part)
    size = field.most - field.least + 1
    reached = high if high >= low else high + size  # over the end: fri-mon
    return {(number - field.least) % size + field.least for number in range(low, reached + 1, step)}


def _number(field: _Field, text: str, part: _Text) -> int:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.least
    if not text.isdigit() or not field.least <= int(text) <= field.most:
        raise field.refusal(part)
    return int(text)


def _month_day(part: _Text) -> _MonthDay | None:
    match = _MONTH_DAY_RULE.fullmatch(part.text)
    if match is None:
        return None
    before, day, workday = match.groups()
    if day is not None:
        return _MonthDay(_number(_MONTH_DAY, day, part), is_workday=True)
    if int(before or 0) >= _MONTH_DAY.most:
        raise _MONTH_DAY.refusal(part)
    return _MonthDay(-int(before or 0), is_workday=workday is not None)


def _nth_weekday(part: _Text) -> frozenset[int] | _NthWeekday | None:
    if part.text.upper() == "L":
        return frozenset({_WEEKDAY.most})
    match = _WEEKDAY_RULE.fullmatch(part.text)
    if match is None:
        return None
    return _NthWeekday(_number(_WEEKDAY, match[1], part), int(match[2] or 0))
