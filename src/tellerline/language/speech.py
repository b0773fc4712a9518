"""Numbers, money, dates, times and hours, as they are spoken to a caller: words, never digits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time

from num2words import num2words

from tellerline import language
from tellerline.language import amounts


def say_number(number: int, code: str) -> str:
    """A whole number: "one hundred and twenty-three", "yüz yirmi üç"."""
    if code == "tr":
        words = " ".join(_turkish(abs(number))) or str(language.data(code, "numbers")["spoken"]["zero"])
    else:
        words = num2words(abs(number), lang=code).replace(",", "")
    return f"{_minus(code)} {words}" if number < 0 else words


def say_money(minor_units: int, currency: str, code: str) -> str:
    """An amount: "two hundred euros and fifty cents", "iki yüz elli lira". A negative one begins "minus".

    A currency without a name here is spelt: "twelve point five zero C H F".
    """
    data = language.data(code, "money")
    major, minor = divmod(abs(minor_units), 10 ** amounts.exponent(currency))
    if names := data["spoken"].get(currency):
        parts = [_counted(major, names["one"], names["many"], code)] if major or not minor else []
        if minor:
            parts.append(_counted(minor, names["minor_one"], names["minor_many"], code))
        words = f" {data['joined']} ".replace("  ", " ").join(parts)
    else:
        digits = f"{minor:0{amounts.exponent(currency)}}" if minor else ""
        point = f" {data['point']} {say_ending(digits, code)}" if digits else ""
        words = f"{say_number(major, code)}{point} {' '.join(currency)}"
    return f"{_minus(code)} {words}" if minor_units < 0 else words


def say_date(day: date, code: str, today: date | None = None) -> str:
    """A day: "Tuesday the fifteenth of March", with its year where it is another than that of `today`.

    With `today`, the days about it are "yesterday", "today", "tomorrow".
    """
    data = language.data(code, "calendar")
    if today and (near := data["near_days"].get((day - today).days)):
        return str(near)
    month = data["months"][day.month - 1]
    year = f" {_year(day.year, code)}" if today and today.year != day.year else ""
    weekday = say_weekday(day.isoweekday(), code)
    if code == "tr":
        return f"{say_number(day.day, code)} {month}{year}{'' if year else ' ' + weekday}"
    return (
        f"{'' if year else weekday + ' '}the {num2words(day.day, lang=code, to='ordinal')} of {month}{year}"
    )


def say_time(moment: time, code: str) -> str:
    """A time of day: "nine in the morning", "half past four in the afternoon"; tr "on altı otuz"."""
    if code == "tr" and not (moment.hour or moment.minute):
        return "gece yarısı"
    if code == "tr" or (moment.hour in (0, 12) and moment.minute == 0):
        return _clock(moment, code)
    part = "at night" if moment.hour < 5 or moment.hour >= 22 else "in the morning"
    if 12 <= moment.hour < 22:
        part = "in the afternoon" if moment.hour < 18 else "in the evening"
    return f"{_clock(moment, code)} {part}"


def say_ending(digits: str, code: str) -> str:
    """Digits one by one, of an account or card: "four three two one"."""
    return " ".join(say_number(int(digit), code) for digit in digits if digit.isdigit())


def say_list(items: Sequence[str], code: str, *, last: str = "and") -> str:
    """Things one after another: "a, b and c"; `last` is "and" or "or" (in any language)."""
    if len(items) < 2:
        return "".join(items)
    join = language.data(code, "accounts")[last]
    return f"{', '.join(items[:-1])} {join} {items[-1]}"


def say_weekday(weekday: int, code: str) -> str:
    """ISO weekday, 1 Monday ... 7 Sunday: "Monday"."""
    return str(language.data(code, "calendar")["weekdays"][weekday - 1])


def say_hours(hours: Sequence[tuple[int, time, time]], code: str) -> str:
    """Opening hours, (ISO weekday, opens, closes) each, equal days in a row together.

    "Monday to Friday from nine to five and Saturday from ten to noon"; in Turkish by the 24 hours.
    """
    runs: list[list[tuple[int, time, time]]] = []
    for day in sorted(hours):
        if runs and day[1:] == runs[-1][-1][1:] and day[0] == runs[-1][-1][0] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return say_list([_run(run, code) for run in runs], code)


def say_account(kind: str, ending: str, code: str, name: str = "") -> str:
    """An account or card by its name or kind, and its ending: "your savings account ending in four ...".

    `kind` as the bank names it ("current", "credit_card", "debit"); an empty `ending` or `name` is left out.
    """
    data = language.data(code, "accounts")
    thing = data["spoken"].get(kind) or data["spoken"]["other"]
    if name:
        # "Holiday" is said to be an account, "Everyday account" need not be.
        is_whole = not set(language.words(language.fold(name, code))).isdisjoint(data["generic"])
        thing = name if is_whole else data["named"].format(name=name)
    return str(data["yours"]).format(thing=say_with_ending(thing, ending, code))


def say_with_ending(thing: str, ending: str, code: str) -> str:
    """Something and the ending of its account: "John Smith ending in two zero eight seven"."""
    data = language.data(code, "accounts")
    return str(data["with_ending"]).format(thing=thing, ending=say_ending(ending, code)) if ending else thing


def _turkish(number: int) -> list[str]:
    """The words of a number from one on, each apart.

    num2words runs them together and, in 0.5.14, loses some (131,001 comes out as 130,001).
    """
    data = language.data("tr", "numbers")["spoken"]
    words: list[str] = []
    for value, name in data["scales"]:
        count, number = divmod(number, value)
        if count:
            # Neither a thousand nor a hundred is counted by one: "bin", "yüz", but "bir milyon".
            words += [*(_turkish(count) if count > 1 or value > 1000 else []), name]
    tens, units = divmod(number, 10)
    return [
        *words,
        *([data["tens"][tens - 1]] if tens else []),
        *([data["units"][units - 1]] if units else []),
    ]


def _run(days: Sequence[tuple[int, time, time]], code: str) -> str:
    first, last = say_weekday(days[0][0], code), say_weekday(days[-1][0], code)
    opens, closes = _clock(days[0][1], code), _clock(days[0][2], code)
    if code == "tr":
        # "A ile B arası" spares every name its endings.
        named = first if len(days) == 1 else f"{first} ile {last} arası"
        return f"{named} saat {opens} ile {closes} arası"
    return f"{first if len(days) == 1 else f'{first} to {last}'} from {opens} to {closes}"


def _clock(moment: time, code: str) -> str:
    if code == "tr":
        minutes = "" if not moment.minute else f" {_two_digits(moment.minute, code)}"
        return f"{say_number(moment.hour, code)}{minutes}"
    if moment.minute == 0 and moment.hour in (0, 12):
        return "noon" if moment.hour else "midnight"
    hour = say_number((moment.hour - 1) % 12 + 1, code)
    if moment.minute == 30:
        return f"half past {hour}"
    return f"{hour} {_two_digits(moment.minute, code)}" if moment.minute else hour


def _two_digits(minute: int, code: str) -> str:
    zero = "sıfır" if code == "tr" else "oh"
    return f"{zero} {say_number(minute, code)}" if minute < 10 else say_number(minute, code)


def _year(year: int, code: str) -> str:
    return say_number(year, code) if code == "tr" else str(num2words(year, lang=code, to="year"))


def _counted(number: int, one: str, many: str, code: str) -> str:
    return f"{say_number(number, code)} {one if number == 1 else many}"


def _minus(code: str) -> str:
    return str(language.data(code, "money")["minus"])
