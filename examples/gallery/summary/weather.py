"""A week's weather as somebody wrote it down, and the headline that says what mattered. All sentences are ours.

A log has four to seven days, in varying words, some of them together ("from monday to wednesday it rained"), some not
named ("the next day"), and remarks that have nothing to do with the weather of that week.
"""

import json
import pathlib
import random
import re

FOLDER = pathlib.Path(__file__).resolve().parent
SOURCE = json.loads((FOLDER / "source.json").read_text())["symbols"]
TARGET = json.loads((FOLDER / "vocabulary.json").read_text())["symbols"]
START, END, LENGTH = 0, 1, 11
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
COUNTS = "zero one two three four five six seven".split()
WET = ("rain", "snow")

CLAUSES = {"sun": ["the sun shone", "not a cloud was to be seen", "the sky was clear"],
           "grey": ["clouds hid the sun", "it stayed grey but dry", "the sky was overcast"],
           "rain": ["it rained", "it poured", "showers came and went"],
           "snow": ["it snowed", "snow fell", "the garden turned white"]}
NOUNS = {"sun": ["sunshine", "a blue sky", "clear skies"], "grey": ["clouds", "a grey sky", "clouds without rain"],
         "rain": ["rain", "showers", "drizzle"], "snow": ["snow", "flakes", "thick snow"]}
ADJECTIVES = {"sun": ["sunny", "bright", "fair"], "grey": ["grey", "cloudy", "overcast"], "rain": ["wet", "rainy"],
              "snow": ["snowy", "white"]}
FORMS = ["{day} was {adjective}", "{day} turned out {adjective}", "{day} brought {noun}", "{noun} on {day}",
         "we had {noun} on {day}", "on {day} {clause}", "{clause} on {day}", "{clause} all through {day}"]
AGAIN = ["{day} was no different", "the same on {day}", "on {day} nothing changed"]
RUNS = ["from {day} to {last} {clause}", "{noun} from {day} to {last}", "{clause} from {day} until {last}"]
DEGREES = ["{number} degrees", "the thermometer showed {number}", "it got to {number} degrees", "{number} at noon"]
STORMS = ["a storm took the roof of the shed", "there was a storm at night", "thunder and lightning too",
          "the storm broke two trees"]
REMARKS = ["the neighbour painted the fence", "the cat slept on the stairs", "soup for lunch",
           "aunt clara wrote a letter", "the bus was late", "we baked bread", "the clock in the hall stopped",
           "mended the gate", "a quiet evening", "the children flew a kite", "the dog found a bone",
           "nobody came to see us", "read until late", "had to buy new boots", "the apples are ripe",
           "two letters in the post", "the tap drips again"]
MISLEADING = ["the radio had promised {noun}", "last year there was {noun} on {other}",
              "the forecast for {other} said {noun}", "the neighbour spoke of a storm at sea",
              "the barn stood through the storm of last year", "the bath water had {number} degrees"]


def skies(choice, kinds, count):
    """One a day: always the same, one change, one day that is different, or anything."""
    pattern = choice.choice(["same", "change", "change", "one", "one", "any", "any"])
    first, other = choice.sample(kinds, 2)
    if pattern == "any":
        return [choice.choice(kinds) for _ in range(count)]
    found = [first] * count
    if pattern == "change":
        at = choice.randrange(1, count)
        found[at:] = [other] * (count - at)
    elif pattern == "one":
        found[choice.randrange(count)] = other
    return found


def sky_of(week, days):
    """What a headline says about the sky of each day."""
    words = {"sun": "sunny"}
    changes = [i for i in range(1, len(week)) if week[i] != week[i - 1]]
    wet = [i for i, sky in enumerate(week) if sky in WET]
    dry = [i for i, sky in enumerate(week) if sky not in WET]
    if not changes:
        return f"{words.get(week[0], week[0])} all week"
    if len(changes) == 1:
        return (f"{words.get(week[0], week[0])} until {days[changes[0] - 1]} , "
                f"then {words.get(week[-1], week[-1])}")
    if not wet or not dry:
        return "wet all week" if wet else "dry all week"
    if len(wet) == 1:
        return f"dry but for {week[wet[0]]} on {days[wet[0]]}"
    if len(dry) == 1:
        return f"wet but for {days[dry[0]]}"
    return f"wet on {COUNTS[len(wet)]} of {COUNTS[len(week)]} days"


def example(choice):
    """(log, headline), words with spaces between them."""
    winter, count, first = choice.random() < 0.4, choice.randint(4, 7), choice.randrange(7)
    days = [DAYS[(first + i) % 7] for i in range(count)]
    week = skies(choice, ["sun", "grey", "rain", "snow"] if winter else ["sun", "grey", "rain"], count)
    degrees = choice.sample(range(0, 10) if winter else range(10, 30), count) if choice.random() < 0.5 else []
    storm = choice.randrange(count) if choice.random() < 0.3 else -1

    def say(form, sky, day, last=""):
        return form.format(day=day, last=last, noun=choice.choice(NOUNS[sky]), clause=choice.choice(CLAUSES[sky]),
                           adjective=choice.choice(ADJECTIVES[sky]))

    sentences, i = [], 0
    while i < count:
        run = 1
        while i + run < count and week[i + run] == week[i] and storm not in (i, i + run) and not degrees:
            run += 1
        if run > 1 and choice.random() < 0.6:
            sentences.append(say(choice.choice(RUNS), week[i], days[i], days[i + run - 1]))
            i += run
        else:
            again = i > 0 and week[i] == week[i - 1] and choice.random() < 0.4
            day = "the next day" if i > 0 and choice.random() < 0.2 else days[i]
            sentences.append(say(choice.choice(AGAIN if again else FORMS), week[i], day))
            if degrees:
                sentences.append(choice.choice(DEGREES).format(number=degrees[i]))
            if storm == i:
                sentences.append(choice.choice(STORMS))
            i += 1
        if choice.random() < 0.4:
            sentences.append(choice.choice(REMARKS))
        if choice.random() < 0.15:
            sky = choice.choice(list(NOUNS))
            sentences.append(choice.choice(MISLEADING).format(noun=choice.choice(NOUNS[sky]), other=choice.choice(DAYS),
                                                              number=choice.randrange(30)))
    headline = sky_of(week, days)
    if storm >= 0:
        headline += f" , storm on {days[storm]}"
    elif degrees and winter:
        headline += f" , coldest on {days[degrees.index(min(degrees))]}"
    elif degrees:
        headline += f" , warmest on {days[degrees.index(max(degrees))]}"
    return " . ".join(sentences) + " .", headline


def examples(count, seed, without=()):
    """Each log only once, and none of those `without`."""
    choice, found, used = random.Random(seed), [], {log for log, _ in without}
    while len(found) < count:
        log, headline = example(choice)
        if log not in used:
            used.add(log)
            found.append((log, headline))
    return found


def held_out():
    """The logs that training does not see."""
    return examples(500, 2)


def encode(log):
    """Words and full stops of a text as numbers."""
    words = re.findall(r"\w+|[^\w\s]", log.lower())
    strange = sorted(set(words) - set(SOURCE))
    if strange:
        raise SystemExit(f"words that the network does not know: {' '.join(strange)}")
    if not words:
        raise SystemExit("a log has sentences")
    return [SOURCE.index(word) for word in words]


def encode_target(headline):
    tokens = [TARGET.index(word) for word in headline.split()]
    return tokens + [END] * (LENGTH - len(tokens))


def decode(tokens):
    """A headline, with its commas where they belong."""
    return " ".join(TARGET[t] for t in tokens).split(" <end>")[0].replace(" ,", ",")
