"""A baseline without a network: the target of the most similar training source."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich
from rich.progress import track

from apps.errors import UserError
from apps.plain_json import to_line
from apps.quiet import quiet_tensorflow
from apps.tables import make_table
from apps.transduce import data
from apps.transduce.config import Baseline

LONGEST_GRAM = 4
"""Characters of the longest n-gram that is compared."""
BATCH_SIZE = 256


def run(options: Baseline) -> dict:
    """Scores the baseline on the test split, prints the scores and returns them."""
    loaded = data.load(options.data)
    splits = data.split(loaded, options)
    training, test = splits["train"].targets, splits["test"].targets
    written = find_nearest(training, list(test), show_progress=not options.json)
    with quiet_tensorflow():
        from apps.transduce.rates import as_percent, error_rates

    split_by = options.target_split or data.guess_split([t for _, t in splits["train"]])
    rates = error_rates(written, list(test.values()), split_by)
    scores = {**rates._asdict(), "num_sources": len(test)}
    if options.json:
        print(to_line({"data_source": loaded.source, **scores}))
        return scores
    print(f"data: {loaded.source}, test split")
    figures = {**as_percent(scores), "sources": f"{len(test):,}"}
    rich.print(make_table("target of the most similar source", figures))
    return scores


def find_nearest(
    training: dict[str, list[str]], sources: Sequence[str], show_progress: bool = False
) -> list[str]:
    """The first target of the training source that shares the most n-grams with each source.

    N-grams of one to `LONGEST_GRAM` characters are compared, rare ones count more (the cosine
    of TF-IDF vectors).

    Raises:
        UserError: if scikit-learn is not installed.
    """
    vectorizer = _import_vectorizer()(
        analyzer="char_wb", ngram_range=(1, LONGEST_GRAM), lowercase=False
    )
    known = list(training)
    vectors = vectorizer.fit_transform(known).T.tocsr()
    written = []
    starts = range(0, len(sources), BATCH_SIZE)
    for start in track(starts, "comparing", disable=not show_progress, transient=True):
        batch = vectorizer.transform(sources[start : start + BATCH_SIZE])
        nearest = np.asarray((batch @ vectors).argmax(axis=1)).ravel()
        written += [training[known[index]][0] for index in nearest]
    return written


def _import_vectorizer() -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise UserError(
            "the baseline needs scikit-learn. Install it: python -m pip install scikit-learn"
        ) from None
    return TfidfVectorizer
