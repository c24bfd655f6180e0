"""Words of Debian's lists (packages wamerican, wfrench, wngerman, wspanish, witalian)."""

import pathlib
import random
import re

LISTS = {"English": "american-english", "French": "french", "German": "ngerman", "Spanish": "spanish",
         "Italian": "italian"}
PACKAGES = "wamerican wfrench wngerman wspanish witalian"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def words(language, pattern="[a-z]+", shortest=3, longest=14):
    """The list's words in lower case that match, shuffled: the same order on every machine."""
    path = pathlib.Path("/usr/share/dict") / LISTS[language]
    if not path.exists():
        raise SystemExit(f"{path} is missing: apt-get install {PACKAGES}")
    found = {line.strip().lower() for line in path.open(encoding="utf-8")}
    found = sorted(w for w in found if shortest <= len(w) <= longest and re.fullmatch(pattern, w))
    random.Random(1).shuffle(found)
    return found
