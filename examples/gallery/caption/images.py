"""Tiny images and what is to be said of them. Shapes are vectors; drawing fills the pixels whose middle is inside."""

import random

SIDE = 12
SHAPES, PLACES = ["circle", "square", "triangle", "cross"], ["top left", "top right", "bottom left", "bottom right"]
WORDS = ["<start>", "<end>", "a", "small", "large", "circle", "square", "triangle", "cross", "at", "the", "top",
         "bottom", "left", "right", "and", "in", "middle"]
START, END, LENGTH = 0, 1, 16


def inside(shape, x, y, r):
    """Whether (x, y), from the shape's middle, is in it; y points down."""
    if shape == "circle":
        return x * x + y * y <= r * r
    if shape == "square":
        return max(abs(x), abs(y)) <= 0.85 * r
    if shape == "triangle":
        return -r <= y <= 0.8 * r and abs(x) <= 0.6 * (y + r)
    return min(abs(x), abs(y)) <= 0.3 * r and max(abs(x), abs(y)) <= r


def draw(shapes):
    """[SIDE*SIDE] numbers, 0 or 1, of shapes (name, x, y, radius)."""
    return [float(any(inside(name, column + 0.5 - x, row + 0.5 - y, r) for name, x, y, r in shapes))
            for row in range(SIDE) for column in range(SIDE)]


def say(name, x, y, r):
    size = "small" if r < 2.6 else "large"
    if abs(x - SIDE / 2) < 1.5 and abs(y - SIDE / 2) < 1.5:
        return f"a {size} {name} in the middle"
    return f"a {size} {name} at the {'top' if y < SIDE / 2 else 'bottom'} {'left' if x < SIDE / 2 else 'right'}"


def random_shape(choice, quadrant=None):
    small = choice.random() < 0.5
    r = choice.uniform(1.7, 2.2) if small else choice.uniform(3.0, 3.6)
    if quadrant is None and choice.random() < 0.2:
        x, y = (SIDE / 2 + choice.uniform(-0.9, 0.9) for _ in "xy")
    else:
        column, row = quadrant if quadrant else (choice.randrange(2), choice.randrange(2))
        x, y = (SIDE / 2 + (2 * half - 1) * choice.uniform(2.4 if small else 2.6, 3.6) for half in (column, row))
    return choice.choice(SHAPES), x, y, r


def random_image(choice):
    """(shapes, caption): one shape, or two in opposite corners."""
    if choice.random() < 0.6:
        shapes = [random_shape(choice)]
    else:
        row = choice.randrange(2)
        shapes = [random_shape(choice, (0, row)), random_shape(choice, (1, 1 - row))]
    return shapes, " and ".join(say(*shape) for shape in shapes)


def images(count, seed, without=()):
    """[(pixels, caption)] of random images, each only once, and none of those `without`."""
    choice, found, drawn = random.Random(seed), [], {tuple(pixels) for pixels, _ in without}
    while len(found) < count:
        shapes, caption = random_image(choice)
        pixels = draw(shapes)
        if tuple(pixels) not in drawn:
            drawn.add(tuple(pixels))
            found.append((pixels, caption))
    return found


def held_out():
    """The images that training does not see."""
    return images(500, 2)


def encode(caption):
    return [WORDS.index(word) for word in caption.split()]


def decode(tokens):
    words = [WORDS[t] for t in tokens]
    return " ".join(words[:words.index("<end>")] if "<end>" in words else words)
