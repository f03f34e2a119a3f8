"""The snapshot of the lessons' costs: what is in it, and that a changed file is refused."""

import pytest

from companion.data import course_costs as module
from companion.data.carriers import CorruptFile
from companion.data.course_costs import Cost, course_costs


def test_what_is_in_it() -> None:
    costs = course_costs()
    assert len(costs) == len({cost.lesson for cost in costs}) == 38
    assert Cost("text/gpt", 71.1, 938, 19) in costs and costs[0].lesson == "overview"
    assert not any(cost.lesson.endswith("agents") for cost in costs)
    assert all(0 < cost.seconds < 200 and 300 < cost.memory_mb < 1_300 and cost.claims > 0 for cost in costs)


def test_a_changed_file_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "course_costs.json"
    changed.write_bytes(module.FILE.read_bytes() + b" ")
    monkeypatch.setattr(module, "FILE", changed)
    course_costs.cache_clear()
    with pytest.raises(CorruptFile, match="sha256"):
        course_costs()
    course_costs.cache_clear()
