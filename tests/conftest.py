"""What tests share: the shipped founders, small campaigns on them, and checkpoints made to fit."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

# Before torch loads. Tests run side by side: one core for each of them and for what it starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

from lineage import Archive
from population.config import Budget, Config, load_config, shipped_data
from population.memory import available_memory
from tests.fork_server import ForkServer
from tests.forks import Forks

if TYPE_CHECKING:
    from tests.model_zoo import Zoo

SHIPPED = shipped_data()

FOUNDERS = ("base", "capital", "cipher", "double")

SMALL: dict[str, dict[str, Any]] = {
    "founders": {"base": "base"},
    "search": {
        "population": 6,
        "brood": 6,
        "emitter": 0.4,
        "items": 12,
        "panel": 24,
        "rotate": 2,
        "finalists": 2,
        "rounds": 2,
        "crown": 1,
    },
    "gradient": {"steps": 0},
    "gate": {"texts": 2, "answers": 2},
    "arena": {"items": 12, "judges": 2},
    "budget": {"generations": 3},
    "run": {"threads": 1},
}
"""A campaign of seconds: real founders, real tasks, few of everything."""


MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes: several times what the files of a run take at once."""


def pytest_configure() -> None:
    """Have the files of tests lie in memory, where there is room for them.

    Archives are on the disk before a commit returns. No test can tell, but all would wait for it.
    """
    if "PYTEST_XDIST_WORKER" in os.environ or not MEMORY.is_dir():
        return
    free = os.statvfs(MEMORY)
    if min(free.f_bavail * free.f_frsize, available_memory() or 0) > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(scope="session", autouse=True)
def cache_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of checkpoints is shared by the workers of a run, and by no other."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder that all workers of this run share, unless another has made it already.

    The folder is moved to its place when it is complete: it may hold no path to itself.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name
        with FileLock(shared / f".{name}.lock"):
            if not folder.exists():
                draft = tmp_path_factory.mktemp(name)
                make(draft)
                draft.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def tasks_folder(made_once: Callable[..., Path]) -> Path:
    """Three shipped tasks with short files. Who opens the sealed split finds nothing to read."""

    def make(folder: Path) -> None:
        names = sorted(path.name for path in (SHIPPED / "tasks").iterdir() if path.is_dir())
        for name in names[:3]:
            (folder / name).mkdir()
            shutil.copy(SHIPPED / "tasks" / name / "task.toml", folder / name)
            for split in ("search", "selection"):
                lines = (SHIPPED / "tasks" / name / f"{split}.jsonl").read_text().splitlines()
                (folder / name / f"{split}.jsonl").write_text("\n".join(lines[:8]) + "\n")
            (folder / name / "test.jsonl").write_text("sealed\n")

    return made_once("tasks", make)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> "Zoo":
    """Models to read: what changes one takes a copy."""
    from tests.model_zoo import Zoo

    return Zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory, tasks_folder: Path) -> Path:
    """The path of a configuration for a campaign of seconds."""
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(small_toml(tasks_folder))
    return path


def small_settings(tasks: Path, /, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The small campaign, with some settings changed by section."""
    paths = {
        "founders": {"paths": [str(SHIPPED / "founders" / name) for name in FOUNDERS]},
        "tasks": {"paths": [str(tasks / "*")]},
    }
    return {
        section: {**SMALL.get(section, {}), **paths.get(section, {}), **changes.get(section, {})}
        for section in dict.fromkeys((*SMALL, "tasks", *changes))
    }


def small_toml(tasks: Path, /, **changes: dict[str, Any]) -> str:
    """The small campaign as TOML, with some settings changed by section."""
    lines = []
    for section, settings in small_settings(tasks, **changes).items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {toml(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture(scope="session")
def run_small(small_config: Path) -> Callable[..., Archive]:
    """Runs the small campaign into a path, up to a generation, and returns its archive."""

    def run(path: Path, generations: int = 3, **settings: int) -> Archive:
        config = load_config(small_config)
        config = config.model_copy(update={"run": config.run.model_copy(update=settings)})
        return campaign(config, path, generations)

    return run


def campaign(config: Config, path: Path, generations: int) -> Archive:
    """Start or continue a campaign until a generation is complete."""
    from population.campaign.loop import Campaign
    from population.campaign.opening_context import found_archive, open_context

    context = open_context(config)
    archive = Archive(path) if path.exists() else found_archive(path, context)
    limits = Budget(item_evaluations=10**9, generations=max(generations, 1))
    breeding = Campaign(archive, context, limits)
    if generations:
        breeding.run()
    else:  # no limit is as low: it is left where it would go on
        next(iter(breeding))
    return archive


@pytest.fixture(scope="session")
def small_archive(run_small: Callable[..., Archive], made_once: Callable[..., Path]) -> Archive:
    """A finished small campaign, shared by tests that only read."""
    made = made_once("archive", lambda folder: run_small(folder / "colony.duckdb"))
    return Archive(made / "colony.duckdb")


@pytest.fixture(scope="session")
def routed_archive(made_once: Callable[..., Path], tasks_folder: Path) -> Callable[[str], Archive]:
    """Finished small campaigns in data-flow space ("flow") or in both spaces, made when asked for.

    Shared by tests that only read.
    """

    def routed(space: str) -> Archive:
        def make(folder: Path) -> None:
            config = load_config(routed_config(folder, tasks_folder, space))
            campaign(config, folder / "colony.duckdb", 2)

        return Archive(made_once(space, make) / "colony.duckdb")

    return routed


def routed_config(folder: Path, tasks: Path, space: str) -> Path:
    """The path of a configuration for a small campaign whose genomes are paths."""
    path = folder / f"{space}.toml"
    path.write_text(small_toml(tasks, search={"space": space, "longest": 6}))
    return path


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Starts processes that need not load torch again."""
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="session")
def forks(fork_server: ForkServer) -> Forks:
    """Starts campaigns as the command line does, to be watched, interrupted and killed."""
    return Forks(fork_server)


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Makes tiny random Llama checkpoints with the shipped tokenizer."""
    return checkpoints_in(tmp_path / "checkpoints")


def checkpoints_in(parent: Path) -> Callable[..., Path]:
    """As `make_checkpoint`, for fixtures that live longer than a test."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(SHIPPED / "founders" / "base")

    def make(name: str, seed: int = 0, **changes: Any) -> Path:
        settings = {
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "tie_word_embeddings": True,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
        }
        torch.manual_seed(seed)
        folder = parent / name
        LlamaForCausalLM(LlamaConfig(**settings | changes)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


SLOW = (
    "fuzz/",
    "arena/test_arena_attacks.py",
    "lineage/test_commands.py",
    "lineage/test_lease.py",
    "lineage/test_merge_archives.py",
    "lineage/test_migrations.py",
    "population/analysis/test_coverage.py",
    "population/analysis/test_report.py",
    "population/campaign/",
    "population/engines/test_ray_engine.py",
    "population/evaluation/test_prompt_tokenizer.py",
    "population/merging/test_merge_companions.py",
    "population/merging/test_merge_killed.py",
    "population/merging/test_method_properties.py",
    "population/test_own_judges.py",
    "population/test_public_api.py",
    "population/weights/test_route_materialiser.py",
    "test_benchmarks.py",
    "tui/test_cli.py",
    "tui/test_control_commands.py",
    "tui/test_display.py",
    "tui/test_hostile_texts.py",
    "tui/test_interrupts.py",
    "tui/test_lineage_screens.py",
    "tui/test_screen",
)
"""What whole campaigns, screens, kills and the fuzz are in: most of the time of the suite."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make test-fast` does not even load what it leaves out."""
    left_out = config.option.markexpr == "not slow" and slow(collection_path)
    return left_out or None  # None: whatever else there is to say


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What begins with one of these is slow, besides the tests that are marked one by one."""
    for item in items:
        if slow(item.path):
            item.add_marker("slow")


def slow(path: Path) -> bool:
    here = Path(__file__).parent
    return path.is_relative_to(here) and path.relative_to(here).as_posix().startswith(SLOW)
