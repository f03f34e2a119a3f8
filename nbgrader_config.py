"""Where stock nbgrader finds the course; its commands are run from this folder (book/instructors/index.md)."""

import os
from pathlib import Path

# For the kernels that run the submissions: the exercises' tensors are small, and on a busy machine the threads that would share
# them wait for each other (ten times as long in one exercise).
os.environ.setdefault("OMP_NUM_THREADS", "1")

c = get_config()

c.CourseDirectory.source_directory = "book/exercises"
# What is handed out and in, and the grades, never leave this folder; its .gitignore keeps it out of the repository. The book
# shows students' versions of its own, in book/assignments (tests/book/build.py): else nbgrader would find its work done.
c.CourseDirectory.release_directory = "grading/release"
c.CourseDirectory.submitted_directory = "grading/submitted"
c.CourseDirectory.autograded_directory = "grading/autograded"
c.CourseDirectory.feedback_directory = "grading/feedback"
c.CourseDirectory.db_url = f"sqlite:///{Path('grading/gradebook.db').absolute().as_posix()}"

c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("write your answer here")'}
c.ClearSolutions.begin_solution_delimeter = "### BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "### END SOLUTION"
c.ClearHiddenTests.begin_test_delimeter = "### BEGIN HIDDEN TESTS"
c.ClearHiddenTests.end_test_delimeter = "### END HIDDEN TESTS"
# Against what hangs, and far above what a busy machine takes: an answer has a limit of its own (`companion.exercises.answers`).
c.Execute.timeout = 1200
c.Execute.startup_timeout = 600
c.Execute.iopub_timeout = 60
