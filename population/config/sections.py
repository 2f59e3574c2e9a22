"""The sections of a configuration: every setting with its default, meaning and bounds.

The names of operators, survival rules and judges are those in their registries.
"""

import difflib
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from arena.judges import JUDGES
from arena.tasks.loading import PLUGIN
from lineage.task_weights import TaskWeights
from population.bounds import out_of_bounds
from population.bred_methods import BRED_METHODS, LINEAR
from population.evolution.operators import OPERATORS
from population.evolution.survival import RULES as SURVIVAL_RULES

LIGHTEST = 0.001
"""The smallest weight of a task."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    section: ClassVar[str] = ""
    """The section's name in a file, if it differs from the class name."""

    @model_validator(mode="after")
    def _within_bounds(self) -> "_Section":
        if wrong := out_of_bounds(self.section or type(self).__name__.lower(), dict(self)):
            raise ValueError(wrong)
        return self


def _check_names(setting: str, given: Iterable[str], built_in: Collection[str]) -> None:
    for name in given:
        if name not in built_in and not name.startswith(PLUGIN):
            raise ValueError(f"{setting}: {_unknown(name, built_in)}, or {PLUGIN}NAME")


def _unknown(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return f"unknown name {name!r}; {hint}"


def _survival_meanings() -> str:
    """What the names of the survival rules mean, from the first line of each rule."""
    meanings = []
    for name, rule in SURVIVAL_RULES.items():
        meaning = (rule.__doc__ or "").partition(".")[0]
        meanings.append(f"{name}, {meaning[:1].lower()}{meaning[1:]}" if meaning else name)
    return "; ".join(meanings)


class Founders(_Section):
    """The models that are bred from."""

    paths: list[str] = ["shipped:founders/*"]
    """Checkpoint folders (globs allowed): one architecture, one tokenizer, safetensors. A LoRA
    adapter is written BASE+ADAPTER (globs allowed in ADAPTER) and stays low-rank on disk."""
    base: str | None = None
    """The founder that the others were fine-tuned from, by name; merging is then done on the
    differences from it. Without one, differences are taken from the founders' average. The
    shipped founders have one, named "base"."""


class Tasks(_Section):
    """The tasks that models are bred for."""

    paths: list[str] = ["shipped:tasks/*"]
    """Task folders (globs allowed), each with a task.toml and one JSONL file per split. A task of
    your own code is FILE.py:NAME, an installed one plugin:NAME; both run as code. Those of
    reasoning-gym are reasoning_gym:NAME."""
    lm_eval: list[str] = []
    """Tasks of lm-evaluation-harness (pip install 'model-colony[lm-eval]'): YAML files or names
    ("my_task.yaml", "arc_easy"), with a metric and a filter if not the first ones are meant
    ("gsm8k:exact_match,flexible-extract"). If they are named and `paths` is not, it is empty."""
    lm_eval_seed: int = Field(0, ge=0)
    """Cuts such a task that lacks a training, validation or test split."""
    lm_eval_items: int = Field(2000, gt=0)
    """Documents of its search and of its selection split, at most; `test` is taken whole."""
    weights: dict[str, float] = {}
    """How much tasks count, by name, in all means over tasks and in how many items are asked of
    each; those that are not named count 1: { french = 2, json = 0.5 }."""
    unusable: Literal["refuse", "leave out"] = "refuse"
    """What to do about search and selection items that no model could answer, because they are
    longer than its context or have a key that its tokenizer cannot spell."""

    @property
    def task_weights(self) -> TaskWeights:
        """How much each task counts in a mean over tasks."""
        return TaskWeights(self.weights)

    @model_validator(mode="after")
    def _positive_weights(self) -> "Tasks":
        for name, weight in self.weights.items():
            if not weight >= LIGHTEST:
                raise ValueError(
                    f"weights: {name!r} counts {weight:g}, but at least {LIGHTEST:g}; to leave a "
                    "task out, do not name it in paths"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _no_shipped_tasks_beside_others(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("lm_eval") and "paths" not in given:
            return {**given, "paths": []}
        return given


class Budget(_Section):
    """When to stop: at whichever limit comes first. Only the first one is set by default."""

    item_evaluations: int = Field(240_000, gt=0)
    """One model on one item counts 1, whoever asks: breeding, selection or the arena."""
    generations: int | None = Field(None, gt=0)
    """Stop after this many generations."""
    minutes: float | None = Field(None, gt=0)
    """Stop after this much work, over all runs of the campaign."""
    hours: float | None = Field(None, gt=0)
    """The same in hours; kept as minutes."""
    tokens: int | None = Field(None, gt=0)
    """Tokens that models read or generate, padding aside; one that is learned counts 3."""
    stagnation: int | None = Field(None, gt=0)
    """Stop when the champion has not improved on the selection split for this many generations."""
    target: float | None = Field(None, gt=0, le=1)
    """Stop when the champion's score on the selection split reaches this."""

    @model_validator(mode="after")
    def _hours_are_minutes(self) -> "Budget":
        if self.hours is not None:
            given = [self.minutes] if self.minutes is not None else []
            object.__setattr__(self, "minutes", min([60.0 * self.hours, *given]))
            object.__setattr__(self, "hours", None)
        return self


class Search(_Section):
    """How the colony breeds."""

    space: Literal["parameter", "flow", "both"] = "parameter"
    """What a genome is: coefficients of the founders in every block; a path through their layers;
    or a path through their layers and those of a model merged from them."""
    methods: list[str] = ["linear"]
    """In parameter space: the merge methods of offspring, which may differ from layer to layer.
    Known are linear, ties, dare_linear, dare_ties, della_linear, della, breadcrumbs,
    breadcrumbs_ties and sce. With others than linear, which need a base among the founders,
    method, density of every task vector, normalisation and seed are genes too."""
    merit: Literal["keys", "jury"] = "keys"
    """What breeding goes by: whether models answer as the keys say; or as the colony itself holds
    to be right, where tasks have no keys or none may be used: by its surest answers (labels), or
    without gradients by the answers of a jury."""
    population: int = Field(28, ge=4)
    """Living offspring. Founders live forever beside them."""
    first: int | None = Field(None, ge=4)
    """Places in generation 0, for the best of some standard merges and random ones; without a
    number as many as `population`."""
    brood: int = Field(28, ge=2)
    """Offspring born per generation; no more than the living."""
    items: int = Field(36, ge=2)
    """Search items that a brood is scored on: fresh ones for every generation, the same for all."""
    panel: int = Field(120, gt=0)
    """Search items that the living are compared on."""
    climb: float | None = Field(None, ge=0)
    """As long as the best of the living rises by more than this per generation (on the panel), all
    gradient steps are its own; otherwise a whole brood is born. Without a number no model is
    improved further after its birth."""
    rotate: int = Field(40, gt=0)
    """Generations until a fresh panel is sampled; the living are then scored again."""
    finalists: int = Field(2, ge=1)
    """Most promising of a brood that are scored again, on the panel, and may get a place."""
    rounds: int = Field(1, ge=1)
    """Rounds of items in which they race over the panel: after each, who can no longer get a place
    is stopped. It pays with many finalists; with 1 nobody is stopped."""
    race: float = Field(0.05, ge=0, lt=1)
    """The chance that such races of a generation stop one who deserved a place. 0 stops only who is
    out for certain."""
    emitter: float = Field(0.86, ge=0, le=1)
    """Part of a brood that an evolution strategy makes, in mirrored pairs around its centre; the
    rest is made by operators from parents that were chosen one by one."""
    sigma: float = Field(0.3, gt=0)
    """Length of its steps: standard deviation of each gene."""
    rate: float = Field(0.05, gt=0)
    """How far its centre moves per generation, per gene."""
    patience: int = Field(10, ge=1)
    """Generations without a better centre until blocks are cut more finely or, where they are as
    fine as can be, it goes to the best of the living."""
    shortest: float = Field(0.3, gt=0, le=1)
    """Where progress stalls the evolution strategy's steps get shorter, down to this part."""
    operators: dict[str, float] = dict.fromkeys(OPERATORS, 1.0)
    """How often each operator is expected to be taken, relative to the others; 0 is never. One of
    your own is plugin:NAME."""
    bandit: bool = True
    """Whether the operators are taken more often that earned more places per item evaluation."""
    attraction: bool = True
    """Whether a mate is chosen for what the first parent lacks; otherwise by chance."""
    family: int = Field(8, ge=2)
    """How many of the best of the living an ensemble or a soup is made of."""
    mutation: tuple[float, float] = (0.02, 0.2)
    """Standard deviation of the noise on a recombined child, drawn between these for each child,
    evenly on a logarithmic scale."""
    sharing: float = Field(1.0, ge=0)
    """Exponent of fitness sharing: 0 is none, more rewards skills that few have."""
    survival: str = Field(
        "novelty", description=f"Who lives on: {_survival_meanings()}; or {PLUGIN}NAME."
    )
    challengers: int = Field(1, ge=1)
    """Leaders per generation that are scored on the selection split for the title of champion."""
    crown: int = Field(5, ge=1)
    """Generations from one such challenge to the next; before the first of them there are some at
    growing intervals (after generation 1, 2, 3, 5, 8, ...), so that short campaigns crown too."""
    alarms: bool = True
    """Whether a colony that collapses gets more novelty and new blood by itself."""
    blocks: Literal["layer", "half", "group", "tensor", "slice"] = "half"
    """Where recipes may cut: whole layers; attention and feed-forward; groups within both; every
    tensor by itself; or slices of every matrix."""
    groups: int = Field(2, ge=1)
    """With blocks = "group": how many head groups and neuron groups a layer has; with blocks =
    "slice": how many slices a matrix is cut into."""
    coarse: bool | Literal["auto"] = "auto"
    """Whether the emitter starts with one coefficient per founder and layer, and cuts more finely
    where progress stalls. auto: where genomes have more than 256 coefficients (deep models, many
    founders), of which the few steps of a generation could say little one by one."""
    lowest: float = -1.0
    """The smallest coefficient of a founder in a block."""
    highest: float = 2.0
    """The largest coefficient of a founder in a block."""
    repeats: int = Field(1, ge=1)
    """In data-flow space: how often a path may come by all layers."""
    longest: int | None = Field(None, ge=1)
    """In data-flow space: layers that a path may have; by default half as many again as
    a founder has."""
    scales: tuple[float, float] = (0.5, 1.5)
    """In data-flow space: the smallest and the largest scale of a step."""

    @property
    def first_population(self) -> int:
        """Places in generation 0."""
        return min(self.first or self.population, self.population)

    @model_validator(mode="after")
    def _places_for_all(self) -> "Search":
        if self.brood > self.population:
            raise ValueError(f"brood ({self.brood}) cannot exceed population ({self.population})")
        if self.lowest >= self.highest:
            raise ValueError(f"lowest ({self.lowest}) must be below highest ({self.highest})")
        if not 0 < self.mutation[0] <= self.mutation[1]:
            raise ValueError(f"mutation {self.mutation} must be positive, and the smaller first")
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales {self.scales} must have the smaller first")
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods: each once and at least one, got {self.methods}")
        for method in self.methods:
            if method not in BRED_METHODS:
                raise ValueError(
                    f"methods: {_unknown(method, BRED_METHODS)} (`colony merge` knows more)"
                )
        if self.space != "parameter" and set(self.methods) != {LINEAR}:
            raise ValueError(f'space "{self.space}" breeds with methods = ["{LINEAR}"] only')
        if sum(self.operators.values()) <= 0 or min(self.operators.values()) < 0:
            raise ValueError("operators: none may be negative, and one must be positive")
        _check_names("operators", self.operators, OPERATORS)
        _check_names("survival", [self.survival], SURVIVAL_RULES)
        return self


class GradientSettings(_Section):
    """Local search: recombined children take gradient steps before they are judged.

    It needs recipes in parameter space, without which it is off, and keys; with
    [search] merit = "jury" the labels that the colony makes for itself stand for them.
    """

    section = "gradient"

    steps: int = Field(48, ge=0)
    """Steps that a child takes; 0 leaves children as they were recombined. Without gradients,
    [search] and [budget] have other defaults: broods of 28, most of them by an evolution strategy,
    of coarser recipes, and four times the budget."""
    items: int = Field(12, ge=1)
    """Search items of a step, fresh ones each time. Each counts three item evaluations: forward and
    backward."""
    rate: float = Field(0.08, gt=0)
    """Length of the first step (Adam's): about how far each coefficient moves. Steps get shorter
    towards the last."""
    niches: float = Field(0.25, ge=0, le=1)
    """Part of the children that are improved on one task alone, one that nobody solves well."""
    parts: int = Field(1, ge=1)
    """Passes of a generation that may run side by side on a CPU: where fewer children than that
    take steps, the items of each are cut into parts. Last bits depend on it, and not on cores."""


class StudySettings(_Section):
    """Study: the champion learns the labels that the colony made for itself, with all its weights.

    What it becomes joins the founders, as one more task vector that recipes combine. It needs
    [search] merit = "jury" with gradients, since labels are made there.
    """

    section = "study"

    every: int = Field(0, ge=0)
    """Generations between two studies; 0: nobody studies."""
    steps: int = Field(240, ge=1)
    """Steps of a study (Adam's)."""
    items: int = Field(48, ge=1)
    """Labelled search items of a step. Each counts three item evaluations."""
    rate: float = Field(5e-4, gt=0)
    """Length of the longest step."""
    forgets: float = Field(0.25, ge=0, le=1)
    """Who studied is dropped if its score on a task's panel items falls by more than this."""


class CoherenceSettings(_Section):
    """The coherence filter: offspring that have lost their language die at birth."""

    section = "gate"

    enabled: bool = True
    """Whether newborn models are examined at all."""
    suspicious: float = Field(0.05, ge=0, le=1)
    """A newborn that scores less than this on its generation's items has to read a few texts, to
    show that it still has its language; 1 lets everybody read."""
    texts: int = Field(8, ge=1)
    """How many texts."""
    answers: int = Field(4, ge=0)
    """Items that it answers freely before it gets a place among the living."""
    norms: float = Field(3.0, gt=0)
    """How many times larger than any founder's its weights may be."""
    surprise: float = Field(3.0, gt=1)
    """How many times the perplexity of the worst founder it may have."""


class ArenaSettings(_Section):
    """How models judge each other."""

    section = "arena"

    items: int = Field(36, ge=1)
    """Items of a round: most are of the panel, a quarter is asked nowhere else."""
    checkable: float = Field(0.5, ge=0, le=1)
    """Part of them whose keys may be looked at, so that judges can earn trust there."""
    modes: list[str] = list(JUDGES)
    """How judges judge; plugin:NAME for a judge of one's own."""
    verifier: bool = True
    """Whether keys decide the matches on those items; otherwise judges do everywhere."""
    judges: int = Field(3, ge=0)
    """Models that read the others' answers (likelihood); consensus needs none."""
    voters: int = Field(32, ge=1)
    """Models whose own answers count as votes (consensus), at most."""
    jurors: int = Field(8, ge=2)
    """Models whose answers stand for keys, with [search] merit = "jury" and without gradients."""
    speakers: int = Field(2, ge=1)
    """Models that are heard on each task, with gradients and merit = "jury": the surest of it, from
    lines that are not kin. The surest answer to an item is its label."""
    labelled: int = Field(768, ge=2)
    """Search items that get a label."""
    kept: float = Field(0.6, gt=0, le=1)
    """Part of the labels that are kept, the surest; a task of which few are among them has none. 1
    keeps all, which is far worse."""
    pairs: int = Field(0, ge=0)
    """Pairs of answers that each judge is asked to compare in a round ("A or B?", both orders).
    Only for models that follow instructions; who cannot tell is found out and not listened to."""
    weight: float = Field(0.5, ge=0)
    """How much a rating counts in choosing parents, against checkable scores; 0 ignores it."""
    tournament: int = Field(4, ge=1)
    """Candidates per tournament for the first parent."""

    @model_validator(mode="after")
    def _consistent(self) -> "ArenaSettings":
        _check_names("modes", self.modes, JUDGES)
        if len(set(self.modes)) < len(self.modes):
            raise ValueError(f"modes: each once, got {', '.join(self.modes)}")
        return self


class RaySettings(_Section):
    """The Ray cluster that engine = "ray" works on."""

    section: ClassVar[str] = "run.ray"

    address: str | None = None
    """auto, or ray://HOST:PORT; default: a cluster of this machine's own, while it runs."""
    workers: int | None = Field(None, gt=0)
    """How many there are to be; default: as many as there is room for."""
    num_cpus: float | None = Field(None, gt=0)
    """Cores of a worker; default: as many as a forward pass has threads; 1 with a GPU."""
    num_gpus: float = Field(0.0, ge=0)
    """GPUs of a worker, such as 0.25: four workers share one. 0: they compute on the CPU."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom resources of a worker, such as { node_type_a = 1 }."""
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    """The environment of the workers' processes, as Ray takes it."""


class Run(_Section):
    """Seed, device, precision, threads, memory and engine."""

    seed: int = Field(0, ge=0)
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of forward passes; auto: the checkpoints' own where the device is good at it."""
    threads: int | None = Field(None, gt=0)
    """CPU threads; default: all cores."""
    batch_tokens: int | None = Field(None, gt=0)
    """Tokens in one forward pass at most; default: 2048 on a CPU, 32768 on an accelerator."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory that a campaign may take, in 10^9 bytes; default: 2.8, or what large models need. More
    makes large models sooner, and the same ones. May be changed when a campaign is continued."""
    engine: Literal["local", "ray"] = "local"
    """Where models are made and scored: in this process, or by the workers of a Ray cluster, which
    come to the same models. May be changed when a campaign is continued."""
    ray: RaySettings = Field(default_factory=RaySettings)


class Weights(_Section):
    """What is kept on disk beside the archive; every model can be made again from its recipe."""

    quota_gb: float = Field(1.0, ge=0)
    """Room for weights in the folder ARCHIVE.weights, in 10^9 bytes: of champions, and of what
    `colony revive` brings back. The least recently used make room, champions last. 0 keeps none."""


WITH_GRADIENTS: dict[str, dict[str, Any]] = {
    "search": {
        "population": 12,
        "first": 4,
        "brood": 4,
        "panel": 72,
        "climb": 0.01,
        "crown": 1,
        "emitter": 0.0,
        "blocks": "slice",
        "groups": 32,
        "mutation": (0.002, 0.02),
    },
    "gradient": {"parts": 2},
    "arena": {"items": 24},
    "budget": {"item_evaluations": 60_000},
}
"""Defaults where children take gradient steps, section by section."""

BY_LABELS: dict[str, Any] = {"rotate": 4}
"""Defaults of [search] where labels stand for keys besides: they are renewed with every panel."""

LATER = {"first", "climb", "methods"}
"""Settings of [search] that are younger than local search by gradient. An archive names all that
there were when it began, and goes on without these if it does not name them."""


LATER_SECTIONS = {"gradient", "study"}
"""Sections that archives of earlier versions do not name."""


class Config(_Section):
    """All settings of a campaign."""

    founders: Founders = Founders()
    tasks: Tasks = Tasks()
    budget: Budget = Budget()
    search: Search = Search()
    gradient: GradientSettings = GradientSettings()
    study: StudySettings = StudySettings()
    gate: CoherenceSettings = CoherenceSettings()
    arena: ArenaSettings = ArenaSettings()
    run: Run = Run()
    weights: Weights = Weights()

    @property
    def by_labels(self) -> bool:
        """Whether the colony breeds by labels that it makes for itself."""
        return self.search.merit == "jury" and self.gradient.steps > 0

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_search(cls, given: Any) -> Any:
        """Choose the defaults that suit a search with gradients, or one without."""
        if not isinstance(given, dict):
            return given
        search = given.get("search", {})
        if not isinstance(search, dict):
            return given
        gradient = given.get("gradient", {})
        # Archives name every section; one without this one was begun before it existed.
        named = given.keys() | LATER_SECTIONS
        if "gradient" not in given and named >= cls.model_fields.keys():
            gradient = {"steps": 0}
        possible = search.get("space", "parameter") == "parameter"
        if isinstance(gradient, dict) and not possible:
            gradient = {**gradient, "steps": 0}
        given = {**given, "search": search, "gradient": gradient}
        began_before = search.keys() >= Search.model_fields.keys() - LATER
        if isinstance(gradient, dict) and gradient.get("steps") != 0 and not began_before:
            if search.get("merit") == "jury":
                given["search"] = {**BY_LABELS, **search}
            for name, defaults in WITH_GRADIENTS.items():
                if isinstance(section := given.get(name, {}), dict):
                    given[name] = {**defaults, **section}
            # Every method needs somebody to show what it is good for.
            if len(search.get("methods", [])) > 1 and "first" not in search:
                given["search"]["first"] = None
        return given

    @model_validator(mode="after")
    def _labels_to_study(self) -> "Config":
        if self.study.every and not self.by_labels:
            raise ValueError(
                'study: there are labels to learn with [search] merit = "jury" and gradient steps '
                "only; with keys, fine-tune on them and add the result with `colony add-founder`"
            )
        return self
