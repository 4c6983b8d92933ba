"""Writes own_task/: invented reviews of restaurants for tasks of four types, each in a table of another form.

python data/make_own_task.py [OUTPUT_DIR]    the same bytes every time
"""

import csv
import json
import random
import sys
from pathlib import Path
from typing import NamedTuple

PLACES = "楼下的烤鸭店 学校食堂 这家面馆 河边的烧烤摊 商场里的甜品店 新开的火锅店 那家小饭店 街角的咖啡馆".split()
PHRASES = {
    "味道": ("味道很好", "味道很差"),
    "服务": ("服务热情", "服务冷淡"),
    "价格": ("价格实惠", "价格太贵"),
    "环境": ("环境干净", "环境脏乱"),
    "分量": ("分量很足", "分量太少"),
}
ENDS = ("。", "！", "，周末人很多。", "，朋友也这么说。", "，今天又去了一次。")
ROWS = {"train": 240, "dev": 60}


class Review(NamedTuple):
    """A text, the aspects that it names, how many of them it praises, and a tag for each of its characters."""

    text: str
    aspects: list[str]
    praised: int
    tags: list[str]


def review(drawn: random.Random, sides: list[bool]) -> Review:
    """Returns a review with one phrase per side: praise where it is true, blame where it is false."""
    aspects = drawn.sample(list(PHRASES), len(sides))
    phrases = [PHRASES[aspect][0 if side else 1] for aspect, side in zip(aspects, sides, strict=True)]
    place, end = drawn.choice(PLACES), drawn.choice(ENDS)
    tags = entity("PLACE", place)
    for number, (phrase, side) in enumerate(zip(phrases, sides, strict=True)):
        tags += ["O"] * bool(number) + entity("PRAISE" if side else "BLAME", phrase)
    return Review(place + "，".join(phrases) + end, aspects, sum(sides), tags + ["O"] * len(end))


def entity(kind: str, text: str) -> list[str]:
    """Returns the tags of an entity's characters."""
    return [f"B-{kind}", *[f"I-{kind}"] * (len(text) - 1)]


def write_own_task(folder: Path) -> None:
    """Writes the four tasks' train and dev files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn, drawn_tagged = random.Random(7), random.Random(8)
    for split, rows in ROWS.items():
        with open(folder / f"REVIEW_{split}.csv", "w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
            table.writerow(["text", "label"])
            for number in range(rows):
                side = bool(number % 2)
                table.writerow([review(drawn, [side, side]).text, "positive" if side else "negative"])
        with open(folder / f"ASPECTS_{split}.jsonl", "w", encoding="utf-8", newline="\n") as stream:
            for _ in range(rows):
                found = review(drawn, drawn.choices([True, False], k=drawn.randint(1, 3)))
                stream.write(json.dumps({"text": found.text, "aspects": found.aspects}, ensure_ascii=False) + "\n")
        with open(folder / f"STARS_{split}.tsv", "w", encoding="utf-8", newline="\n") as stream:
            stream.write("text\tstars\n")
            for _ in range(rows):
                found = review(drawn, drawn.choices([True, False], k=drawn.randint(1, 4)))
                stream.write(f"{found.text}\t{1 + 4 * found.praised / len(found.aspects):.3g}\n")
        with open(folder / f"SPANS_{split}.jsonl", "w", encoding="utf-8", newline="\n") as stream:
            for _ in range(rows):
                found = review(drawn_tagged, drawn_tagged.choices([True, False], k=drawn_tagged.randint(1, 3)))
                stream.write(json.dumps({"text": found.text, "tags": " ".join(found.tags)}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_own_task(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "own_task")
