#!/usr/bin/python3
"""Tells the language of each word: show.py [WORD...]. With --confusion, judges the whole network; with --code,
prints how similar the words are to each other as vectors.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery

LANGUAGES = ["English", "French", "German", "Spanish", "Italian"]
ALPHABET = "abcdefghijklmnopqrstuvwxyzàáâäæçèéêëìíîïñòóôöùúûüßœ"


def encode(word):
    return [ALPHABET.index(letter) for letter in word]


def answers(words):
    """(probabilities of the languages, code) of words of one length."""
    out = gallery.run("language", x=[list(column) for column in zip(*map(encode, words))])
    return [(gallery.softmax(logits), code) for logits, code in zip(out["y"], out["code"])]


def confusion():
    """Rows: the word's language; columns: the answer. The words are those that training left out."""
    from words import words
    table = [[0] * len(LANGUAGES) for _ in LANGUAGES]
    for row, language in enumerate(LANGUAGES):
        groups = {}
        for word in words(language, f"[{ALPHABET}]+")[:500]:
            groups.setdefault(len(word), []).append(word)
        for group in groups.values():
            for p, _ in answers(group):
                table[row][gallery.argmax(p)] += 1
    print(f"{'':10}" + "".join(f"{language:>10}" for language in LANGUAGES))
    for language, row in zip(LANGUAGES, table):
        print(f"{language:10}" + "".join(f"{count:10}" for count in row))
    right = sum(table[i][i] for i in range(len(LANGUAGES)))
    print(f"right: {right} of {sum(map(sum, table))}")


def similarities(words):
    """The cosine of the angle between the vectors of each two words."""
    codes = []
    for word in words:
        code = answers([word])[0][1]
        length = sum(value * value for value in code) ** 0.5
        codes.append([value / length for value in code])
    print(f"{'':14}" + "".join(f"{word:>14}" for word in words))
    for word, a in zip(words, codes):
        print(f"{word:14}" + "".join(f"{sum(x * y for x, y in zip(a, b)):14.2f}" for b in codes))


def main():
    words = [word.lower() for word in sys.argv[1:] if not word.startswith("--")]
    words = words or ["thoroughly", "mademoiselle", "schmetterling", "corazón", "bellissimo"]
    strange = set("".join(words)) - set(ALPHABET)
    if strange:
        raise SystemExit(f"letters that the network does not know: {' '.join(sorted(strange))}")
    if "--confusion" in sys.argv:
        confusion()
    elif "--code" in sys.argv:
        similarities(words)
    else:
        for word in words:
            p, _ = answers([word])[0]
            ranked = sorted(range(len(LANGUAGES)), key=lambda i: -p[i])
            print(f"{word:16}" + "  ".join(f"{LANGUAGES[i]} {p[i]:.0%}" for i in ranked[:3]))


if __name__ == "__main__":
    main()
