"""A round of matches: its items, what models are asked, outcomes and their cost."""
