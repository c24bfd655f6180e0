#!/usr/bin/python3
"""Tells the language of each word."""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import gallery

LANGUAGES = ["English", "French", "German", "Spanish", "Italian"]
ALPHABET = "abcdefghijklmnopqrstuvwxyzàáâäæçèéêëìíîïñòóôöùúûüßœ"
HELD_OUT = 500  # of each list


def encode(word):
    return [ALPHABET.index(letter) for letter in word]


def answers(words):
    """(probabilities of the languages, code) of words of one length."""
    out = gallery.run("language", x=[list(column) for column in zip(*map(encode, words))])
    return [(gallery.softmax(logits), code) for logits, code in zip(out["y"], out["code"])]


def held_out():
    """(word, its language's number): words that training leaves out, without those that are in several lists."""
    from words import words
    lists = [words(language, f"[{ALPHABET}]+") for language in LANGUAGES]
    count = collections.Counter(word for found in lists for word in found)
    return [(word, i) for i, found in enumerate(lists) for word in found[:HELD_OUT] if count[word] == 1]


def confusion():
    """Rows: the word's language; columns: the answer."""
    table = [[0] * len(LANGUAGES) for _ in LANGUAGES]
    groups = {}
    for word, language in held_out():
        groups.setdefault((len(word), language), []).append(word)
    for (_, language), group in groups.items():
        for p, _ in answers(group):
            table[language][gallery.argmax(p)] += 1
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
    parser = gallery.parser(__doc__)
    parser.add_argument("word", nargs="*",
                        default=["thoroughly", "mademoiselle", "schmetterling", "corazón", "bellissimo"])
    parser.add_argument("--confusion", action="store_true", help="judge the network by words that training left out")
    parser.add_argument("--code", action="store_true", help="how similar the words are to each other as vectors")
    arguments = parser.parse_args()
    words = [word.lower() for word in arguments.word]
    strange = set("".join(words)) - set(ALPHABET)
    if strange:
        raise SystemExit(f"letters that the network does not know: {' '.join(sorted(strange))}")
    if arguments.confusion:
        confusion()
    elif arguments.code:
        similarities(words)
    else:
        for word in words:
            p, _ = answers([word])[0]
            ranked = sorted(range(len(LANGUAGES)), key=lambda i: -p[i])
            print(f"{word:16}" + "  ".join(f"{LANGUAGES[i]} {p[i]:.0%}" for i in ranked[:3]))


if __name__ == "__main__":
    main()
