r"""How alike written and wanted texts are: BLEU and chrF by sacrebleu, and ROUGE-L.

*BLEU* (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002) counts runs of one to
four words that stand in the wanted text too, over all texts together, and lowers the result where the texts are too short.
*chrF* (Popović, WMT 2015) does so for runs of one to six characters and also counts what is missing. *ROUGE-L* (Lin, "ROUGE: a
package for automatic evaluation of summaries", 2004) measures, text by text, the longest sequence of words that both have:
with \ell its length, m words written and n wanted,

    P = \ell / m,    R = \ell / n,    F = 2 P R / (P + R)                                      (eq-rouge-l)

Which words there are depends on the tokenizer, so numbers of two programs do not compare (Post, "A call for clarity in
reporting BLEU scores", WMT 2018, arXiv:1804.08771). BLEU and chrF are sacrebleu's. ROUGE-L is written out here because the
package rouge-score takes eight seconds to import; the tests hold it to that package's values.
"""

import re
from collections.abc import Sequence

from companion.validate import checked


@checked
def bleu(written: Sequence[str], wanted: Sequence[str]) -> float:
    """Corpus BLEU, from 0 to 100: sacrebleu's default, words by its ``13a`` tokenizer.

    Args:
        written: by the model.
        wanted: one reference for each.

    Raises:
        ValueError: no texts, not one wanted for each, or a single string.
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
    """The F-measure of ROUGE-L of each text (eq-rouge-l), from 0 to 1, as rouge-score has it without a stemmer.

    Words are runs of the letters a to z and of digits, in lower case. Arguments and errors as `bleu`.
    """
    _check(written, wanted)
    values = []
    for text, right in zip(written, wanted, strict=True):
        a, b = (re.findall(r"[a-z0-9]+", one.lower()) for one in (text, right))
        common = longest_common(a, b)
        values.append(2 * common / (len(a) + len(b)) if common else 0.0)  # 2PR/(P + R), shortened
    return values


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest sequence that stands in both, in order, with gaps allowed."""
    best = [0] * (len(b) + 1)  # of the part of a read so far and each beginning of b
    for x in a:
        before = 0  # the last row's value, one place to the left
        for j, y in enumerate(b, 1):
            before, best[j] = best[j], before + 1 if x == y else max(best[j], best[j - 1])
    return best[-1]


def _check(written: Sequence[str], wanted: Sequence[str]) -> None:
    if isinstance(written, str) or isinstance(wanted, str):
        raise ValueError("written, wanted: got a single string, wanted a list of texts for each")
    if not written or len(written) != len(wanted):
        raise ValueError(f"written: got {len(written)} texts for {len(wanted)} wanted ones, wanted one for each")
