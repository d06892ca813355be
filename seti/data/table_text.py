"""Text of a table: encodings, separators of columns, comments, blank lines and blank fields."""

import csv
import io
import re
from dataclasses import dataclass

from seti.utils.files import MAX_COLUMNS
from seti.utils.wording import count

BLANKS = " \t\u00a0\u2007\u202f\u3000\u200b\ufeff"  # also a byte order mark within the text; not line ends
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
BYTE_ORDER_MARKS = {  # the longer ones first: that of UTF-32 begins like that of UTF-16
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
SPREAD = "blanks between columns"
NOT_TEXT = {
    b"PK\x03\x04": "a workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"PAR1": "in Parquet format",
    b"<": "a web page",
}


@dataclass(frozen=True)
class RawTable:
    """Rows of a table.

    Attributes:
        header: column names as they stand in the file.
        rows: as long as the header each.
        remarks: in which respects the file is not plain csv, a few words each.
    """

    header: list[str]
    rows: list[list[str]]
    remarks: list[str]


def read_rows(content: bytes, columns: list[str]) -> RawTable:
    """Split a file's content into header and rows.

    Args:
        content: of the file.
        columns: names by which the header, and the separator of its columns, are recognised.

    Raises:
        ValueError: it is not text, or not a table; the message names the line.
    """
    text, encoding = decode(content)
    text, unwrapped = _unwrap(text, columns)
    text, skipped = _split_head(text, columns)
    separator = _find_separator(text, columns) or max(SEPARATORS, key=lambda one: len(_first_row(text, one)))
    remarks = [f"{SEPARATORS[separator]} between columns"] if separator != "," and SPREAD not in unwrapped else []
    if encoding != "UTF-8":
        remarks.append(f"{encoding} text")
    remarks += unwrapped
    if skipped:
        remarks.append(f"{count(skipped, 'line')} before the header left out")
    try:
        table = _parse(text, separator, skipped)
    except csv.Error:
        # A blank after a closing quote is the one thing that the csv module has no setting for.
        blank = " " if separator == "\t" else " \t"
        try:
            table = _parse(re.sub(f'("[^"]*(?:""[^"]*)*")[{blank}]*', r"\1", text), separator, skipped)
        except csv.Error as error:
            raise ValueError(str(error)) from error
    return RawTable(table.header, table.rows, remarks + table.remarks)


def decode(content: bytes) -> tuple[str, str]:
    """Decode text by its byte order mark, else as UTF-8, else as Latin-1.

    Ids and targets are ASCII in all of them, so it does not matter which 8-bit encoding it is.

    Returns:
        The text, without its byte order mark, and the name of the encoding.

    Raises:
        ValueError: it is not text.
    """
    for start, kind in NOT_TEXT.items():
        if content.startswith(start):
            msg = f"it is {kind}, not text: export it as csv"
            raise ValueError(msg)
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding), encoding
    for first, encoding in ((1, "UTF-16-LE"), (0, "UTF-16-BE")):  # without a mark: every other byte is zero
        if len(content) >= 8 and not any(content[first:40:2]) and all(content[1 - first : 40 : 2]):
            return content.decode(encoding), "UTF-16"
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return content.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf"), "Latin-1"


def find_column(header: list[str], name: str) -> int | None:
    """Find a column by its exact name, else by its name in any case and with blanks around it.

    Returns:
        Its place, or None.

    Raises:
        ValueError: several columns have the name.
    """
    if name in header:
        return header.index(name)
    places = [place for place, given in enumerate(header) if given.strip(BLANKS).lower() == name]
    if len(places) > 1:
        msg = f"it has the column {name} twice: {', '.join(repr(header[place]) for place in places)}"
        raise ValueError(msg)
    return places[0] if places else None


def _first_row(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error:
        return []


def _find_separator(text: str, columns: list[str]) -> str | None:
    """Find the separator with which the first row names all columns, if there is one."""
    for separator in SEPARATORS:
        names = [name.strip(BLANKS).lower() for name in _first_row(text, separator)]
        if set(columns) <= set(names):
            return separator
    return None


def _unwrap(text: str, columns: list[str]) -> tuple[str, list[str]]:
    """Take quotes off whole rows, and put tabs in place of blanks between columns.

    Returns:
        The text, and what was done to it.
    """
    lines = text.splitlines()
    start = next((place for place, line in enumerate(lines) if _names(line.strip(BLANKS + '"'), columns)), None)
    if start is None or _find_separator(lines[start], columns) is not None:
        return text, []
    rows = [line.strip(BLANKS) for line in lines[start:]]
    remarks: list[str] = []
    if all(not row or (len(row) > 1 and row[0] == row[-1] == '"' and '"' not in row[1:-1]) for row in rows):
        rows = [row[1:-1] for row in rows]
        remarks.append("quotes around whole rows left out")
    width = len(rows[0].split())
    if _find_separator(rows[0], columns) is None and all(len(row.split()) in (0, width) for row in rows):
        rows = ["\t".join(row.split()) for row in rows]
        remarks.append(SPREAD)
    return "\n".join([*lines[:start], *rows, ""]), remarks


def _names(line: str, columns: list[str]) -> bool:
    """True for a header that names all columns, with anything between them."""
    return set(columns) <= {name.strip(BLANKS + '"').lower() for name in re.split(r"[,;|\s]+", line)}


def _split_head(text: str, columns: list[str]) -> tuple[str, int]:
    """Leave out blank lines, comments and Excel's `sep=;` before the header.

    Returns:
        The rest of the text, and how many lines were left out.
    """
    skipped, start, comment = 0, 0, (0, 0)
    for line in io.StringIO(text, newline=""):
        bare = line.strip(BLANKS + '"\r\n' + "".join(SEPARATORS))
        if bare.startswith("#"):
            comment = skipped, start
        elif bare and not re.fullmatch(r"sep=.?", bare):
            break
        skipped += 1
        start += len(line)
    rest = text[start:]
    if skipped and _find_separator(rest, columns) is None:
        header = text[comment[1] :].lstrip(BLANKS + "#")  # numpy comments the header out, too
        if _find_separator(header, columns) is not None:
            return header, comment[0]
    return rest, skipped


def _parse(text: str, separator: str, skipped: int) -> RawTable:
    """Parse header and rows.

    pandas would rename the second of two columns with one name, take surplus fields for row names and absent fields
    for missing values, all in silence, and spend minutes on a row with a million fields.

    Args:
        text: from the header on.
        separator: of columns.
        skipped: lines before the header, for the numbers of lines in messages.

    Raises:
        ValueError: the header or a row is malformed.
        csv.Error: a quote stands where none can.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, blank, longer = [], 0, 0
    try:
        header = next(reader, [])
        names = [name for name in header if name.strip(BLANKS)]
        if not 0 < len(set(names)) == len(names) or len(header) > MAX_COLUMNS:
            msg = "its first line does not name columns, each once"
            raise ValueError(msg)
        for row in reader:
            if len(row) == len(header) and row[0].strip(BLANKS):  # most rows
                rows.append(row)
            elif not any(cell.strip(BLANKS) for cell in row):
                blank += bool(row)  # an empty line is as good as none
            elif len(row) < len(header) or any(cell.strip(BLANKS) for cell in row[len(header) :]):
                msg = f"line {skipped + reader.line_num} has {len(row)} fields, the header {len(header)}"
                raise ValueError(msg)
            else:
                longer += len(row) > len(header)
                rows.append(row[: len(header)])
    except csv.Error as error:
        msg = f"line {skipped + reader.line_num}: {error}"
        raise csv.Error(msg) from error
    remarks = [f"{count(blank, 'blank row')} left out"] if blank else []
    if longer:
        remarks.append(f"blank fields at the end of {count(longer, 'row')} left out")
    return RawTable(header, rows, remarks)
