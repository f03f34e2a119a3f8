"""How alike written and wanted texts are: BLEU and chrF by sacrebleu, ROUGE by rouge-score.

*BLEU* (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002) counts runs of one to four
words that stand in the wanted text too, over all texts together, and lowers the result where the texts are too short. *chrF*
(Popović, WMT 2015) does so for runs of one to six characters and also counts what is missing. *ROUGE* (Lin, "ROUGE: a package for
automatic evaluation of summaries", 2004): ROUGE-L measures, text by text, the longest sequence of words that both have in order.

Which words there are depends on the tokenizer, so numbers of two programs do not compare (Post, "A call for clarity in reporting
BLEU scores", WMT 2018, arXiv:1804.08771). Nothing is counted here anew: both libraries are called.
"""

from collections.abc import Sequence

from companion.validate import checked


@checked
def bleu(written: Sequence[str], wanted: Sequence[str]) -> float:
    """Corpus BLEU, from 0 to 100: sacrebleu's default, words by its ``13a`` tokenizer.

    Args:
        written: by the model.
        wanted: one reference for each.

    Raises:
        ValueError: no texts, or not one wanted for each.
    """
    _check(written, wanted)
    import sacrebleu

    return sacrebleu.corpus_bleu(list(written), [list(wanted)]).score


@checked
def chrf(written: Sequence[str], wanted: Sequence[str]) -> float:
    """Corpus chrF, from 0 to 100: sacrebleu's default, runs of up to six characters. Arguments and errors as `bleu`."""
    _check(written, wanted)
    import sacrebleu

    return sacrebleu.corpus_chrf(list(written), [list(wanted)]).score


@checked
def rouge_l(written: Sequence[str], wanted: Sequence[str]) -> list[float]:
    """The F-measure of ROUGE-L of each text, from 0 to 1; without a stemmer. Arguments and errors as `bleu`."""
    _check(written, wanted)
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return [scorer.score(right, mine)["rougeL"].fmeasure for mine, right in zip(written, wanted, strict=True)]


def _check(written: Sequence[str], wanted: Sequence[str]) -> None:
    if not written or len(written) != len(wanted):
        raise ValueError(f"written: got {len(written)} texts for {len(wanted)} wanted ones, wanted one for each")
