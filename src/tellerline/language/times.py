"""Times of day, as callers say them."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from tellerline.language import reading

_HOUR = r"N(?P<hour>\d{1,2})"
_MINUTE = r"N(?P<minute>\d{1,2})"
# Turkish names the hour first ("ona yirmi var", twenty to ten), and "gece" is both night and past.
_HOUR_FIRST = r"(?:N(?P<hour>\d{1,2})|(?P<ten>TEN))"
_PART = r"(?P<{0}>AM|PM|MORNING|AFTERNOON|EVENING|NIGHT|NIGHT_OR_PAST)"
_BEFORE = rf"(?:{_PART.format('before')}  (?:AT  |HOURS  )?)?"
_BEHIND = rf"(?:  OCLOCK)?(?:  (?:THIS  )?{_PART.format('behind')})?"

# Ways to name a time, the more telling first; each with its part of the day before or behind.
_CLOCKS = (
    r"C(?P<hour>\d{1,2}):(?P<minute>\d\d)",
    rf"(?P<half>HALF)  PAST  {_HOUR}",
    rf"(?P<quarter>QUARTER)  (?P<way>PAST|TO)  {_HOUR}",
    rf"{_MINUTE}(?:  MINUTES)?  (?P<way>PAST|TO)  {_HOUR}",
    rf"{_HOUR_FIRST}  {_MINUTE}(?:  MINUTES)?  (?P<way>PAST|NIGHT_OR_PAST|TO)",
    rf"{_HOUR_FIRST}  (?P<quarter>QUARTER)  (?P<way>PAST|NIGHT_OR_PAST|TO)",
    r"N(?P<hour>\d{1,2})\.(?P<half>5)",
    r"N(?P<hour>\d{1,2})\.(?P<minute>\d\d)",
    rf"{_HOUR}  (?:(?:OH|N0)  )?{_MINUTE}",
    rf"(?P<half>HALF)  {_HOUR}",
    rf"{_HOUR}",
    r"(?P<ten>TEN)",
)
_COMPILED = tuple(re.compile(rf"(?<= ){_BEFORE}(?:{clock}){_BEHIND}(?= )") for clock in _CLOCKS)
# Numbers are times for certain only with one of these about them, or alone.
_AT = ("AT  ", "HOURS  ", "DATED  ")
_NAMED = {"NOON": time(12), "MIDNIGHT": time(0)}
_SPAN = re.compile(
    r"(?<= )(?:(?P<ahead>IN)  )?(?:N(?P<count>\d+(?:\.\d+)?)|(?P<one>AN?)|(?P<half>HALF)(?:  AN?)?)"
    r"  (?P<unit>HOURS|MINUTES)(?P<half_more>  AND  A  HALF)?(?:  (?P<way>AGO|LATER))?(?= )"
)


def parse_time(text: str, code: str, now: datetime) -> time | None:
    """The time of day that `text` (language `code`) names; None where there is none.

    Without "p.m.", "evening" and their like the hour is taken as said: "four" is 04:00. Spans from `now`
    ("in two hours") are rounded to five minutes, as they are meant.
    """
    signs = reading.signs(reading.read(text, code, "calendar"))
    if (moment := _span(signs, now)) is not None:
        return moment
    for pattern in _COMPILED:
        for match in pattern.finditer(signs):
            if _is_time(match, signs) and (moment := _clock(match)) is not None:
                return moment
    for name, moment in _NAMED.items():
        if f" {name} " in signs:
            return moment
    return now.time().replace(second=0, microsecond=0) if " NOW " in signs else None


def _is_time(match: re.Match[str], signs: str) -> bool:
    groups = match.groupdict()
    said = match[0]
    if said.startswith("C") or groups.get("way") or " OCLOCK" in said or groups["before"] or groups["behind"]:
        return True
    if groups.get("half") and "PAST" in said:
        return True
    return signs[: match.start()].endswith(_AT) or not signs.replace(said, "").strip(" .,!?")


def _clock(match: re.Match[str]) -> time | None:
    groups = match.groupdict()
    hour = 10 if groups.get("ten") else int(groups["hour"])
    minutes = 30 if groups.get("half") else 15 if groups.get("quarter") else int(groups.get("minute") or 0)
    if hour > 24 or minutes > 59:
        return None
    total = _hour_of_day(hour, groups["before"] or groups["behind"] or "") * 60
    total += -minutes if groups.get("way") == "TO" else minutes
    return time(total // 60 % 24, total % 60)


def _hour_of_day(hour: int, part: str) -> int:
    """An hour of a clock face in its part of the day; hours beyond twelve tell themselves."""
    if hour > 12 or not part:
        return hour
    if hour == 12:
        return 12 if part in ("PM", "AFTERNOON") else 0
    # Three at night is before dawn, nine at night before midnight.
    late = part in ("PM", "AFTERNOON", "EVENING") or (part.startswith("NIGHT") and hour >= 6)
    return hour + 12 if late else hour


def _span(signs: str, now: datetime) -> time | None:
    match = _SPAN.search(signs)
    if match is None or not (match["ahead"] or match["way"]):
        return None
    count = float(match["count"] or (0.5 if match["half"] else 1))
    count += 0.5 if match["half_more"] else 0
    minutes = count * (60 if match["unit"] == "HOURS" else 1)
    moment = now + timedelta(minutes=-minutes if match["way"] == "AGO" else minutes)
    past_five = timedelta(minutes=moment.minute % 5, seconds=moment.second, microseconds=moment.microsecond)
    if minutes % 5 == 0:
        moment += timedelta(minutes=5) - past_five if past_five >= timedelta(minutes=2.5) else -past_five
    return moment.time().replace(second=0, microsecond=0)
