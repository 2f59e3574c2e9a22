"""Evaluation: forward passes, the pool of evaluators, coherence, intervals, the meter."""
