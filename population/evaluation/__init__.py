"""Models at work: forward passes, pools of evaluators, coherence, intervals."""
