"""The lesson on the timeline: the milestones as data, and the small before-and-after runs of what some of them changed."""

from companion.history.timeline.milestones import FAMILIES, MILESTONES, Milestone, ancestors, milestone, years_between

__all__ = ["FAMILIES", "MILESTONES", "Milestone", "ancestors", "milestone", "years_between"]
