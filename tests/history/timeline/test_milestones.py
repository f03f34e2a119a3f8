"""The milestones: every source exists, the order is that of time, and the dates that are easily got wrong are right."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from companion.history.timeline import FAMILIES, MILESTONES, ancestors, milestone, years_between
from tests.conftest import rejects

BIBLIOGRAPHY = (Path(__file__).parents[3] / "book" / "references.bib").read_text(encoding="utf-8")


def entry(key: str) -> str:
    """The text of one entry of the bibliography."""
    return re.search(rf"^@\w+\{{{re.escape(key)},(.*?)^\}}", BIBLIOGRAPHY, re.M | re.S).group(1)


def test_every_source_stands_in_the_bibliography_with_the_first_authors_name() -> None:
    keys = set(re.findall(r"^@\w+\{([^,]+),", BIBLIOGRAPHY, re.M))
    assert {m.key for m in MILESTONES} <= keys
    for m in MILESTONES:
        if m.name not in ("Stable Diffusion", "ChatGPT", "DeepSeek-R1"):  # announced by organisations
            assert m.authors.split(",")[0].split()[-1] in entry(m.key), m.name


def test_each_day_is_in_the_month_that_its_arxiv_number_gives() -> None:
    checked = 0
    for m in MILESTONES:
        number = re.search(r"eprint\s*=\s*\{(\d\d)(\d\d)\.\d+\}", entry(m.key))
        if number:
            assert (m.day.year - 2000, m.day.month) == tuple(map(int, number.groups())), m.name
            checked += 1
    # All but three of journals, GPT, Stable Diffusion and ChatGPT.
    assert checked == len(MILESTONES) - 6


def test_a_paper_of_a_journal_has_the_year_of_its_issue() -> None:
    old = [m for m in MILESTONES if m.day.year < 2013]
    assert [m.name for m in old] == ["Counted text", "LSTM", "Neural language model"]
    for m in old:
        assert re.search(r"year\s*=\s*\{(\d+)\}", entry(m.key))[1] == str(m.day.year) and m.day.day == 1, m.name


def test_the_number_of_authors_is_that_of_the_source() -> None:
    for m in MILESTONES:
        if m.name not in ("Stable Diffusion", "ChatGPT", "DeepSeek-R1"):
            others = re.search(r"and (\d+) others", m.authors)
            named = m.authors.split(" and ")[0].count(",") + 1
            listed = re.search(r"author\s*=\s*\{(.*)\},?\s*$", entry(m.key), re.M).group(1)
            if not listed.endswith("others"):
                assert named + (int(others[1]) if others else 0) == listed.count(" and ") + 1, m.name


def test_days_are_in_order_names_unique_and_parents_earlier() -> None:
    days = [m.day for m in MILESTONES]
    assert days == sorted(days) and len({m.name for m in MILESTONES}) == len(MILESTONES)
    for m in MILESTONES:
        assert all(milestone(parent).day < m.day for parent in m.builds_on), m.name
    assert {m.family for m in MILESTONES} == set(FAMILIES)


@pytest.mark.parametrize(
    ("name", "year", "month"),
    [("VAE", 2013, 12), ("GAN", 2014, 6), ("Diffusion", 2015, 3), ("Transformer", 2017, 6), ("GPT", 2018, 6),
     ("DDPM", 2020, 6), ("Stable Diffusion", 2022, 8)],
)  # fmt: skip
def test_dates_that_are_easily_got_wrong(name: str, year: int, month: int) -> None:
    assert (milestone(name).day.year, milestone(name).day.month) == (year, month)
    assert milestone("ChatGPT").day == date(2022, 11, 30)


def test_lines_of_descent() -> None:
    assert [m.name for m in ancestors("GPT")] == ["Attention", "Transformer"]
    stable = [m.name for m in ancestors("Stable Diffusion")]
    assert stable == ["VAE", "Diffusion", "VQ-VAE", "Score networks", "DDPM", "Latent diffusion"]
    assert ancestors("VAE") == ()
    assert all(m.day < milestone("ChatGPT").day for m in ancestors("ChatGPT"))


def test_years_between() -> None:
    assert years_between("Transformer", "GPT") == pytest.approx(364 / 365.25)
    assert years_between("GPT", "Transformer") == -years_between("Transformer", "GPT")


def test_bad_input() -> None:
    for call, pattern in [
        (lambda: milestone("GPT-7"), "name: got 'GPT-7'"),
        (lambda: ancestors("gan"), "name: got 'gan'"),
        (lambda: replace(MILESTONES[0], family="magic"), "family: got 'magic'"),
        (lambda: replace(MILESTONES[0], key=" "), "key: got nothing"),
    ]:
        with rejects(pattern):
            call()
