"""Reading texts and labels from files."""

import pytest

from apps.cli import UserError
from apps.records import decode_lines, is_table, read_rows
from apps.sentiment.predict import _batches


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_rows_may_hold_commas_quotes_and_line_breaks(tmp_path):
    path = write(tmp_path / "r.csv", 'label,text\r\n1,"Good, ""very""\ngood"\r\n0,bad\r\n')
    rows = [row for _, row in read_rows(path, ("text", "label"))]
    assert rows == [{"label": "1", "text": 'Good, "very"\ngood'}, {"label": "0", "text": "bad"}]


def test_tsv_and_jsonl_hold_the_same(tmp_path):
    tsv = write(tmp_path / "r.tsv", "text\tlabel\nété, oui\t1\n")
    jsonl = write(tmp_path / "r.jsonl", '\n{"text": "été, oui", "label": "1", "stars": 5}\n')
    assert [row["text"] for _, row in read_rows(tsv, ("text", "label"))] == ["été, oui"]
    assert [row["text"] for _, row in read_rows(jsonl, ("text", "label"))] == ["été, oui"]


def test_a_byte_order_mark_is_dropped(tmp_path):
    path = write(tmp_path / "r.csv", "\ufefftext,label\na,1\n")
    assert [row["text"] for _, row in read_rows(path, ("text",))] == ["a"]


def test_a_field_may_be_very_long(tmp_path):
    path = write(tmp_path / "r.csv", f"text,label\n{'word ' * 200_000},1\n")
    assert len(next(read_rows(path, ("text",)))[1]["text"]) == 1_000_000


def test_rows_are_read_one_at_a_time():
    def endless():
        while True:
            yield b"a line\n"

    lines = decode_lines(endless(), "pipe")
    assert next(_batches(lines, 3)) == ["a line\n"] * 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "r.csv",
            b"text,label\ngood,1\nbad \xff,0\n",
            "line 3: byte 5 of the line is not UTF-8",
        ),
        ("r.csv", "review,label\ngood,1\n", "line 2: there is no column 'text'"),
        ("r.csv", "text,label\ngood\n", "line 2: label is missing"),
        ("r.csv", 'text,label\n"good"x,1\n', "Quote fields"),
        ("r.jsonl", '{"text": "a", "label": 1}\n{"text"', "line 2: not JSON"),
        ("r.jsonl", "[1, 2]\n", "line 1: not a JSON object"),
        ("r.jsonl", '{"text": null, "label": 1}', "line 1: text is missing"),
        ("r.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("r.jsonl", '{"text": "a\\ud800", "label": 1}', "character 2 is no valid Unicode"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message) as error:
        list(read_rows(path, ("text", "label")))
    assert str(path) in str(error.value)


def test_tables_are_known_by_their_ending(tmp_path):
    assert all(is_table(tmp_path / name) for name in ("a.csv", "a.TSV", "a.jsonl", "a.json"))
    assert not is_table(tmp_path / "a.txt")
