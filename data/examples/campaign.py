"""A campaign from Python: start it, watch it, read its archive, use its champion.

python data/examples/campaign.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import networkx as nx
import torch
from transformers import AutoTokenizer

from population import Campaign, load_config

SETTINGS = {
    "founders": {
        "paths": [f"shipped:founders/{name}" for name in ("base", "reverse", "capital")],
        "base": "base",
    },
    "tasks": {"paths": ["shipped:tasks/reverse", "shipped:tasks/capital"]},
    "search": {"population": 6, "brood": 6, "items": 12, "panel": 24},
    "gradient": {"steps": 2, "items": 8},  # 48 steps learn more, and take a minute
    "arena": {"items": 12, "judges": 2},
    "budget": {"generations": 2},
}


SCORES = """
SELECT task, round(avg(exact), 3) AS exact_match
FROM scores JOIN items ON item = items.id
WHERE model = ? AND split = 'selection' GROUP BY task ORDER BY task
"""


def main(folder: Path) -> None:
    """Breed for two generations and look at what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    campaign = Campaign.start(folder / "colony.duckdb", load_config(SETTINGS))
    for population in campaign:
        last = population.history[-1]
        print(f"generation {last.generation}: best {last.best:.3f}, champion {last.champion}")
    print("stopped:", campaign.reason)

    graph = campaign.archive.graph()  # networkx: an edge from each parent to its child
    champion = campaign.archive.find("champion").id
    print(f"{len(graph)} models; the champion has {len(nx.ancestors(graph, champion))} ancestors")
    print(campaign.archive.relation(SCORES, [champion]))  # DuckDB; .df() for a DataFrame

    model = campaign.model("champion")  # a transformers model
    tokenizer = AutoTokenizer.from_pretrained(campaign.context.founders[0].path)
    prompt = tokenizer("cap:paris=", return_tensors="pt")
    with torch.no_grad():
        answer = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    print(tokenizer.decode(answer[0]))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="colony-")))
