"""The lesson runner (``python -m tests.lessons``) and the linter of the lessons' form (``test_form.py``)."""
