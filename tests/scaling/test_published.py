"""The table of published models: its sources exist, its order is that of time, its numbers agree with each other."""

import re
from pathlib import Path

import pytest

from companion.scaling.published import MODELS, PublishedModel, model
from tests.conftest import rejects

BIBLIOGRAPHY = Path(__file__).parents[2] / "book" / "references.bib"
ENTRY = {
    "name": "a",
    "organisation": "b",
    "month": "2020-05",
    "compute": 1e20,
    "origin": "published",
    "sources": ("c",),
}


class TestTable:
    def test_every_source_is_in_the_bibliography(self) -> None:
        keys = set(re.findall(r"^@\w+\{([^,\s]+)", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.M))
        assert {key for one in MODELS for key in one.sources} <= keys

    def test_names_are_unique_and_dates_in_order(self) -> None:
        assert len({one.name for one in MODELS}) == len(MODELS)
        assert [one.date for one in MODELS] == sorted(one.date for one in MODELS)

    def test_compute_is_six_n_d_where_all_three_are_published(self) -> None:
        """6 N D within 5 %: attention over the context and rounding are the rest."""
        checked = [one for one in MODELS if one.origin == "published" and one.six_nd is not None]
        assert len(checked) >= 3
        for one in checked:
            assert one.compute == pytest.approx(one.six_nd, rel=0.05), one.name

    def test_derived_compute_counts_the_parameters_that_a_token_uses(self) -> None:
        """Counting all experts would make DeepSeek-V3 eighteen times as dear as it was."""
        one = model("DeepSeek-V3")
        assert one.origin == "derived"
        assert one.compute == one.six_nd < 6 * one.stored * one.tokens / 18

    def test_price_of_deepseek_v3_is_its_hours_at_two_dollars(self) -> None:
        assert model("DeepSeek-V3").dollars == 2_788_000 * 2

    def test_tokens_per_parameter(self) -> None:
        assert model("Chinchilla").tokens_per_parameter == pytest.approx(20)
        assert model("GPT-4").tokens_per_parameter is None
        assert model("Chinchilla").year == pytest.approx(2022 + 2 / 12)


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"month": "2020-13"}, "month: got '2020-13'"),
            ({"month": "2020"}, "month: got '2020'"),
            ({"origin": "guess"}, "origin"),
            ({"compute": 0}, "compute"),
            ({"tokens": -1.0}, "tokens"),
            ({"parameters": 2.0, "stored": 1.0}, "stored: got 1"),
            ({"stored": 1.0}, "stored: got 1"),
            ({"sources": ()}, "sources: got none"),
        ],
    )
    def test_entry(self, changes: dict, text: str) -> None:
        with rejects(text):
            PublishedModel(**{**ENTRY, **changes})

    def test_unknown_name(self) -> None:
        with rejects("name"):
            model("GPT-99")
