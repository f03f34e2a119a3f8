"""The checks of the exercises: `checking.check` for students, `checking.grade` for nbgrader, a module a chapter."""
