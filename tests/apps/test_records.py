"""Reading texts and labels from files."""

from pathlib import Path

import pytest

from apps import records
from apps.errors import UserError
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


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.txt", "reviews"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_shows_the_delimiter(tmp_path, name, delimiter):
    rows = ["id,text,label", '1,"good; a\tb | c, d",1', "2,bad,0"]
    header, *rows = [row.replace(",", delimiter) for row in rows]
    path = write(tmp_path / name, "\n".join([header, *rows, ""]))
    texts = [row["text"] for _, row in read_rows(path, ("text", "label"))]
    assert texts == [f"good; a\tb | c{delimiter} d", "bad"]


def test_a_delimiter_may_be_given(tmp_path):
    path = write(tmp_path / "r.csv", "text,a:label\ngood,b:1\n")
    ((_, row),) = read_rows(path, ("label",), delimiter=":")
    assert row == {"text,a": "good,b", "label": "1"}


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
        (
            "r.csv",
            "review,label\ngood,1\n",
            "line 1: there is no column 'text'; there are: review, label. Name the col",
        ),
        ("r.jsonl", '{"label": 1}', "line 1: there is no column 'text'; there are: label"),
        ("r.csv", "text,label\ngood\n", "line 2: label is missing"),
        ("r.csv", 'text,label\n"good"x,1\n', "Quote fields"),
        ("r.csv", 'text,label\n"a ""b"",\n c",1\nok,1\n"open,0\na,1\n', "line 6: .* line 5\\."),
        ("r.csv", 'text,label\nok,1\n"open,0\na,1\n"shut",0\n', "line 5: .* opens in line 3"),
        ("r.csv", 'text,label\n"a\nb",1,"open\n\n', "line 4: .* opens in line 3"),
        ("r.csv", "text,label,text\ngood,1,bad\n", "line 1: there are 2 columns 'text'"),
        (
            "r.csv",
            "text,label\ngood,1\nso, so,1\n",
            "line 3: there are 3 fields, but 2 columns",
        ),
        ("r.tsv", "text\tlabel\ngood\tor\t1\n", "fields that hold a tab"),
        ("r.csv", 'text,label\n"a\nb"\n', "lines 2 to 3: label is missing"),
        ("r.csv", "text,label\ngood,1\nb\0d,0\n", "line 3: character 2 of the line is NUL"),
        ("r.jsonl", '{"text": "a", "label": 1, "text": "b"}', "'text' stands there twice"),
        ("r.jsonl", '{"text": ["a"], "label": 1}', "text is not a text"),
        ("r.jsonl", '{"text": %s, "label": 1}' % ("9" * 5000), "line 1: not JSON: Exceeds"),
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


def test_a_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(records, "_LONGEST", 1000)
    with Path("/dev/zero").open("rb") as endless:
        lines = records.read_lines(endless, "zeros")
        with pytest.raises(UserError, match="zeros, line 1: the line is longer than 1,000 by"):
            next(lines)


def test_an_open_quote_does_not_swallow_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_LONGEST", 1000)
    path = write(tmp_path / "r.csv", 'text,label\n"open,1\n' + "good,1\n" * 500)
    with pytest.raises(UserError, match="field larger than field limit .* opens in line 2"):
        list(read_rows(path, ("text", "label")))


def test_tables_are_known_by_their_ending(tmp_path):
    assert all(is_table(tmp_path / name) for name in ("a.csv", "a.TSV", "a.jsonl", "a.json"))
    assert not is_table(tmp_path / "a.txt")
