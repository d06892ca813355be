"""Damage to files, as done by disks, networks, editors, spreadsheets and attackers."""

import re
from random import Random

NASTY = (
    *(b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"-Infinity", b"1e999", b"-1", b"-0", b"1e308", b"0x1", b"1_0"),
    *(b"", b" ", b"x", b"True", b"null", b"[]", b"{}", b"9" * 5000, b"-" + b"9" * 30, b"99999999999999999999"),
    *(b"18446744073709551616", b"1.5", b"0.5", b"2", b"../../etc/passwd", b"/etc/passwd", b"a\x00b", b"a\nb", b"\xff"),
    *("é".encode(), "\u202e".encode(), b'"', b"'", b"${oc.env:HOME}", b"\x1b[2J", b"=1+1"),
)


def mutate(content: bytes, random: Random, text: bool) -> bytes:
    """Damage a file in one to three ways.

    Args:
        content: of the whole file.
        random: draws the ways and the places.
        text: it is a table or JSON, so lines, numbers and encodings can be damaged too.
    """
    ways = BYTE_WAYS + (TEXT_WAYS * 2 if text else ())
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = random.choice(ways)(content, random)
    return content


def flip_bits(content: bytes, random: Random) -> bytes:
    """Flip up to eight bits, half of the time near the start, in the header."""
    damaged = bytearray(content)
    for _ in range(random.randint(1, 8)):
        if damaged:
            damaged[_place(len(damaged), random)] ^= 1 << random.randrange(8)
    return bytes(damaged)


def set_bytes(content: bytes, random: Random) -> bytes:
    """Overwrite a few consecutive bytes with zeros, ones or noise."""
    start, length = _place(len(content) + 1, random), random.randint(1, 64)
    return content[:start] + _filling(length, random) + content[start + length :]


def truncate(content: bytes, random: Random) -> bytes:
    """Truncate the file, as a full disk or a broken download does."""
    length = len(content)
    return content[: random.choice((0, 1, length // 2, max(0, length - 1), _place(length + 1, random)))]


def append(content: bytes, random: Random) -> bytes:
    """Append something to the end."""
    return content + random.choice((_filling(random.randint(1, 300), random), content, content[:100]))


def splice(content: bytes, random: Random) -> bytes:
    """Copy a piece over another place."""
    start, length = _place(len(content) + 1, random), random.randint(1, 200)
    to = _place(len(content) + 1, random)
    return content[:to] + content[start : start + length] + content[to + random.choice((0, length)) :]


def cut_out(content: bytes, random: Random) -> bytes:
    """Delete a piece."""
    start = _place(len(content) + 1, random)
    return content[:start] + content[start + random.randint(1, 200) :]


def replace_number(content: bytes, random: Random) -> bytes:
    """Replace a number by a hostile value."""
    numbers = list(re.finditer(rb"-?\d[\d.e+-]*", content))
    if not numbers:
        return content
    found = random.choice(numbers)
    return content[: found.start()] + random.choice(NASTY) + content[found.end() :]


def replace_word(content: bytes, random: Random) -> bytes:
    """Replace a word by a hostile value."""
    words = list(re.finditer(rb"\w+", content))
    if not words:
        return content
    found = random.choice(words)
    return content[: found.start()] + random.choice(NASTY) + content[found.end() :]


def insert_huge(content: bytes, random: Random) -> bytes:
    """Insert a field of half a megabyte, or deep nesting."""
    huge = random.choice((b"7" * 500_000, b"[" * 100_000, b'{"a":' * 50_000, b"x" * 500_000, b'"' + b"y," * 200_000))
    place = _place(len(content) + 1, random)
    return content[:place] + huge + content[place:]


def change_encoding(content: bytes, random: Random) -> bytes:
    """Re-encode as a spreadsheet does: another encoding, a byte-order mark."""
    text = content.decode("utf-8", "replace")
    encode = random.choice(
        (
            lambda: text.encode("utf-16"),
            lambda: text.encode("utf-32"),
            lambda: text.replace("1", "é").encode("latin-1", "replace"),
            lambda: b"\xef\xbb\xbf" + content,
            lambda: b"\xef\xbb\xbf\xef\xbb\xbf" + content,
        )
    )
    return encode()


def change_lines(content: bytes, random: Random) -> bytes:
    """Duplicate, delete, swap, shuffle, join or pad lines."""
    lines = content.split(b"\n")
    place = random.randrange(len(lines))
    way = random.randrange(8)
    if way == 0:
        lines.insert(random.randrange(len(lines) + 1), lines[place])
    elif way == 1:
        del lines[place]
    elif way == 2:
        random.shuffle(lines)
    elif way == 3:
        lines[place] += random.choice((b",", b",7", b"\t", b" ", b";", b"\x00"))
    elif way == 4:
        lines.insert(place, b"")
    elif way == 5:
        lines[place] = lines[place].rpartition(b",")[0]
    elif way == 6:
        return random.choice((b"\r\n", b"\r", b"\n\n", b";", b"\x0b")).join(lines)
    else:
        lines[place] = random.choice((b'"', b"'", b'""', b"#")) + lines[place]
    return b"\n".join(lines)


def change_columns(content: bytes, random: Random) -> bytes:
    """Swap, duplicate, rename or delete a column in all rows."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    width = max(map(len, rows))
    order = list(range(width))
    way = random.randrange(3)
    if way == 0:
        random.shuffle(order)
    elif way == 1:
        order.insert(random.randrange(width + 1), random.randrange(width))
    else:
        order.remove(random.choice(order))
    return b"\n".join(b",".join(row[n] for n in order if n < len(row)) for row in rows)


def change_separator(content: bytes, random: Random) -> bytes:
    """Use semicolons and decimal commas, as some spreadsheets do."""
    return content.replace(b",", random.choice((b";", b"\t", b", ", b" ,"))).replace(b".", random.choice((b".", b",")))


BYTE_WAYS = (flip_bits, flip_bits, set_bytes, truncate, append, splice, cut_out)
TEXT_WAYS = (
    *(replace_number, replace_number, replace_word, change_lines, change_columns),
    *(change_encoding, change_separator, insert_huge),
)


def _place(length: int, random: Random) -> int:
    return random.randrange(max(1, min(length, random.choice((64, 256, length, length)))))


def _filling(length: int, random: Random) -> bytes:
    return random.choice((bytes(length), b"\xff" * length, random.randbytes(length)))
