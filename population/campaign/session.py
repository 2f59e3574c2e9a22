"""A session: the parts of a campaign that depend on who its founders are.

It is made when a campaign is started or resumed, and anew when a founder joins or somebody is
culled. Nothing in it has to be saved: all of it follows from the archive.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lineage import Archive
from lineage.ancestry.kinship import Kinship
from population.campaign.arena_rounds import judges_by_generation
from population.campaign.clock import Clock
from population.campaign.coherence_filter import CoherenceFilter, coherence_filter_of
from population.campaign.context import Context, Progress
from population.campaign.generation import GenerationEvaluator
from population.campaign.generation_commit import GenerationWriter
from population.campaign.item_sampling import ItemSampler, item_pools
from population.campaign.kept_weights import ChampionKeeper
from population.campaign.local_search import LocalSearch
from population.campaign.model_work import SYSTEMIC_ERRORS
from population.campaign.scoring import scorer_of
from population.errors import CampaignError, PopulationError
from population.evolution.evolver import Evolver
from population.failures import one_line


@dataclass(frozen=True)
class Session:
    """The parts of one campaign.

    Attributes:
        context: the founders, tasks and evaluators.
        evolver: proposes offspring, and learns from their scores.
        items: samples items.
        local_search: improves offspring before they are scored.
        evaluation: makes and scores models.
        writer: builds the record of a generation.
        keeper: keeps champions' weights on disk.
        kinship: of the living.
        clock: what was spent since the last commit.
    """

    context: Context
    evolver: Evolver
    items: ItemSampler
    local_search: LocalSearch
    evaluation: GenerationEvaluator
    writer: GenerationWriter
    keeper: ChampionKeeper
    kinship: Kinship
    clock: Clock


def open_session(
    archive: Archive,
    context: Context,
    progress: Progress,
    on_trouble: Callable[[str], None] = lambda sentence: None,
) -> Session:
    """Open all parts of a campaign.

    Args:
        archive: of the campaign.
        context: its founders, tasks and evaluators.
        progress: called while models work; may raise to stop.
        on_trouble: called with a sentence for each item, candidate or judge that failed and was
            passed over.

    Raises:
        CampaignError: the founders cannot be examined.
    """
    search, seed = context.config.search, archive.campaign()[0]
    context.failures.on_failure = on_trouble
    context.progress = progress
    models = archive.models()
    if not archive.generations():  # what is there of generation 0 is born again, in its order
        models = [model for model in models if model.kind == "founder"]
    kinship = Kinship.replayed(models, judges_by_generation(archive, search))
    pools = item_pools(context.tasks, seed, context.config)
    scorer = scorer_of(archive, context, pools, kinship, seed, progress)
    items = ItemSampler(seed, search, pools, scorer, archive.panel, context.failures)
    clock = Clock(context.evaluator.meter)
    keeper = ChampionKeeper(archive, context)
    writer = GenerationWriter(archive, context, items, kinship, clock, progress, keeper)
    coherence = _coherence(context, items, progress)
    evolver = Evolver(
        seed,
        search,
        context.config.arena,
        context.factory.space,
        context.geometry,
        context.components.operators,
        context.components.survival_rule,
    )
    evaluation = GenerationEvaluator(context, coherence, progress)
    local_search = LocalSearch(context, items.teaching, seed, progress)
    return Session(
        context, evolver, items, local_search, evaluation, writer, keeper, kinship, clock
    )


def _coherence(context: Context, items: ItemSampler, progress: Progress) -> CoherenceFilter | None:
    try:
        return coherence_filter_of(context, items, progress)
    except (*SYSTEMIC_ERRORS, PopulationError):
        raise
    except Exception as error:
        raise CampaignError(f"the founders cannot be examined: {one_line(error)}") from error
