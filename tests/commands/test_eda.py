"""The eda command: numbers that were counted by hand, a page that asks for nothing, and input that is no data."""

import html.parser
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import published_tokenizers
import pytest

from easytransfer_mtl.commands.eda import run
from easytransfer_mtl.config.data_settings import EdaSettings
from easytransfer_mtl.errors import UserError

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data/sample"
SHOP = {
    "name": "SHOP", "columns": "idx,text,label", "first_sequence": "text", "label_enumerate_values": ["good", "<b>bad</b>"],
}  # fmt: skip


def eda(output: Path, data_dir: Path, **settings: Any) -> dict[str, Any]:
    assert run(EdaSettings(data_dir=str(data_dir), output_dir=str(output), **settings)) == 0
    return json.loads((output / "eda.json").read_text(encoding="utf-8"))


def shop(folder: Path, *rows: tuple[str, str]) -> dict[str, Any]:
    """Writes the rows as the train file of an own task; returns the settings for it."""
    lines = [f"{place}\t{text}\t{label}\n" for place, (text, label) in enumerate(rows)]
    (folder / "SHOP_train.csv").write_text("".join(lines), encoding="utf-8")
    (folder / "tasks.json").write_text(json.dumps({"tasks": [SHOP]}), encoding="utf-8")
    return {"data_dir": folder, "tasks_file": str(folder / "tasks.json")}


class Page(html.parser.HTMLParser):
    """Collects a page's attributes and tags, and checks that every tag is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.content = path.read_text(encoding="utf-8")
        self.feed(self.content)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def links(page: Page) -> Iterator[str]:
    return (value for name, value in page.attributes if name in ("src", "href", "srcset", "action", "data", "poster"))


def test_numbers_of_a_few_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = shop(tmp_path, ("天" * 40, "good"), ("地", "good"), ("人人", "good"), ("", "<b>bad</b>"))
    encoder = str(ROOT / "data/tiny_bert_zh")
    found = eda(tmp_path / "out", **settings, tokenizer_name_or_path=encoder)
    (task,) = found["tasks"]
    (file,) = task["files"]
    assert (task["task"], file["file"], file["rows"], file["bad_rows"]) == ("SHOP", "SHOP_train.csv", 4, 0)
    assert file["labels"] == {"good": 3, "<b>bad</b>": 1}
    assert file["characters"]["text"] == {
        "mean": 10.75, "median": 1.5, "percentile_95": pytest.approx(34.3), "percentile_99": pytest.approx(38.86),
        "longest": 40,
    }  # fmt: skip
    assert file["tokens"]["lengths"]["longest"] == 42
    assert file["tokens"]["cut"] == {"32": 1, "64": 0, "96": 0, "128": 0, "160": 0, "256": 0}
    assert task["suggested_length"] == 64 and sum(file["histogram"]) == 4
    printed = capsys.readouterr().out
    assert "64 is the shortest of these lengths that cuts at most 1% of the train rows." in printed
    assert printed.endswith(f"page: {tmp_path / 'out/eda.html'}\nnumbers: {tmp_path / 'out/eda.json'}\n")


def test_words_of_a_label_are_those_that_it_has_alone(tmp_path: Path) -> None:
    good = [(f"{letter}幸福快乐{letter}", "good") for letter in "天地人日月"]
    bad = [(f"{letter}难过{letter}", "<b>bad</b>") for letter in "天地人日月"]
    words = eda(tmp_path / "out", **shop(tmp_path, *good, *bad))["tasks"][0]["words"]
    assert [item["word"] for item in words["good"]] == ["幸福快乐"]
    assert words["<b>bad</b>"] == [{"word": "难过", "share": 1.0, "share_elsewhere": 0.0}]


def test_a_published_tokenizer_counts_too(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "tokenizer.json").write_text(json.dumps(published_tokenizers.tokenizer_json("bpe")), encoding="utf-8")
    found = eda(tmp_path / "out", **shop(tmp_path, ("今天", "good")), tokenizer_name_or_path=str(encoder))
    assert found["tasks"][0]["files"][0]["tokens"]["lengths"]["longest"] >= 3


def test_the_sample_has_a_page_that_asks_for_nothing(tmp_path: Path) -> None:
    found = eda(tmp_path, SAMPLE)
    assert [len(task["files"]) for task in found["tasks"]] == [3, 3, 3]
    assert found["tasks"][2]["files"][0]["characters"].keys() == {"sentence1", "sentence2", "together"}
    page = Page(tmp_path / "eda.html")
    assert all(link.startswith("#task-") for link in links(page)) and not {"script", "link", "img", "iframe"} & set(
        page.tags
    )
    assert "url(" not in page.content and "@import" not in page.content and "://" not in page.content
    assert ("content", "width=device-width, initial-scale=1") in page.attributes
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_what_files_say_is_no_markup(tmp_path: Path) -> None:
    data = tmp_path / "<i>data"
    data.mkdir()
    rows = [("<script>alert(1)</script>", label) for label in ("good", "<b>bad</b>")] * 5
    eda(tmp_path / "out", **shop(data, *rows, ("<script>only<u>", "good")))
    page = Page(tmp_path / "out/eda.html")
    assert not {"script", "b", "u"} & set(page.tags) and "&lt;b&gt;bad&lt;/b&gt;" in page.content


def test_the_same_files_give_the_same_page(tmp_path: Path) -> None:
    """Python's hashes differ between processes; nothing of the result may depend on them."""
    for seed in ("1", "2"):
        words = ["eda", str(SAMPLE), "--output_dir", str(tmp_path / seed)]
        code = (
            "import sys\nfrom easytransfer_mtl.__main__ import main\n"
            f"assert main({words!r}) == 0\nassert not {{'tensorflow', 'transformers'}} & set(sys.modules)\n"
        )
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment)
        assert (done.returncode, done.stderr) == (0, "")
    for name in ("eda.html", "eda.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_bad_rows_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = eda(tmp_path / "out", **shop(tmp_path, ("天", "good"), ("地", "godo")))
    assert (found["tasks"][0]["files"][0]["rows"], found["tasks"][0]["files"][0]["bad_rows"]) == (1, 1)
    assert "SHOP_train.csv: bad rows are left out (1); `easytransfer_mtl check_data` says why." in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "SHOP_train.csv is empty"),
        (b"\0" * 3000, "is binary"),
        (b"a" * (3 << 20), "line 1 has more than 1,048,576 bytes"),
        (b"0\tx\tnone\n", "has no row"),
    ],
)
def test_files_that_are_no_data_are_user_errors(tmp_path: Path, content: bytes, message: str) -> None:
    settings = shop(tmp_path)
    (tmp_path / "SHOP_train.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        eda(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_places_that_are_wrong_are_user_errors(tmp_path: Path) -> None:
    settings = shop(tmp_path, ("天", "good"))
    with pytest.raises(UserError, match="is not a folder"):
        eda(tmp_path / "out", tmp_path / "none")
    with pytest.raises(UserError, match="has no contest file; `easytransfer_mtl check_data`"):
        eda(tmp_path / "out", tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        eda(tmp_path / "SHOP_train.csv", **settings)
    with pytest.raises(UserError, match="is read"):
        eda(tmp_path, **{**settings, "config": _config(tmp_path / "eda.json")})
    (tmp_path / "SHOP_train.csv").unlink()
    (tmp_path / "SHOP_train.csv").mkdir()
    with pytest.raises(UserError, match="has no contest file"):
        eda(tmp_path / "out", **settings)


def _config(path: Path) -> str:
    path.write_text("{}", encoding="utf-8")
    return str(path)


def test_settings_of_a_tokenizer_need_one() -> None:
    with pytest.raises(UserError, match="text_normalization has no effect"):
        EdaSettings(data_dir="x", text_normalization="nfkc")


def own_task(folder: Path, keys: dict[str, Any], rows: list[tuple[str, Any]]) -> dict[str, Any]:
    """Writes JSON lines of an own task; returns the settings for it."""
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    (folder / "SHOP_train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    task = {"name": "SHOP", "first_sequence": "text", **keys}
    (folder / "tasks.json").write_text(json.dumps({"tasks": [task]}), encoding="utf-8")
    return {"data_dir": folder, "tasks_file": str(folder / "tasks.json")}


def heights(page: Page, chart: str) -> list[float]:
    """Returns the heights of the bars of the one chart of a name."""
    (svg,) = re.findall(rf'<svg[^>]*aria-label="{chart}">(.*?)</svg>', page.content, re.DOTALL)
    return [float(height) for height in re.findall(r' height="([\d.]+)"', svg)]


def test_several_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"type": "multi_label", "label_enumerate_values": ["city", "food", "sea"]}
    rows = [("天", ["city"]), ("地", []), ("人", ["food", "city"]), ("日", ["city"])]
    (task,) = eda(tmp_path / "out", **own_task(tmp_path, keys, rows))["tasks"]
    (file,) = task["files"]
    assert (file["labels"], file["labels_a_row"]) == ({"city": 3, "food": 1, "sea": 0}, [1, 2, 1])
    assert heights(Page(tmp_path / "out/eda.html"), "rows by number of labels") == [50, 100, 50]
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["city", "3", "75.0%"] in printed and ["labels", "a", "row", "SHOP_train.jsonl"] in printed


def test_numbers_have_a_histogram_that_files_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = own_task(tmp_path, {"type": "score"}, [("天", 0), ("地", 2), ("人", 2.5), ("日", 3.5)])
    (tmp_path / "SHOP_dev.jsonl").write_text('{"text": "月", "label": 8}\n', encoding="utf-8")
    (task,) = eda(tmp_path / "out", **settings)["tasks"]
    train, dev = (file["numbers"] for file in task["files"])
    histogram = train.pop("histogram")
    assert train == {
        "mean": 2.0, "standard_deviation": pytest.approx(1.2748, abs=1e-4), "least": 0, "lower_quartile": 1.5,
        "median": 2.25, "upper_quartile": 2.75, "greatest": 3.5,
    }  # fmt: skip
    assert task["number_range"] == [0, 8] and [place for place, rows in enumerate(histogram) if rows] == [0, 10, 12, 17]
    assert dev["histogram"] == [0] * 39 + [1] and task["files"][0]["labels"] == {}
    page = Page(tmp_path / "out/eda.html").content
    assert "2.4 to 2.6: 1 rows" in page and "What sets a range apart" in page
    assert "SHOP_train.jsonl     2      1.275      0  1.5    2.25  2.75       3.5" in capsys.readouterr().out


def test_entities_by_kind_and_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ("天<b>地", ["O", "B-X", "I-X", "I-X", "O"]),
        ("天地<b>", ["B-Y", "I-X", "B-X", "I-X", "I-X"]),
        ("天地", ["O", "O"]),
    ]
    keys = {"type": "tags", "label_enumerate_values": ["O", "B-X", "I-X", "B-Y"]}
    encoder = str(ROOT / "data/tiny_bert_zh")
    (task,) = eda(tmp_path / "out", **own_task(tmp_path, keys, rows), tokenizer_name_or_path=encoder)["tasks"]
    (file,) = task["files"]
    assert file["labels"] == {"X": 2, "Y": 1} and file["entity_lengths"] == [2, 0, 2] + [0] * 9
    assert file["entities"]["X"] == {
        "count": 3, "mean_length": pytest.approx(7 / 3), "longest": 3, "most_frequent": {"<b>": 2, "地": 1},
    }  # fmt: skip
    assert file["tokens"]["lengths"]["longest"] == 7
    page = Page(tmp_path / "out/eda.html")
    assert "b" not in page.tags and "&lt;b&gt;" in page.content
    assert heights(page, "entities by length") == [100, 0, 100] + [0] * 9
    assert "SHOP_train.jsonl, X       3              2.3        3" in capsys.readouterr().out
