"""How fast merging is, beside mergekit and beside copying bytes.

    python -m tests.benchmarks.merge --founders BASE FT1 FT2 FT3 --json OUT [--mergekit PATH]

The first founder is the base. Everything is measured in one run on the same files, whole processes
as a user starts them and the arithmetic alone ("in process": inputs mapped or loaded, nothing
written). Ratios are theirs / ours: larger is better. With `--threads 1` both sides get one thread.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

METHODS = ("linear", "slerp", "ties", "dare_ties", "della")

THEIRS_IN_PROCESS = """
import json, sys, time, torch
from safetensors.torch import load_file
from mergekit.merge_methods.api import merge_state_dicts
cases, paths, repeat, threads = json.loads(sys.argv[1])
if threads:
    torch.set_num_threads(threads)
models = {name: {k: t.clone() for k, t in load_file(f"{path}/model.safetensors").items()}
          for name, path in paths.items()}
for case in cases:
    chosen = {name: models[name] for name in case["models"]}
    times = []
    for _ in range(repeat):
        torch.manual_seed(7)
        start = time.perf_counter()
        with torch.no_grad():
            merge_state_dicts(chosen, case["method"], base=case["base"],
                              parameters=case["parameters"])
        times.append(time.perf_counter() - start)
    print(json.dumps([case["method"], times]), flush=True)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--founders", nargs="+", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--mergekit", type=Path, help="mergekit-yaml of an environment of its own")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of both sides; all cores by default")
    args = parser.parse_args()
    founders = [path.resolve() for path in args.founders]
    found: dict[str, Any] = {"threads": args.threads or os.cpu_count(), "repeat": args.repeat}
    with tempfile.TemporaryDirectory() as scratch:  # not beside founders, where it would be one
        found["whole_process"] = whole_processes(founders, Path(scratch), args)
        found["in_process"] = in_process(founders, args)
        found["copy"] = copying(founders, Path(scratch), args.repeat, found["in_process"])
        found["siblings"] = siblings(founders, args.repeat)
        found["depth"] = depths(founders, args.repeat)
    text = json.dumps(found, indent=1)
    print(text)  # noqa: T201
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


def configuration(method: str, founders: Sequence[Path]) -> str:
    """The merge as a mergekit YAML, which both sides run."""
    base, *others = founders
    content: dict[str, Any] = {"merge_method": method, "dtype": "bfloat16"}
    if method == "slerp":
        content["models"] = [{"model": str(base)}, {"model": str(others[0])}]
        content |= {"base_model": str(base), "parameters": {"t": 0.4}}
        return yaml.safe_dump(content)
    parameters = {"weight": 0.4} if method == "linear" else {"weight": 0.4, "density": 0.5}
    content["models"] = [{"model": str(path), "parameters": parameters} for path in others]
    if method != "linear":
        content["base_model"] = str(base)
    return yaml.safe_dump(content)


def whole_processes(founders: Sequence[Path], scratch: Path, args: Any) -> dict[str, Any]:
    """Both command lines, from start to exit."""
    found = {}
    for method in args.methods:
        config = scratch / f"{method}.yml"
        config.write_text(configuration(method, founders), encoding="utf-8")
        ours = [sys.executable, "-c", "from tui.cli.main import main; main()", "merge", str(config)]
        threads = ["--threads", str(args.threads)] if args.threads else []
        sides = {"ours": [*ours, "{out}", *threads]}
        if args.mergekit:
            theirs = [str(args.mergekit), str(config), "{out}", "--random-seed", "7", "--quiet"]
            sides["mergekit"] = theirs
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        # The first merges ever compile their loops; that is told apart and not measured again.
        first = timed_process(sides["ours"], scratch / "out", args.threads)
        for _ in range(args.repeat):
            for side, command in sides.items():
                runs[side].append(timed_process(command, scratch / "out", args.threads))
        found[method] = {
            side: {key: median([run[key] for run in of_side]) for key in of_side[0]}
            for side, of_side in runs.items()
        }
        found[method]["ours_first_wall_s"] = first["wall_s"]
        if args.mergekit:
            found[method]["ratio"] = {
                key: found[method]["mergekit"][key] / found[method]["ours"][key]
                for key in ("wall_s", "cpu_s")
            }
    return found


def timed_process(command: Sequence[str], out: Path, threads: int | None) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of a command that writes a folder."""
    shutil.rmtree(out, ignore_errors=True)
    environment = dict(os.environ)
    if threads:
        environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    start = time.perf_counter()
    process = subprocess.Popen(
        [part.format(out=out) for part in command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(error.decode()[-2000:])
    return {
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def in_process(founders: Sequence[Path], args: Any) -> dict[str, Any]:
    """The arithmetic alone: sources mapped or loaded, nothing written."""
    found: dict[str, Any] = {}
    for method in args.methods:
        compute = our_arithmetic(method, founders, args.threads)
        compute()  # compiled loops are read from their cache, pages are mapped
        found[method] = {"ours_s": best(compute, args.repeat)}
    if not args.mergekit:
        return found
    python = args.mergekit.parent / "python"
    names = {path.name: str(path) for path in founders}
    base, *others = names
    cases = []
    for method in args.methods:
        case: dict[str, Any] = {"method": method, "models": list(names), "base": base}
        if method == "linear":
            case |= {"models": others, "base": None, "parameters": {"weight": [0.4] * len(others)}}
        elif method == "slerp":
            case |= {"models": [base, others[0]], "parameters": {"t": 0.4}}
        else:
            case["parameters"] = {
                "weight": dict.fromkeys(others, 0.4),
                "density": dict.fromkeys(others, 0.5),
            }
        cases.append(case)
    task = json.dumps([cases, names, args.repeat, args.threads])
    environment = dict(os.environ)
    if args.threads:
        environment["OMP_NUM_THREADS"] = str(args.threads)
    done = subprocess.run(
        [str(python), "-c", THEIRS_IN_PROCESS, task],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    for line in done.stdout.splitlines():
        method, times = json.loads(line)
        found[method] |= {"mergekit_s": min(times), "ratio": min(times) / found[method]["ours_s"]}
    return found


def our_arithmetic(
    method: str, founders: Sequence[Path], threads: int | None
) -> Callable[[], None]:
    """A merge without its files: every tensor is computed and rounded, and dropped."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from population.merging.backends import backend_for  # noqa: PLC0415
    from population.merging.engine import plan  # noqa: PLC0415
    from population.merging.lazy_tensors import row_spans  # noqa: PLC0415
    from population.merging.mergekit import from_yaml  # noqa: PLC0415

    recipe = from_yaml(configuration(method, founders), "benchmark")
    backend = backend_for("cpu")

    def compute() -> None:
        planned = plan(recipe)

        def tensor(name: str) -> None:
            operand = planned.result.lazy_tensor(name, backend)
            for start, stop in row_spans(operand.rows, operand.columns, backend.chunk):
                backend.get(operand.read(start, stop), planned.tensors[name].dtype)

        names = sorted(planned.tensors, key=lambda name: -int(np.prod(planned.tensors[name].shape)))
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            list(pool.map(tensor, names))

    return compute


def copying(
    founders: Sequence[Path], scratch: Path, repeat: int, arithmetic: dict[str, Any]
) -> dict[str, float]:
    """The limit: to copy the bytes that a linear merge of all but the base reads."""
    sources = [path / "model.safetensors" for path in founders[1:]]
    loaded = [np.fromfile(path, np.uint8) for path in sources]
    room = np.empty_like(loaded[0])

    def in_memory() -> None:
        for values in loaded:
            np.copyto(room[: len(values)], values)

    def one_file() -> None:
        shutil.copyfile(sources[0], scratch / "copy")

    in_memory()
    memory_s, file_s = best(in_memory, repeat), best(one_file, repeat)
    found = {"read_bytes_in_memory_s": memory_s, "one_file_s": file_s}
    if "linear" in arithmetic:
        found["linear_to_copy"] = arithmetic["linear"]["ours_s"] / memory_s
    return found


def siblings(founders: Sequence[Path], repeat: int) -> dict[str, float]:
    """Sixteen children of one founder set, beside one."""
    from population.models.blocks import layout_of  # noqa: PLC0415
    from population.models.opening import open_checkpoint  # noqa: PLC0415
    from population.weights.genomes import Basis  # noqa: PLC0415
    from population.weights.materialise import Materialiser  # noqa: PLC0415

    opened = [open_checkpoint(path) for path in founders]
    shapes = {name: header.shape for name, header in opened[0].tensors.items()}
    layout = layout_of(shapes, opened[0].config)
    basis = Basis(tuple(one.name for one in opened), 0)
    maker = Materialiser(opened, basis, layout)
    draws = np.random.default_rng(0)
    genomes = [draws.uniform(0, 1, (len(opened) - 1, len(layout.blocks))) for _ in range(16)]

    def make(count: int) -> Callable[[], None]:
        def all_of_them() -> None:
            for _ in maker.siblings(genomes[:count]):
                pass

        return all_of_them

    make(1)()
    one, sixteen = best(make(1), repeat), best(make(16), repeat)
    return {"one_s": one, "sixteen_s": sixteen, "ratio": sixteen / one}


def depths(founders: Sequence[Path], repeat: int) -> dict[str, float]:
    """A recipe of a thousand steps, beside one of one step, planned and computed."""
    from population.merging.backends import backend_for  # noqa: PLC0415
    from population.merging.engine import plan  # noqa: PLC0415
    from population.merging.lazy_tensors import row_spans  # noqa: PLC0415
    from population.merging.recipe import Recipe  # noqa: PLC0415

    names = [path.name for path in founders]
    sources = {path.name: {"path": str(path)} for path in founders}
    backend = backend_for("cpu")

    def recipe(depth: int) -> Recipe:
        steps, newest = [], names[0]
        for number in range(depth):
            other = names[1 + number % (len(names) - 1)]
            weighted = [(newest, 0.7), (other, 0.3)]
            models = [{"model": m, "parameters": {"weight": w}} for m, w in weighted]
            newest = f"step {number}"
            steps.append({"name": newest, "method": "linear", "models": models})
        # The first step alone would read two founders only.
        third = [{"model": m, "parameters": {"weight": 1.0}} for m in (newest, *names[1:])]
        steps.append({"name": "last", "method": "linear", "models": third})
        return Recipe.model_validate({"sources": sources, "steps": steps})

    def run(depth: int) -> Callable[[], None]:
        made = recipe(depth)

        def compute() -> None:
            planned = plan(made)
            for name, spec in planned.tensors.items():
                operand = planned.result.lazy_tensor(name, backend)
                for start, stop in row_spans(operand.rows, operand.columns, backend.chunk):
                    backend.get(operand.read(start, stop), spec.dtype)

        return compute

    run(1)()
    shallow, deep = best(run(1), repeat), best(run(1000), repeat)
    return {"depth_1_s": shallow, "depth_1000_s": deep, "ratio": deep / shallow}


def best(work: Callable[[], None], repeat: int) -> float:
    """The fastest of some runs, in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def median(values: Sequence[float]) -> float:
    """The middle of some values, to four digits."""
    return float(f"{statistics.median(values):.4g}")


if __name__ == "__main__":
    main()
