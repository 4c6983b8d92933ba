"""Invents the data of five own tasks of all types, which a tiny encoder learns in some hundred steps."""

import json
import random
from pathlib import Path

LETTERS = "天地人日月山水火木金土心手口目耳田禾米竹"
TOPICS = {"water": "水", "hill": "山", "wood": "木"}
TASKS = [
    {"name": "FIRE", "columns": ["idx", "text", "label"], "first_sequence": "text", "label_enumerate_values": ["no", "yes"],
     "metrics": ["accuracy", "auc", "matthews"]},
    {"name": "SAME", "columns": ["idx", "one", "other", "label"], "first_sequence": "one", "second_sequence": "other",
     "label_enumerate_values": ["none", "first", "both"]},
    {"name": "TOPICS", "type": "multi_label", "columns": ["idx", "text", "topics"], "first_sequence": "text",
     "label_name": "topics", "label_enumerate_values": list(TOPICS), "metrics": ["macro_f1", "micro_f1", "auc"]},
    {"name": "PEOPLE", "type": "score", "columns": ["idx", "text", "grade"], "first_sequence": "text", "label_name": "grade",
     "range": [0, 5], "metrics": ["pearson", "spearman", "mean_absolute_error"]},
    {"name": "PLACES", "type": "tags", "columns": ["idx", "text", "tags"], "first_sequence": "text", "label_name": "tags",
     "label_enumerate_values": ["O", "B-HILL", "I-HILL", "B-SEA"],
     "metrics": ["entity_f1", "macro_f1", "weighted_f1", "accuracy"]},
]  # fmt: skip


def label_of(task: str, *texts: str) -> str:
    """Returns the true label of a task's row."""
    if task == "FIRE":
        return "yes" if "火" in texts[0] else "no"
    if task == "SAME":
        return ["none", "first", "both"]["日" in texts[0] and 1 + ("日" in texts[1])]
    if task == "TOPICS":
        return ",".join(name for name, letter in TOPICS.items() if letter in texts[0])
    if task == "PLACES":
        return " ".join(map(_tag, " " + texts[0], texts[0]))
    return f"{min(5, texts[0].count('人') * 1.25):g}"


def write_mixed_tasks(folder: Path, rows: int = 240, seed: int = 1) -> Path:
    """Writes tasks.json and each task's ``_train``, ``_dev`` and ``_a`` (without labels) files; returns tasks.json.

    Args:
        folder: a new folder.
        rows: rows of each training file; the others have half as many.
        seed: the same seed gives the same files.
    """
    folder.mkdir(parents=True)
    drawn = random.Random(seed)
    for task in TASKS:
        name, count = str(task["name"]), 2 if "second_sequence" in task else 1
        for kind, size in (("train", rows), ("dev", rows // 2), ("a", rows // 2)):
            lines = []
            for number in range(size):
                texts = [_text(drawn) for _ in range(count)]
                if task.get("type") == "tags" and drawn.random() < 0.5:
                    texts[0] = texts[0].replace("山", "山木")
                label = [] if kind == "a" else [label_of(name, *texts)]
                lines.append("\t".join([str(number), *texts, *label]))
            (folder / f"{name}_{kind}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "tasks.json"
    path.write_text(json.dumps({"tasks": TASKS}, ensure_ascii=False), encoding="utf-8")
    return path


def _tag(before: str, letter: str) -> str:
    return {"山": "B-HILL", "水": "B-SEA", "木": "I-HILL" if before == "山" else "O"}.get(letter, "O")


def _text(drawn: random.Random) -> str:
    marked = [letter for letter in "火日水山木人人人" if drawn.random() < 0.4]
    others = drawn.choices("天地月金土心手口目耳田禾米竹", k=drawn.randint(1, 5))
    return "".join(drawn.sample(marked + others, len(marked) + len(others)))
