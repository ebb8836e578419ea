"""Word vectors from how often words stand near each other."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import tensorflow as tf

from kerasrnn.checks import check_positive_integer
from kerasrnn.text.words import UNKNOWN_WORD_ID

SMOOTHING = 0.75
"""The power of context counts, which makes rare contexts count less (Levy et al. 2015)."""
MANY_WORDS = 1000
"""Above this number, only the largest singular values are computed."""
SMALLEST_VALUE = 1e-4
"""Of a singular value, relative to the largest, that is more than rounding."""


def word_vectors(
    ids: tf.RaggedTensor, num_words: int, size: int, window: int = 5
) -> np.ndarray:
    """Vectors of words: words that stand near the same words have similar vectors.

    Let n(w, c) be how often word c stands near word w, and p its share of all counts. The
    matrix of

        max(0, log(p(w, c) / (p(w) p(c))))

    (positive pointwise mutual information, where p(c) is smoothed by the power 0.75) is
    approximated by a truncated singular value decomposition, U S V^T. The vectors are the rows
    of U sqrt(S), scaled to length 1. A distance of d words counts (window + 1 - d) / window.

    Args:
        ids: the ids of the words of each text, `(texts, None)`.
        num_words: the size of the vocabulary.
        size: the size of the vectors. At most `num_words - 1` entries are used; the rest are
            zero.
        window: how many words before and after a word are near it. Default: 5.

    Returns:
        float32 `(num_words, size)`. Padding, unknown words and words without neighbours have
        zeros. The same texts give the same vectors.

    Raises:
        ValueError: if a size is not a positive integer, or `ids` is not a `tf.RaggedTensor`.

    Reference: O. Levy et al., "Improving distributional similarity with lessons learned from
    word embeddings", 2015, doi:10.1162/tacl_a_00134.

    Example:

    >>> from kerasrnn.text.words import Vocabulary
    >>> vocabulary = Vocabulary.from_texts(["a good film", "a bad film", "we saw it"], 9)
    >>> ids = vocabulary.encode(["a good film", "a bad film", "we saw it"], max_length=9)
    >>> vectors = word_vectors(ids, len(vocabulary), size=2)
    >>> good, bad, saw = (vectors[vocabulary.words.index(w)] for w in ("good", "bad", "saw"))
    >>> bool(np.allclose(good, bad, atol=1e-5)), bool(np.allclose(good, saw, atol=1e-5))
    (True, False)
    """
    for name, value in {"num_words": num_words, "size": size, "window": window}.items():
        check_positive_integer(name, value)
    if not isinstance(ids, tf.RaggedTensor):
        raise ValueError(f"ids must be a tf.RaggedTensor, got {type(ids).__name__}.")
    information = _mutual_information(_count_pairs(ids, num_words, window))
    rank = min(size, num_words - 1)
    vectors = np.zeros([num_words, size], np.float32)
    if information.nnz and rank:
        left, values = _decompose(information, rank)
        values[values < SMALLEST_VALUE * values.max()] = 0  # their vectors are arbitrary
        vectors[:, :rank] = left * np.sqrt(values)
        vectors[np.diff(information.indptr) == 0] = 0  # and not nearly 0
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def _decompose(matrix, rank):
    """The left singular vectors and the values of a matrix, the largest first."""
    if matrix.shape[0] <= MANY_WORDS:
        left, values, _ = np.linalg.svd(matrix.toarray())
        return left[:, :rank], values[:rank]
    start = np.ones(matrix.shape[0], np.float32)  # the same each time
    left, values, _ = scipy.sparse.linalg.svds(matrix, rank, v0=start)
    return left[:, ::-1], values[::-1].copy()


def _count_pairs(ids, num_words, window):
    """How often each pair of known words stands near each other, nearer pairs more."""
    words, texts = ids.flat_values.numpy(), ids.value_rowids().numpy()
    counts = scipy.sparse.csr_matrix((num_words, num_words), dtype=np.float32)
    for distance in range(1, min(window, len(words) - 1) + 1):
        before, after = words[:-distance], words[distance:]
        near = texts[:-distance] == texts[distance:]
        near &= (before > UNKNOWN_WORD_ID) & (after > UNKNOWN_WORD_ID)
        share = np.full(near.sum(), (window + 1 - distance) / window, np.float32)
        pairs = (share, (before[near], after[near]))
        counts += scipy.sparse.coo_matrix(pairs, counts.shape).tocsr()
    return (counts + counts.T).tocoo()


def _mutual_information(counts):
    """The positive pointwise mutual information of words and contexts."""
    of_word = np.bincount(counts.row, counts.data, counts.shape[0])
    of_context = of_word**SMOOTHING
    share = of_context[counts.col] / max(of_context.sum(), 1e-9)
    information = np.log(counts.data / (of_word[counts.row] * share))
    positive = information > 0
    return scipy.sparse.csr_matrix(
        (
            information[positive].astype(np.float32),
            (counts.row[positive], counts.col[positive]),
        ),
        counts.shape,
    )
