"""Dates as people write them, and as ISO 8601 does. The calendar is Python's."""

import datetime
import random

SOURCE = " ,.abcdefghijklmnopqrstuvwxyz0123456789"
TARGET = "0123456789-<>"  # `<` starts, `>` ends
START, END, LENGTH = 11, 12, 11
ONES = ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth").split()


def ordinal_word(day):
    if day <= 20:
        return ONES[day - 1]
    return "thirtieth" if day == 30 else ("twenty " if day < 30 else "thirty ") + ONES[day % 10 - 1]


def ordinal(day):
    return f"{day}{'th' if 10 < day < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def spellings(date):
    day, year = date.day, date.year
    month, short, weekday = date.strftime("%B").lower(), date.strftime("%b").lower(), date.strftime("%A").lower()
    return [f"{day} {month} {year}", f"{month} {day}, {year}", f"{day} {short} {year}", f"{short} {ordinal(day)}, {year}",
            f"{weekday}, {day} {month} {year}", f"the {ordinal(day)} of {month} {year}",
            f"the {ordinal_word(day)} of {month}, {year}", f"{weekday} the {ordinal(day)} of {month} {year}",
            f"{day}.{date.month}.{year}", f"{month} the {ordinal_word(day)}, {year}"]


def pairs(count, seed):
    """(as written, ISO) of random days of 1900 to 2099."""
    choice = random.Random(seed)
    first = datetime.date(1900, 1, 1).toordinal()
    days = datetime.date(2099, 12, 31).toordinal() - first
    found = []
    for _ in range(count):
        date = datetime.date.fromordinal(first + choice.randrange(days + 1))
        found.append((choice.choice(spellings(date)), date.isoformat()))
    return found


def encode(text):
    return [SOURCE.index(letter) for letter in text]


def encode_target(iso):
    return [TARGET.index(letter) for letter in iso]


def decode(tokens):
    return "".join(TARGET[t] for t in tokens).split(">")[0]
