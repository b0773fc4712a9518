"""Calendar days, as callers say them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from tellerline.language import reading


def parse_date(
    text: str,
    code: str,
    today: date,
    *,
    prefer: Literal["future", "past"] = "future",
    edge: Literal["start", "end"] = "start",
) -> date | None:
    """The day that `text` (language `code`) names, seen from `today`; None where there is none.

    A day without its year or month is the next one to come, or with `prefer="past"` the last one that was
    (transactions). Of a whole week, month or year it is the first day, or with `edge="end"` the last. A week
    begins on Monday (ISO 8601). Of several days the one behind a correction is meant, else the first.
    """
    tokens = reading.read(text, code, "calendar")
    signs = reading.signs(tokens)
    seen = _Seen(today, prefer == "past", edge == "end")
    days = [found for found in _days(signs, seen) if found.day and not _is_taken_back(signs, found)]
    if not days:
        return None
    corrected = len(days) > 1 and " CORRECTION " in signs[days[-2].end :]
    return days[-1 if corrected else 0].day


@dataclass(frozen=True)
class _Found:
    # None: named, but no such day.
    day: date | None
    start: int
    end: int
    is_weekday: bool


@dataclass(frozen=True)
class _Seen:
    """From where and with what in mind days are looked at."""

    today: date
    past: bool
    at_end: bool

    def of(self, first: date, last: date) -> date:
        """The day meant of a span."""
        return last if self.at_end else first

    def month(self, year: int, month: int) -> date:
        """The day meant of a month, counted on beyond December."""
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
        return self.of(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]))

    def week(self, weeks: int) -> date:
        """The Monday of the week so many weeks on."""
        return self.today - timedelta(days=self.today.weekday()) + timedelta(weeks=weeks)

    def nearest(self, days: Sequence[date], *, strictly: bool = False) -> date | None:
        """The next of `days` (in order), or the last that was; `strictly` not today itself."""
        if self.past:
            return max(
                (d for d in days if d < self.today or (d == self.today and not strictly)), default=None
            )
        return min((d for d in days if d > self.today or (d == self.today and not strictly)), default=None)


Meaning = Callable[[re.Match[str], _Seen], date | None]
_RELATIVES = {"LAST": -1, "THIS": 0, "NEXT": 1, "COMING": 1}

_DAY_OF_MONTH = r"(?:N|OS?)(?P<day>\d{1,2})"
_YEAR = (
    r"(?:N(?P<year>(?:19|20)\d\d)|N(?P<century>19|20)  N(?P<rest>\d\d)"
    r"|(?P<which>LAST|THIS|NEXT|COMING)  YEARS)"
)
_MONTH = r"MONTH_(?P<month>\d+)"
_HOLIDAY = r"HOLIDAY_(?P<month>\d+)_(?P<day>\d+)"
_WEEKDAY = r"DAY_(?P<weekday>\d)"
_COUNT = r"(?:N(?P<count>\d{1,3})|A)"
_UNIT = r"(?P<unit>DAYS|WEEKS|FORTNIGHTS|MONTHS|YEARS)"
# Not "the third card".
_NO_NOUN = r"(?= $|  [^a-z ]|  (?:at|for|please) )"
_WHICH = r"(?P<which>LAST|THIS|NEXT|COMING)"


def _in_figures(match: re.Match[str], _: _Seen) -> date | None:
    # Written day first; a month beyond December is the other way about.
    year, month, day = int(match["year"]), int(match["month"]), int(match["day"])
    return _valid(year, month, day) if month <= 12 else _valid(year, day, month)


def _day_and_month(match: re.Match[str], seen: _Seen) -> date | None:
    month, day = int(match["month"]), int(match["day"])
    if (year := _year(match, seen)) is not None:
        return _valid(year, month, day)
    years = range(seen.today.year - 4, seen.today.year + 5)
    return seen.nearest([found for year in years if (found := _valid(year, month, day))])


def _whole_month(match: re.Match[str], seen: _Seen) -> date | None:
    month = int(match["month"])
    year = _year(match, seen)
    if year is None:
        year = seen.today.year
        if seen.past and month > seen.today.month:
            year -= 1
        elif not seen.past and month < seen.today.month:
            year += 1
    return seen.month(year, month)


def _last(meaning: Meaning) -> Meaning:
    """The one before today, whatever is preferred: "last October"."""
    return lambda match, seen: meaning(match, _Seen(seen.today, True, seen.at_end))


def _day_of_month(match: re.Match[str], seen: _Seen) -> date | None:
    day, which = int(match["day"]), match.groupdict().get("which")
    if which:
        first = _Seen(seen.today, False, False).month(seen.today.year, seen.today.month + _RELATIVES[which])
        return _valid(first.year, first.month, day)
    months = [seen.month(seen.today.year, seen.today.month + ahead) for ahead in range(-3, 4)]
    return seen.nearest([found for first in months if (found := _valid(first.year, first.month, day))])


def _days_from_today(days: int) -> Meaning:
    return lambda _, seen: seen.today + timedelta(days=days)


def _ahead(match: re.Match[str], seen: _Seen) -> date | None:
    return _moved(seen.today, int(match["count"] or 1), match["unit"])


def _ago(match: re.Match[str], seen: _Seen) -> date | None:
    return _moved(seen.today, -int(match["count"] or 1), match["unit"])


def _half_year(match: re.Match[str], seen: _Seen) -> date | None:
    return _moved(seen.today, 6 if match["ahead"] else -6, "MONTHS")


def _weekday_of_week(match: re.Match[str], seen: _Seen) -> date | None:
    which = match.groupdict().get("which") or "NEXT"
    return seen.week(_RELATIVES[which]) + timedelta(days=int(match["weekday"]) - 1)


def _weekday_weeks_on(match: re.Match[str], seen: _Seen) -> date | None:
    return _weekday(seen, int(match["weekday"]), past=False) + timedelta(weeks=int(match["count"] or 1))


def _relative_weekday(match: re.Match[str], seen: _Seen) -> date | None:
    which, weekday = match["which"], int(match["weekday"])
    if which == "NEXT":
        # "Next Wednesday", said on a Tuesday, is not tomorrow: NLU++ and most speakers mean next week's.
        return seen.week(1) + timedelta(days=weekday - 1)
    return _weekday(seen, weekday, past=which == "LAST")


def _any_weekday(match: re.Match[str], seen: _Seen) -> date | None:
    weekday = match["weekday"] or match["alone"]
    return _weekday(seen, int(weekday), past=seen.past)


def _whole_span(match: re.Match[str], seen: _Seen) -> date | None:
    groups = match.groupdict()
    return _span(seen, groups.get("unit") or "WEEKS", _RELATIVES[groups.get("which") or "NEXT"])


def _span(seen: _Seen, unit: str, ahead: int) -> date:
    if unit == "WEEKS":
        return seen.of(seen.week(ahead), seen.week(ahead) + timedelta(days=6))
    if unit == "MONTHS":
        return seen.month(seen.today.year, seen.today.month + ahead)
    return seen.of(date(seen.today.year + ahead, 1, 1), date(seen.today.year + ahead, 12, 31))


def _end_of_this(match: re.Match[str], seen: _Seen) -> date | None:
    return _span(_Seen(seen.today, seen.past, True), match["unit"] or match["own"], 0)


def _weekend(match: re.Match[str], seen: _Seen) -> date | None:
    ahead = _RELATIVES[match["which"]] if match["which"] else 0
    saturday = seen.week(ahead) + timedelta(days=5)
    return seen.of(saturday, saturday + timedelta(days=1))


def _whole_year(match: re.Match[str], seen: _Seen) -> date | None:
    year = _year(match, seen)
    return None if year is None else seen.of(date(year, 1, 1), date(year, 12, 31))


# The first that fits, from the left; more telling ones before those that are part of them.
_RULES: tuple[tuple[str, Meaning], ...] = (
    (r"D(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", _in_figures),
    (r"D-(?P<month>\d\d)-(?P<day>\d\d)", _day_and_month),
    (rf"{_DAY_OF_MONTH}(?:  OF)?(?:  THE)?  {_MONTH}(?:  OF)?  {_YEAR}", _day_and_month),
    (rf"{_MONTH}(?:  THE)?  {_DAY_OF_MONTH}(?:  OF)?  {_YEAR}", _day_and_month),
    (rf"{_YEAR}  {_MONTH}  {_DAY_OF_MONTH}", _day_and_month),
    (rf"{_DAY_OF_MONTH}(?:  OF)?(?:  THE)?  {_MONTH}", _day_and_month),
    (rf"{_MONTH}(?:  THE)?  {_DAY_OF_MONTH}", _day_and_month),
    (rf"{_HOLIDAY}  {_YEAR}", _day_and_month),
    (rf"LAST  {_HOLIDAY}", _last(_day_and_month)),
    (_HOLIDAY, _day_and_month),
    (rf"LAST  {_MONTH}", _last(_whole_month)),
    (rf"{_MONTH}(?:  OF)?  {_YEAR}", _whole_month),
    (rf"{_DAY_OF_MONTH}(?:  OF)?(?:  THE)?  {_WHICH}  MONTHS", _day_of_month),
    (rf"{_WHICH}  MONTHS(?:  ON)?(?:  THE)?  {_DAY_OF_MONTH}", _day_of_month),
    (rf"MONTHS  {_DAY_OF_MONTH}", _day_of_month),
    (rf"{_DAY_OF_MONTH}  OF  THE  MONTHS", _day_of_month),
    ("AFTER_TOMORROW", _days_from_today(2)),
    ("BEFORE_YESTERDAY", _days_from_today(-2)),
    (rf"{_WEEKDAY}  (?:IN  )?{_COUNT}  WEEKS", _weekday_weeks_on),
    (rf"{_COUNT}  WEEKS  (?:(?:ON|DATED)  )?{_WEEKDAY}", _weekday_weeks_on),
    (rf"{_WEEKDAY}(?:  OF)?(?:  THE)?  {_WHICH}  WEEKS", _weekday_of_week),
    (rf"{_WHICH}  WEEKS(?:  ON)?  {_WEEKDAY}", _weekday_of_week),
    (rf"NEXT_WEEK  {_WEEKDAY}", _weekday_of_week),
    (rf"{_WHICH}  (?:MAYBE_)?{_WEEKDAY}", _relative_weekday),
    (r"(?P<ahead>IN)  HALF  A  YEARS|HALF  A  YEARS  AGO", _half_year),
    (rf"{_COUNT}  {_UNIT}  AGO", _ago),
    (rf"(?:IN  {_COUNT}  {_UNIT})(?!  AGO)", _ahead),
    (rf"{_COUNT}  {_UNIT}  LATER", _ahead),
    ("TOMORROW", _days_from_today(1)),
    ("YESTERDAY|LAST  NIGHT|LAST  EVENING", _days_from_today(-1)),
    ("TODAY|THIS  (?:MORNING|AFTERNOON|EVENING|NIGHT)|THIS  DAYS", _days_from_today(0)),
    (rf"(?:{_WHICH}  )?WEEKEND", _weekend),
    (rf"{_WHICH}  (?P<unit>WEEKS|MONTHS|YEARS)", _whole_span),
    ("NEXT_WEEK", _whole_span),
    (rf"{_WEEKDAY}(?P<alone>)", _any_weekday),
    # "Sat" and "sun" are words as well.
    (rf"(?:ON|DATED)  MAYBE_{_WEEKDAY}|(?<=^ )MAYBE_DAY_(?P<alone>\d)(?= $)", _any_weekday),
    (r"O(?P<day>\d{1,2})", _day_of_month),
    (r"(?<=^ )(?:(?:ON  )?THE  )?OS(?P<day>\d{1,2})(?= $)", _day_of_month),
    (rf"(?:ON|DATED)  (?:THE  )?OS(?P<day>\d{{1,2}}){_NO_NOUN}", _day_of_month),
    (rf"(?:ON|DATED)  THE  N(?P<day>\d{{1,2}}){_NO_NOUN}", _day_of_month),
    (r"MONTH_(?!5 )(?P<month>\d+)", _whole_month),
    # The month of May, not the verb.
    (r"(?<=^ )MONTH_(?P<month>5)(?= $)", _whole_month),
    (r"(?:IN|DATED|OF|ON|TO|AND|END|BEGINNING|NEXT|LAST|THIS)  MONTH_(?P<month>5)", _whole_month),
    (r"END  (?:THE  )?(?P<unit>MONTHS|YEARS|WEEKS)|(?P<own>MONTHS|YEARS|WEEKS)  END", _end_of_this),
    (rf"(?<=^ )(?:IN  )?{_YEAR}(?= $)", _whole_year),
    (rf"(?:IN|DATED|OF)  {_YEAR}", _whole_year),
)
_COMPILED = tuple((re.compile(rf"(?<= )(?:{pattern})(?= )"), meaning) for pattern, meaning in _RULES)


def _days(signs: str, seen: _Seen) -> list[_Found]:
    """What the rules find, from left to right, nothing twice."""
    found: list[_Found] = []
    for pattern, meaning in _COMPILED:
        for match in pattern.finditer(signs):
            if any(match.start() < other.end and other.start < match.end() for other in found):
                continue
            before, behind = signs[: match.start()], signs[match.end() :]
            at_end = before.endswith(" END  ") or behind.startswith("  END ")
            at_start = before.endswith(" BEGINNING  ") or behind.startswith("  BEGINNING ")
            edged = _Seen(seen.today, seen.past, (seen.at_end or at_end) and not at_start)
            is_weekday = meaning is _any_weekday
            found.append(_Found(meaning(match, edged), match.start(), match.end(), is_weekday))
    found = [day for day in found if not (day.is_weekday and _is_beside_a_day(day, found, signs))]
    return sorted(found, key=lambda day: day.start)


def _is_beside_a_day(weekday: _Found, found: Sequence[_Found], signs: str) -> bool:
    """Whether a weekday only says of another day which it is: "Tuesday the fourth of January"."""
    others = [other for other in found if not other.is_weekday]
    gaps = [signs[weekday.end : other.start] for other in others if other.start > weekday.end]
    gaps += [signs[other.end : weekday.start] for other in others if other.end < weekday.start]
    return any(gap.strip(" ,") in ("", "THE") for gap in gaps)


def _is_taken_back(signs: str, found: _Found) -> bool:
    """Whether the caller said that this is not it: "not Monday"."""
    return signs[: found.start].endswith((" NOT  ", " NOT  ON  ")) or signs[found.end :].startswith(
        "  NOT_THAT"
    )


def _year(match: re.Match[str], seen: _Seen) -> int | None:
    groups = match.groupdict()
    if groups.get("year"):
        return int(groups["year"])
    if groups.get("century"):
        return int(groups["century"]) * 100 + int(groups["rest"])
    return seen.today.year + _RELATIVES[groups["which"]] if groups.get("which") else None


def _weekday(seen: _Seen, weekday: int, *, past: bool) -> date:
    """The next such day (ISO weekday) after today, or the last before it."""
    if past:
        return seen.today - timedelta(days=(seen.today.isoweekday() - weekday - 1) % 7 + 1)
    return seen.today + timedelta(days=(weekday - seen.today.isoweekday() - 1) % 7 + 1)


def _moved(day: date, count: int, unit: str) -> date | None:
    """`day` so many units on; a day that its month lacks is the last of it. None beyond the calendar."""
    days = {"DAYS": 1, "WEEKS": 7, "FORTNIGHTS": 14}
    if unit in days:
        return day + timedelta(days=count * days[unit])
    months = day.year * 12 + day.month - 1 + count * (12 if unit == "YEARS" else 1)
    year, month = months // 12, months % 12 + 1
    if not 1 <= year <= 9999:
        return None
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
