r"""The training compute of published models: when, by whom, on how many operations and tokens, for how many dollars.

A figure is ``published`` if the makers print it, an ``estimate`` if others worked it out (Epoch AI, from hardware or from
benchmarks, good to a factor of two or so), and ``derived`` if it is :math:`6 N D` of the makers' own N and D. What is not
known is None. The sources stand in the book's bibliography under `PublishedModel.sources`.

Sources: Vaswani et al., arXiv:1706.03762, table 2; Brown et al., arXiv:2005.14165, table D.1; Hoffmann et al.,
arXiv:2203.15556; Grattafiori et al., arXiv:2407.21783; DeepSeek-AI, arXiv:2412.19437, table 1; Epoch AI's database of
models; Karpathy's nanochat, January 2026.

Departures: dates are months, of the first paper or announcement; a model of experts counts with the parameters that a token
uses (``parameters``) and with all of them (``stored``).
"""

import datetime
import re
from dataclasses import dataclass
from typing import Literal

from companion.scaling.flops import six_nd
from companion.validate import Positive, check_choice, checked

__all__ = ["MODELS", "PublishedModel", "model"]


@checked
@dataclass(frozen=True)
class PublishedModel:
    """One trained model.

    Attributes:
        name: as its makers write it.
        organisation: who trained it.
        month: of its paper or announcement, ``"2020-05"``.
        compute: operations of the training run.
        origin: where ``compute`` comes from.
        sources: keys of the bibliography.
        parameters: N, those that one token uses.
        stored: all parameters, where they are more than ``parameters``.
        tokens: D, on which it was trained.
        dollars: the published price of the final run, as rented hardware; no salaries, no failed runs.
    """

    name: str
    organisation: str
    month: str
    compute: Positive
    origin: Literal["published", "estimate", "derived"]
    sources: tuple[str, ...]
    parameters: Positive | None = None
    stored: Positive | None = None
    tokens: Positive | None = None
    dollars: Positive | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", self.month):
            raise ValueError(f"month: got {self.month!r}, wanted one such as '2020-05'")
        if self.stored is not None and (self.parameters is None or self.stored < self.parameters):
            raise ValueError(f"stored: got {self.stored:g}, wanted at least the parameters, {self.parameters}")
        if not self.sources:
            raise ValueError(f"sources: got none for {self.name}, wanted at least one key of the bibliography")

    @property
    def date(self) -> datetime.date:
        """The first day of the month, for axes of time."""
        return datetime.date.fromisoformat(f"{self.month}-01")

    @property
    def year(self) -> float:
        """The month as a year and a fraction, for fits."""
        return self.date.year + (self.date.month - 1) / 12

    @property
    def six_nd(self) -> float | None:
        """6 N D, where both are known."""
        return None if self.parameters is None or self.tokens is None else float(six_nd(self.parameters, self.tokens))

    @property
    def tokens_per_parameter(self) -> float | None:
        return None if self.parameters is None or self.tokens is None else self.tokens / self.parameters


MODELS = (
    PublishedModel("Transformer (big)", "Google", "2017-06", 2.3e19, "published", ("vaswani2017attention",), 213e6),
    PublishedModel("GPT-3", "OpenAI", "2020-05", 3.14e23, "published", ("brown2020language",), 175e9, None, 300e9),
    PublishedModel(
        "Chinchilla", "DeepMind", "2022-03", 5.76e23, "published", ("hoffmann2022training",), 70e9, None, 1.4e12
    ),
    PublishedModel("GPT-4", "OpenAI", "2023-03", 2.1e25, "estimate", ("epoch2026models",)),
    PublishedModel("Gemini 1.0 Ultra", "Google DeepMind", "2023-12", 5.0e25, "estimate", ("epoch2026models",)),
    PublishedModel(
        "Llama 3.1 405B", "Meta", "2024-07", 3.8e25, "published", ("grattafiori2024llama3",), 405e9, None, 15.6e12
    ),
    PublishedModel(
        "DeepSeek-V3",
        "DeepSeek-AI",
        "2024-12",
        6 * 37e9 * 14.8e12,
        "derived",
        ("deepseek2024v3",),
        37e9,
        671e9,
        14.8e12,
        5.576e6,
    ),
    PublishedModel("nanochat", "Karpathy", "2026-01", 4.33e19, "published", ("karpathy2026nanochat",), dollars=73),
)


def model(name: str) -> PublishedModel:
    """The model of that name.

    Raises:
        ValueError: a name that is not in the table.
    """
    check_choice("name", name, tuple(one.name for one in MODELS))
    return next(one for one in MODELS if one.name == name)
