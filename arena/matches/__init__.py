"""A round of matches: items, model queries, judge selection, outcomes, and what they cost."""
