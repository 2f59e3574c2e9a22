"""Evaluation: forward passes, decoding, the evaluator pool, coherence criteria, intervals."""
