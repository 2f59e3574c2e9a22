"""Causal language models: asked for the likelihood of a text, or for a text."""

from population.families.family import ModelFamily

LANGUAGE = ModelFamily(
    name="language model",
    fits=lambda config: True,
    loader="AutoModelForCausalLM",
    asks=frozenset({"loglikelihood", "generate"}),
)
"""What every other config is taken for."""
