"""What a candidate costs beside its forward pass, and a campaign beside its forward passes.

    python -m tests.benchmarks.candidate --json OUT
    python -m tests.benchmarks.candidate --shapes 135m --device cuda --json OUT

- `candidate`: seconds for one candidate of a generation of 28, on 36 items: `make_s` (weights from
  the recipe), `identify_s` (fingerprint), `place_s` (into the network), `forward_s` (the floor:
  weights that are there already read the items and their keys; weights of chance would decode for
  ever), all cores at work on 28 of them. `overhead` is their sum divided by `forward_s`.
- `step`: seconds for one gradient step on 12 items. `passes_s` is the floor: forward and backward
  passes on weights that are there already, one network for each core; `brood_s` is a step of one of
  four descents side by side, and `line_s` of one that is alone: items sampled, weights made, both
  passes, the gradient by the genome. `brood_overhead` and `line_overhead` are these divided by the
  floor.
- `campaign`: a campaign on the shipped founders: `wall_s`, and `floor_s`, what its item evaluations
  take if every evaluator does nothing but forward passes on weights that it has, and those of
  gradient steps but passes forward and back. `ratio` is wall to floor; `forward_fraction` is the
  share of the wall time in which a pass was running.

Founders are the shipped ones, folders of your own (`--founders`), or weights of chance in the shape
of larger models (`--shapes`), made on the spot and thrown away; `--tokens` gives those longer
items. Each time is the least of `--repeat` runs.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does, before torch loads

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lineage.records import Item
from population.campaign.context import Context
from population.campaign.descent_pool import DescentPool
from population.campaign.local_search import cost_of_steps
from population.campaign.loop import Campaign
from population.campaign.opening_context import open_context
from population.config import Config, load_config
from population.evaluation.backward_pass import COST
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import START, DescentSettings, new_descent
from population.weights.fingerprint import fingerprint
from population.weights.materialise import State
from tests.benchmarks.harness import told
from tests.benchmarks.search import changed
from tests.conftest import SHIPPED

SIBLINGS, ITEMS = 28, 36

BROOD, STEPS, STEP_ITEMS = 4, 4, 12
"""Descents side by side, steps of each that are measured together, and items of a step."""

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    "135m": {  # SmolLM2-135M
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    },
    "1.6b": {  # about that of Qwen2-1.5B
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
}


@dataclass(frozen=True)
class Cost:
    """Seconds for a candidate, by stage, and their sum over the forward pass alone."""

    make_s: float
    identify_s: float
    place_s: float
    forward_s: float
    overhead: float


def cost_of_a_candidate(context: Context, siblings: int, repeat: int, tokens: int = 0) -> Cost:
    """What one candidate costs where `siblings` are made together."""
    evaluator, prepared = context.evaluator, prepared_items(context, tokens)
    rng = np.random.default_rng(0)
    shape = len(context.factory.basis.vectors), len(context.factory.layout.blocks)
    genomes = [rng.normal(0.3, 0.1, shape) for _ in range(siblings)]
    state = context.factory.materialiser.one(genomes[0])

    def make() -> None:
        for _ in context.factory.materialiser.siblings(genomes):
            pass

    def each(work: Callable[[int, Evaluator, State], object]) -> float:
        states = [state] * siblings
        return least(lambda: context.pool.map(iter(states), work), evaluator, repeat) / siblings

    make_s = least(make, evaluator, repeat) / siblings
    place_s = each(lambda number, worker, state: None)
    identify_s = each(lambda number, worker, state: fingerprint(state)) - place_s
    forward_s = each(lambda number, worker, state: worker.surprise(prepared)) - place_s
    total = make_s + identify_s + place_s + forward_s
    return Cost(make_s, identify_s, place_s, forward_s, total / forward_s)


@dataclass(frozen=True)
class StepCost:
    """Seconds for a gradient step, in a brood and alone, and for its passes alone."""

    passes_s: float
    brood_s: float
    line_s: float
    brood_overhead: float
    line_overhead: float


def cost_of_a_step(context: Context, repeat: int, tokens: int = 0) -> StepCost:
    """What a step of local search costs, beside its passes forward and back."""
    descending = DescentPool(lambda: context.evaluator, context.factory, context.config.run)
    evaluator, items = context.evaluator, sampled_items(context, STEP_ITEMS, tokens)
    side_by_side = context.config.gradient.parts
    genome = np.full(context.factory.space.space.genes, START)

    def steps(descents: int) -> float:
        def descend() -> None:
            begun = [new_descent(genome, seed) for seed in range(descents)]
            samplers = [lambda seed, step: items] * descents
            own = [DescentSettings(parts=-(-side_by_side // descents))] * descents
            descending.descended(begun, samplers, own, STEPS, lambda done: None)

        return least(descend, evaluator, repeat) / STEPS / descents

    passes_s = passes_of_a_step(context, repeat, tokens)
    brood_s, line_s = steps(BROOD), steps(1)
    return StepCost(passes_s, brood_s, line_s, brood_s / passes_s, line_s / passes_s)


def passes_of_a_step(context: Context, repeat: int, tokens: int = 0) -> float:
    """Seconds for the passes of a step, forward and back, on weights that are there already."""
    pool = EvaluatorPool(context.evaluator.clone("float32"), context.config.run.threads)
    items = sampled_items(context, STEP_ITEMS, tokens)
    state = context.factory.unrounded.one(np.full(context.factory.space.space.genes, START))

    def forward_and_back(worker: Evaluator) -> None:
        prepared = worker.prepare_targets(items)
        for _ in range(STEPS):
            worker.loss(state, prepared, lambda name, gradient: None)

    jobs = [forward_and_back] * pool.size
    return least(lambda: pool.run(jobs), context.evaluator, repeat) / STEPS / pool.size


def prepared_items(context: Context, tokens: int = 0) -> PreparedItems:
    """Items of all tasks, as a generation samples them, with prompts of at least so many tokens."""
    return context.evaluator.prepare_keys(sampled_items(context, ITEMS, tokens))


def sampled_items(context: Context, count: int, tokens: int) -> list[Item]:
    """So many items, of all tasks, with prompts of at least so many tokens."""
    items = context.split("search")
    items = items[:: max(1, len(items) // count)][:count]
    return [longer(context.evaluator, items, number, tokens) for number in range(len(items))]


def longer(evaluator: Evaluator, items: Sequence[Item], number: int, tokens: int) -> Item:
    """An item with the prompts of others in front of its own, until it has so many tokens."""
    item, others = items[number], cycle((*items[number + 1 :], *items[:number]))
    prompt = item.prompt
    while evaluator.count_tokens(prompt) < tokens:
        prompt = f"{next(others).prompt}\n{prompt}"
    return replace(item, prompt=prompt)


def cost_of_a_campaign(config: Config, budget: int, repeat: int) -> dict[str, float]:
    """A campaign's wall time beside that of its forward passes."""
    with TemporaryDirectory() as folder:
        campaign = Campaign.start(
            Path(folder) / "colony.duckdb", changed(budget={"item_evaluations": budget})(config)
        )
        context = campaign.context
        prepared = prepared_items(context)
        pool = context.pool
        states = [context.factory.materialiser.one(context.genome_of_founder(0))] * SIBLINGS

        def pass_forward(_number: int, worker: Evaluator, _state: State) -> None:
            worker.score(prepared)

        floor = least(lambda: pool.map(iter(states), pass_forward), context.evaluator, repeat)
        of_step = passes_of_a_step(context, repeat)
        before, start = context.evaluator.meter.forward_s, time.perf_counter()
        evaluations = context.evaluator.meter.evaluations
        campaign.run()
        wall = time.perf_counter() - start
        meter = context.evaluator.meter
        evaluations = meter.evaluations - evaluations
        born = campaign.archive.relation("SELECT count(*) FROM models WHERE generation > 0")
        stepped = cost_of_steps(context, born.fetchall()[0][0])
        floor_s = (evaluations - stepped) / (SIBLINGS * ITEMS) * floor
        floor_s += stepped / (COST * STEP_ITEMS) * of_step
        return {
            "wall_s": wall,
            "floor_s": floor_s,
            "ratio": wall / floor_s,
            "forward_fraction": (meter.forward_s - before) / wall,
        }


def least(work: Callable[[], object], evaluator: Evaluator, repeat: int) -> float:
    """Seconds that some work takes, the least of several times; the first one is not counted."""
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        work()
        if evaluator.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def founders_of_chance(shape: str, folder: Path, count: int = 4, device: str = "cpu") -> list[Path]:
    """A base and others beside it, in bf16, with the shipped tokenizer; drawn on a device."""
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED / "founders" / "base")
    settings = {"vocab_size": len(tokenizer), "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        **settings | SHAPES[shape],
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with torch.device(device):
        module = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
    paths = []
    for number in range(count):
        path = folder / f"founder-{number}"
        module.save_pretrained(path, max_shard_size="100GB")
        tokenizer.save_pretrained(path)
        paths.append(path)
        with torch.no_grad():
            for weight in module.parameters():
                weight.mul_(1.0 + 0.01 * (number + 1))
    return paths


def measured(
    config: Config, founders: Sequence[str], siblings: int, repeat: int, tokens: int = 0
) -> tuple[Cost, StepCost]:
    """The costs of a candidate and of a step of some founders, the first of which is the base."""
    paths = ["+".join(str(Path(part).resolve()) for part in one.split("+")) for one in founders]
    own = changed(founders={"paths": paths, "base": Path(founders[0]).name})(config)
    context = open_context(own)
    candidate = cost_of_a_candidate(context, siblings, repeat, tokens)
    return candidate, cost_of_a_step(context, repeat, tokens)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it as its arguments say."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.candidate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--founders", nargs="+", help="folders or BASE+ADAPTER, the base first")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[], help="to be made")
    parser.add_argument(
        "--tokens", type=int, default=0, help="of prompts, at least; not for shipped"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    parser.add_argument("--siblings", type=int, default=SIBLINGS, help="made together")
    parser.add_argument("--budget", type=int, default=24_000, help="of the campaign; 0 for none")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where results go; printed in any case")
    given = parser.parse_args(arguments)
    config = changed(run={"device": given.device, "threads": given.threads})(load_config())
    shipped = sorted(config.founders.paths, key=lambda path: Path(path).name != "base")
    costs = {"shipped": measured(config, shipped, given.siblings, given.repeat)}
    if given.founders:
        own = measured(config, given.founders, given.siblings, given.repeat, given.tokens)
        costs[Path(given.founders[0]).name] = own
    device = "cpu" if given.device == "auto" else given.device
    for shape in given.shapes:
        with TemporaryDirectory() as folder:
            made = [str(path) for path in founders_of_chance(shape, Path(folder), device=device)]
            costs[shape] = measured(config, made, given.siblings, given.repeat, given.tokens)
    results: dict[str, Any] = {
        "candidate": {name: asdict(cost) for name, (cost, _) in costs.items()},
        "step": {name: asdict(cost) for name, (_, cost) in costs.items()},
        "device": given.device,
        "cores": os.cpu_count(),
    }
    if given.budget:
        results["campaign"] = cost_of_a_campaign(config, given.budget, given.repeat)
    told(results, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
