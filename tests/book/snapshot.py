"""Make the frozen snapshot of the book's pages: ``python -m tests.book.snapshot`` writes
``companion/data/book_pages.json.gz``.

Passages are the prose of the lessons, cut at headings and cells and into 60 to 150 words where a section is long;
formulas on lines of their own, code, exercises, summaries and what a lesson promises at its start are left out. Each
figure's caption and each claim is a question whose answer stands in the passage before it or in the one after it;
``asked.txt`` has some that were thought up. The file is frozen: a later book does not change what the lesson on
agents measures; whoever makes it anew writes the new sum into `companion.data.book_pages`.
"""

import ast
import gzip
import json
import re
from pathlib import Path

from tests.lessons import notebooks

LEFT_OUT = ("What you will be able to do", "Summary", "Exercises", "What ages")
FEWEST, MOST = 60, 150
ASKED = Path(__file__).with_name("asked.txt")  # a page, a question, how the passages begin that answer it
FILE = Path(notebooks.ROOT, "companion", "data", "book_pages.json.gz")


def plain(text: str, glued: dict[str, str]) -> str:
    """Markdown as running words."""
    text = re.sub(
        r"```.*?```|<details>.*?</details>|<[^>]+>|\$\$.*?\$\$( ?\([\w-]+\))?|^\([\w-]+\)=$",
        " ",
        text,
        flags=re.S | re.M,
    )
    text = re.sub(r"\{glue:\w+\}`([\w-]+)`", lambda m: glued.get(m[1], ""), text)
    text = re.sub(r"\s*\{cite:\w+\}`[^`]*`", "", text)
    text = re.sub(
        r"\{(numref|ref|eq|doc)\}`[^`]*`",
        lambda m: {"numref": "the figure", "eq": "the equation"}.get(m[1], "another lesson"),
        text,
    )
    text = re.sub(r"\{\w+\}`([^`<]*?)(\s*<[^`]*>)?`", r"\1", text)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(
        r"\$([^$]*)\$", lambda m: re.sub(r"\\(mathrm|text|bar|hat|operatorname|mathbf)|[{}\\]", "", m[1]), text
    )
    text = re.sub(r"\*\*?|`|^#+ .*$", "", text, flags=re.M)
    return " ".join(text.split())


def pieces(text: str) -> list[str]:
    """Sentences gathered into pieces of at most 150 words, the last of them not a scrap."""
    found: list[list[str]] = [[]]
    for sentence in re.split(r"(?<=[.?!:])\s+(?=[A-Z“])", text):
        words = sentence.split()
        if len(found[-1]) >= FEWEST and len(found[-1]) + len(words) > MOST:
            found.append([])
        found[-1] += words
    if len(found) > 1 and len(found[-1]) < FEWEST // 2:
        last = found.pop()
        found[-1] += last
    return [" ".join(words) for words in found]


def claims(source: str) -> list[str]:
    """The sentences that a cell's claims state."""
    calls = [
        n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and getattr(n.func, "id", None) == "claim"
    ]
    return [call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)]


def snapshot() -> dict[str, list[dict]]:
    """All passages, and all questions with the numbers of the passages beside them."""
    passages, questions = [], []
    for path in notebooks.lessons():
        if path.parent == notebooks.BOOK or notebooks.name(path).endswith("/agents"):
            continue
        read(path, passages, questions)
    for line in ASKED.read_text(encoding="utf-8").splitlines():
        lesson, text, *starts = line.split(" | ")
        beside = [i for i, p in enumerate(passages) if p["lesson"] == lesson and p["text"].startswith(tuple(starts))]
        questions.append({"lesson": lesson, "kind": "asked", "text": text, "beside": beside})
    return {"passages": passages, "questions": questions}


def read(path: Path, passages: list[dict], questions: list[dict]) -> None:
    """Add what one lesson holds."""
    notebook, lesson = notebooks.read(path), notebooks.name(path)
    glued = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            key = output.get("metadata", {}).get("scrapbook", {}).get("name", "")
            if key:
                glued[key] = output["data"].get("application/papermill.record/text/plain", "").strip("'")
    title, section, first, waiting, held = "", "", len(passages), [], ""

    def close() -> None:
        nonlocal held
        if len(held.split()) >= 12 and section not in LEFT_OUT:
            start = len(passages)
            for piece in pieces(held):
                passages.append({"lesson": lesson, "title": title, "section": section, "text": piece})
            for question in waiting:
                question["beside"].append(start)
            waiting.clear()
        held = ""

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"^(?=#{1,3} )", cell.source, flags=re.M):
                heading = re.match(r"(#{1,3}) (.+)", part)
                if heading:
                    close()
                    title, section = (
                        (plain(heading[2], {}), "") if heading[1] == "#" else (title, plain(heading[2], {}))
                    )
                held = f"{held} {plain(part, glued)}".strip()
            if len(held.split()) >= FEWEST:
                close()
            continue
        asked = [("claim", text) for text in claims(cell.source)]
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption")
        if caption:
            asked.append(("caption", caption))
        if asked:
            close()
        for kind, text in asked:
            before = [len(passages) - 1] if len(passages) > first else []
            question = {"lesson": lesson, "kind": kind, "text": plain(text, {}), "beside": before}
            questions.append(question)
            waiting.append(question)
    close()


if __name__ == "__main__":
    found = snapshot()
    data = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    FILE.write_bytes(gzip.compress(data, 9, mtime=0))
    print(len(found["passages"]), len(found["questions"]), FILE.stat().st_size)
