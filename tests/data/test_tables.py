import codecs
import hashlib
import logging
from pathlib import Path

import pandas as pd
import pytest
from unit_helpers import make_cadences

from seti.data import competition, table_text
from seti.data.folds import fingerprint
from seti.errors import SetiError

PLAIN = "id,target\n0012,0\n00ab,1\n1e10,1\n7,0\n"
LABELS = {"id": ["0012", "00ab", "1e10", "7"], "target": [0, 1, 1, 0]}


def read(root, content: str | bytes, caplog) -> tuple[dict, str]:
    """Write and read a label table; return its columns and the line that was said about it."""
    (root / competition.LABELS).write_bytes(content.encode() if isinstance(content, str) else content)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        table = competition.read_labels(root)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= 1
    start = f"{root / competition.LABELS} is read with "
    assert all(line.startswith(start) and "\n" not in line for line in lines)
    return table.to_dict("list"), lines[0].removeprefix(start) if lines else ""


def refusal(root, content: str | bytes) -> str:
    (root / competition.LABELS).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SetiError) as caught:
        competition.read_labels(root)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message.replace(str(root / competition.LABELS), "TABLE")


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n"),
        PLAIN.rstrip(),
        PLAIN.replace("0012,0", '"0012","0"').replace("id,target", '"id","target"'),
        PLAIN.replace("1e10,1", "1e10,1.0"),
        "target,note,id\n0,a,7\n1,,1e10\n1,b,00ab\n0,c,0012\n",
        "id,target,Fold,FOLD\n0012,0,,\n00ab,1,,\n1e10,1,,\n7,0,,\n",
        ",id,target\n0,0012,0\n1,00ab,1\n2,1e10,1\n3,7,0\n",
        "#,id,target\n0,0012,0\n1,00ab,1\n2,1e10,1\n3,7,0\n",
        "ID,id,target\n0,0012,0\n1,00ab,1\n2,1e10,1\n3,7,0\n",
        "id,target,note\n0012,0,é\n00ab,1,\n1e10,1,\n7,0,\n",
    ],
)
def test_plain_tables_are_read_without_a_word(tmp_path, caplog, content):
    assert read(tmp_path, content, caplog) == (LABELS, "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PLAIN.replace(",", ";"), "semicolons between columns"),
        (PLAIN.replace(",", "\t"), "tabs between columns"),
        (PLAIN.replace(",", "|"), "bars between columns"),
        (PLAIN.encode("utf-16"), "UTF-16 text"),
        (codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"), "UTF-16 text"),
        (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "UTF-16 text"),
        (PLAIN.encode("utf-16-le"), "UTF-16 text"),
        (PLAIN.encode("utf-16-be"), "UTF-16 text"),
        (PLAIN.encode("utf-32"), "UTF-32 text"),
        (
            PLAIN.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
            "tabs between columns, UTF-16 text",
        ),
        ("id,target,note\n0012,0,é\n00ab,1,\n1e10,1,\n7,0,\n".encode("latin-1"), "Latin-1 text"),
        (PLAIN.replace("id,target", "Id,Target"), "the column names Id, Target in lower case"),
        (PLAIN.replace("id,target", "ID,target"), "the column names ID in lower case"),
        (PLAIN.replace("id,target", "id, target"), ""),
        (PLAIN.replace("id,target", "\u200bid , target\u00a0"), ""),
        (PLAIN.encode("utf-8-sig").replace(b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"), ""),
        (PLAIN.replace(",", ", "), "blanks around values left out"),
        (PLAIN.replace("00ab", " 00ab\t"), "blanks around values left out"),
        (PLAIN.replace("00ab", "\u00a000ab"), "blanks around values left out"),
        (PLAIN.replace("00ab,1", '"00ab" ,"1" '), ""),
        (PLAIN.replace("00ab,1", '" 00ab" , "1"'), "blanks around values left out"),
        ("\n\n" + PLAIN, "2 lines before the header left out"),
        (",,\n" + PLAIN, "1 line before the header left out"),
        ("# labels of 2021, by hand\n#\n" + PLAIN, "2 lines before the header left out"),
        ('"# labels, by hand"\n' + PLAIN, "1 line before the header left out"),
        ("\ufeff# labels\n" + PLAIN, "1 line before the header left out"),
        ("# labels\n# " + PLAIN, "1 line before the header left out"),
        ("# " + PLAIN, ""),
        ("sep=;\n" + PLAIN.replace(",", ";"), "semicolons between columns, 1 line before the header left out"),
        (PLAIN + ",\n , \n", "2 blank rows left out"),
        (PLAIN.replace("00ab,1", "00ab,1,,"), "blank fields at the end of 1 row left out"),
        (PLAIN.replace("\n", ",,\n"), ""),
        (PLAIN.replace(",0", ",False").replace(",1", ",True"), ""),
        (PLAIN.replace(",0", ",FALSE"), ""),
        (PLAIN.replace(",", ";").replace(";1", ";1,0").replace(";0", ";0,0"), "semicolons between columns"),
        (PLAIN.replace("00ab", "00ab.npy"), "ids taken out of file names or quotes"),
        (PLAIN.replace("00ab", "00ab.NPY"), "ids taken out of file names or quotes"),
        (PLAIN.replace("00ab", "train/0/00ab.npy"), "ids taken out of file names or quotes"),
        (PLAIN.replace("00ab", "/data/seti/train/0/00ab.npy"), "ids taken out of file names or quotes"),
        (PLAIN.replace("00ab", "train\\0\\00ab.npy"), "ids taken out of file names or quotes"),
        (PLAIN.replace("00ab", "train/00ab.npy"), "ids taken out of file names or quotes"),
        (PLAIN.replace("00ab", "0/00ab"), "ids taken out of file names or quotes"),
        (PLAIN.replace("0012", '"=""0012"""'), "ids taken out of file names or quotes"),
        (PLAIN.replace("0012", "'0012"), "ids taken out of file names or quotes"),
        (PLAIN.replace("0012", "'0012'"), "ids taken out of file names or quotes"),
    ],
)
def test_tables_of_spreadsheets_and_editors_are_read_and_it_is_said_how(tmp_path, caplog, content, said):
    assert read(tmp_path, content, caplog) == (LABELS, said)


def test_how_a_table_is_read_is_said_once(tmp_path, caplog, monkeypatch):
    assert read(tmp_path, PLAIN.replace(",", ";"), caplog)[1] != ""
    with caplog.at_level(logging.INFO):
        competition.read_labels(tmp_path)
        competition.check_overlap(tmp_path)
        monkeypatch.chdir(tmp_path)
        competition.read_labels(Path())
    assert len(caplog.records) == 1


def test_the_label_tables_digest_does_not_depend_on_how_it_is_written(tmp_path):
    digests = set()
    for content in (PLAIN, PLAIN.replace(",", ";").encode("utf-16"), PLAIN.replace("id,target", "ID , Target")):
        (tmp_path / competition.LABELS).write_bytes(content if isinstance(content, bytes) else content.encode())
        digests.add(fingerprint(competition.read_labels(tmp_path)))
    expected = hashlib.sha256(b"0012\n00ab\n1e10\n7" + bytes([0, 1, 1, 0])).hexdigest()[:16]
    assert digests == {expected}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            PLAIN.replace("00ab", "1.23E+14"),
            "TABLE has 1 ids that a spreadsheet took for numbers, first '1.23E+14', and their digits are lost: make "
            "the table again from the original, with the id column imported as text",
        ),
        (
            PLAIN.replace(",", ";").replace("00ab", "1,23E+14"),
            "TABLE has 1 ids that a spreadsheet took for numbers, first '1,23E+14', and their digits are lost: make "
            "the table again from the original, with the id column imported as text",
        ),
        (
            PLAIN.replace("00ab", "a b").replace("7", "1E+20").replace("0012", "12.0"),
            "TABLE has 2 ids that a spreadsheet took for numbers, first '12.0', and their digits are lost: make "
            "the table again from the original, with the id column imported as text",
        ),
        (
            PLAIN.replace("target", "label"),
            "TABLE has no column target: it has id, label; name its columns id, target",
        ),
        (
            PLAIN.replace("id,target", " id,tar get "),
            "TABLE has no column target: it has ' id', 'tar get '; name its columns id, target",
        ),
        (
            PLAIN.replace(",", " ") + "one more word\n",
            "TABLE has no column id, target: it has 'id target'; name its columns id, target",
        ),
        (
            PLAIN.partition("\n")[2],
            "TABLE has no column id, target: it has 0012, 0; name its columns id, target",
        ),
        (
            PLAIN.replace("id,target", "Id;ID;target").replace(",", ";"),
            "cannot read TABLE as a table: line 2 has 2 fields, the header 3; fix or replace the file",
        ),
        (
            "Id,ID,target\n1,2,0\n",
            "cannot read TABLE as a table: it has the column id twice: 'Id', 'ID'; fix or replace the file",
        ),
        (
            "id,target,target\n1,0,0\n",
            "cannot read TABLE as a table: its first line does not name columns, each once; fix or replace the file",
        ),
        (
            "# by hand\n\n" + PLAIN + "8;1\n",
            "cannot read TABLE as a table: line 8 has 1 fields, the header 2; fix or replace the file",
        ),
        (
            PLAIN.replace("00ab,1", "00ab,1,1"),
            "cannot read TABLE as a table: line 3 has 3 fields, the header 2; fix or replace the file",
        ),
        (
            PLAIN.replace("00ab,1", '"00ab'),
            "cannot read TABLE as a table: line 5: unexpected end of data; fix or replace the file",
        ),
        (
            PLAIN.replace("00ab,1", "00ab, yes "),
            "TABLE has 1 targets other than 0 and 1, first 'yes' for id 00ab: fix the table",
        ),
        (
            PLAIN.replace("00ab,1", "00ab,1 0"),
            "TABLE has 1 targets other than 0 and 1, first '1 0' for id 00ab: fix the table",
        ),
        (
            PLAIN.replace("00ab,1", "00ab,"),
            "TABLE has 1 targets other than 0 and 1, first '' for id 00ab: fix the table",
        ),
        (
            PLAIN.replace("00ab", "1/00ab.npy"),
            "TABLE has 1 ids that cannot name a file, first '1/00ab.npy': ids are letters, digits, _ and -",
        ),
        (
            PLAIN.replace("00ab", "0\u0430b"),
            "TABLE has 1 ids that cannot name a file, first '0\u0430b': ids are letters, digits, _ and -",
        ),
        (PLAIN.replace("0012", "7.npy"), "TABLE lists 1 ids twice, first 7: keep one row an id"),
        (
            b"PK\x03\x04 and the rest of a workbook",
            "cannot read TABLE as a table: it is a workbook or a zip archive, not text: export it as csv; "
            "fix or replace the file",
        ),
        (
            b"\xff\xfei\x00d\x00,",
            "cannot read TABLE as a table: 'utf-16-le' codec can't decode byte 0x2c in position 6: truncated data; "
            "fix or replace the file",
        ),
        (
            b"",
            "cannot read TABLE as a table: its first line does not name columns, each once; fix or replace the file",
        ),
    ],
)
def test_tables_that_have_no_one_meaning_are_refused(tmp_path, content, message):
    assert refusal(tmp_path, content) == message


def test_the_sample_submission_and_test_labels_are_read_the_same_way(tmp_path, caplog):
    (tmp_path / competition.SUBMISSION).write_bytes("ID;Target\nc;0,5\na;0,5\n".encode("utf-16"))
    (tmp_path / competition.TEST_LABELS).write_text("Id\tTarget\nc\t1\na\t0\n")
    with caplog.at_level(logging.INFO):
        assert competition.read_test_ids(tmp_path).tolist() == ["c", "a"]
        assert competition.read_test_labels(tmp_path).to_dict("list") == {"id": ["c", "a"], "target": [1, 0]}
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / competition.SUBMISSION} is read with semicolons between columns, UTF-16 text, the column names "
        "ID in lower case",
        f"{tmp_path / competition.TEST_LABELS} is read with tabs between columns, the column names Id, Target in "
        "lower case",
    ]


@pytest.mark.parametrize(
    ("file", "cadence_id", "fix"),
    [
        ("00ab", "00AB", "but 00ab.npy is there: write the ids in the case of the files' names"),
        ("ABCD", "abcd", "but ABCD.npy is there: write the ids in the case of the files' names"),
        (
            "0012",
            "12",
            "but 0012.npy is there: a spreadsheet took the leading zeros off the ids; make the table again with the "
            "id column imported as text",
        ),
        ("0abc", "abc", "add the files or take the ids out of the table"),
    ],
)
def test_a_file_of_almost_the_ids_name_is_named(tmp_path, file, cadence_id, fix):
    make_cadences(tmp_path, "train", [file, "99"])
    with pytest.raises(SetiError) as caught:
        competition.check_files(tmp_path, "train", pd.Series([cadence_id, "99"]))
    path = competition.cadence_path(tmp_path, "train", cadence_id)
    assert str(caught.value) == f"1 of 2 train ids have no file ({cadence_id}): {path} is missing; {fix}"
    reason = "there is no such file" + (f", {fix}" if fix.startswith("but") else "")
    assert competition.find_unfit(tmp_path, "train", [cadence_id, "99"]) == {cadence_id: reason}


@pytest.mark.parametrize(
    ("content", "remarks"),
    [
        ('"id,target"\n"a,1"\n"b,0"\n', ["quotes around whole rows left out"]),
        ('"id;target"\r\n"a;1"\r\n"b;0"\r\n', ["semicolons between columns", "quotes around whole rows left out"]),
        ("id target\na 1\nb  0\n", ["blanks between columns"]),
        ("id   target\n\n  a  1\n  b  0\n", ["blanks between columns"]),
        ("# made by hand\nid target\na 1\nb 0\n", ["blanks between columns", "1 line before the header left out"]),
        ('"id target"\n"a 1"\n"b 0"\n', ["quotes around whole rows left out", "blanks between columns"]),
        ('"id","target"\n"a","1"\n"b","0"\n', []),
    ],
)
def test_rows_in_quotes_and_columns_apart_by_blanks_have_one_meaning(content, remarks):
    raw = table_text.read_rows(content.encode(), ["id", "target"])
    assert (raw.header, raw.rows, raw.remarks) == (["id", "target"], [["a", "1"], ["b", "0"]], remarks)


def test_rows_of_unequal_numbers_of_words_are_not_columns_apart_by_blanks():
    assert table_text.read_rows(b"id target\na b 1\n", ["id", "target"]).header == ["id target"]
