"""How often an exported model is wrong, on pairs of texts."""

from pathlib import Path

import rich
from rich.progress import track

from apps.errors import warn
from apps.exported import announce, find_model, load_signature, read_config
from apps.plain_json import to_line
from apps.quiet import quiet_tensorflow
from apps.tables import make_table
from apps.transduce import data
from apps.transduce.config import Evaluate
from apps.transduce.predict import BATCH_SIZE, SIGNATURE, transduce


def run(options: Evaluate) -> dict:
    """Scores the model, prints the scores and returns them."""
    # First what fails at once: a model that is not there, and then the data.
    find_model(options.model, "transduce")
    source, pairs = data.load_for_evaluation(options)
    signature, folder = load_signature(options.model, "transduce", *SIGNATURE)
    announce(options.model, folder)
    trained_on = read_config(folder).get("data_source")
    if options.data not in data.NAMES and trained_on == Path(source).name:
        warn(
            "this model was trained on most of the pairs of a file with this name, so these "
            "error rates are too low. The model card has those on held-out pairs."
        )
    scores = score(signature, folder, pairs, options.beam, show_progress=not options.json)
    if options.json:
        print(to_line({"model": str(folder), "data_source": source, **scores}))
        return scores
    from apps.transduce.rates import as_percent

    print(f"data: {source}")
    figures = {
        **as_percent(scores),
        "sources": f"{scores['num_sources']:,}",
        "beam": f"{options.beam:,}",
    }
    rich.print(make_table("scores", figures))
    return scores


def score(
    signature, folder: Path, pairs: data.Pairs, beam: int, show_progress: bool = False
) -> dict:
    """The error rates of what an exported model writes for sources.

    Args:
        signature: `nbest` of the model.
        folder: of the model.
        pairs: sources, each with the targets that are right.
        beam: of the search.
        show_progress: whether to draw a bar.
    """
    with quiet_tensorflow():
        from apps.transduce.rates import error_rates

    sources = sorted(pairs.targets, key=len)  # texts of similar length together
    written: list[str] = []
    starts = range(0, len(sources), BATCH_SIZE)
    for start in track(starts, "scoring", disable=not show_progress, transient=True):
        found = transduce(signature, sources[start : start + BATCH_SIZE], beam)
        written += [best[0].text for best in found]
    split_by = str(read_config(folder).get("target_split", "whitespace"))
    rates = error_rates(written, [pairs.targets[source] for source in sources], split_by)
    return {**rates._asdict(), "num_sources": len(sources), "beam": beam}
