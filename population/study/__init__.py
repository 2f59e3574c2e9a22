"""Study: a model learns what the colony itself holds for right, and what it learned is inherited.

Merging stays within what the founders' task vectors span. A study goes beyond: the champion takes
gradient steps on all its weights, on the labels that the colony made without any key
(`population.campaign.labelling`), and what comes of it is one more founder, whose difference from
the base is one more task vector that recipes combine.
"""
