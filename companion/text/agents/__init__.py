"""Assistants: pages looked up, tables put into sentences, tools called; and when to say that one does not know."""
