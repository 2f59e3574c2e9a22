"""lm-evaluation-harness both ways: its tasks in campaigns, and models of archives in its runs.

It is an optional library (`pip install 'model-colony[lm-eval]'`), which takes a second to load and
knows thousands of tasks: nothing here loads it before a model or a task of it is asked for.
"""
