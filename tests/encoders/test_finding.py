"""Where an encoder's files are looked for: model zoo, folder, file, TF1 prefix, Hugging Face; never the network here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.weight_files import find_weights
from easytransfer_mtl.errors import UserError

Hub = Callable[[tuple[str, ...]], list[tuple[str, list[str]]]]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **more: object) -> str:
        raise ConnectionError("no route to the hub\nmore lines")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """Makes a hub with the given files; returns the list of calls to come. A call fetches the files its patterns fit."""

    def make(files: tuple[str, ...]) -> list[tuple[str, list[str]]]:
        calls = []

        def download(name: str, allow_patterns: list[str]) -> str:
            calls.append((name, allow_patterns))
            folder = tmp_path / "hub"
            folder.mkdir(exist_ok=True)
            for file in files:
                if any(Path(file).match(pattern) for pattern in allow_patterns):
                    (folder / file).touch()
            return str(folder)

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        return calls

    return make


def touched(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_easytransfer_name_is_a_folder_of_the_model_zoo(tmp_path: Path, hub: Hub) -> None:
    calls = hub(())
    for name, kind in (
        ("google-bert-base-zh", "bert"),
        ("hit-roberta-base-zh", "roberta"),
        ("google-albert-base-zh", "albert"),
    ):
        folder = touched(tmp_path / "zoo" / kind / name)
        assert find_encoder(name, str(tmp_path / "zoo")) == EncoderFiles(folder, folder, tanh_gelu=True)
    assert calls == []


def test_model_zoo_is_in_the_home_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = touched(tmp_path / ".eztransfer_modelzoo" / "bert" / "pai-bert-tiny-zh")
    assert find_encoder("pai-bert-tiny-zh").folder == folder
    assert find_encoder("~/.eztransfer_modelzoo/bert/pai-bert-tiny-zh").folder == folder


def test_easytransfer_name_outside_the_zoo_is_its_hugging_face_counterpart(tmp_path: Path, hub: Hub) -> None:
    calls = hub(("config.json", "vocab.txt", "model.safetensors", "tf_model.h5", "pytorch_model.bin"))
    found = find_encoder("google-bert-base-zh", str(tmp_path / "zoo"))
    assert found == EncoderFiles(tmp_path / "hub", tmp_path / "hub", tanh_gelu=True)
    assert [name for name, _ in calls] == ["google-bert/bert-base-chinese"]
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]


@pytest.mark.parametrize(
    "offered, fetched",
    [
        (("model.safetensors", "tf_model.h5", "pytorch_model.bin"), "model.safetensors"),
        (("tf_model.h5", "pytorch_model.bin"), "tf_model.h5"),
        (("pytorch_model.bin", "flax_model.msgpack"), "pytorch_model.bin"),
    ],
)
def test_one_kind_of_weights_is_downloaded(offered: tuple[str, ...], fetched: str, hub: Hub, tmp_path: Path) -> None:
    hub(("config.json", *offered))
    found = find_encoder("some-owner/some-bert")
    assert not found.tanh_gelu
    assert sorted(path.name for path in found.folder.iterdir()) == ["config.json", fetched]


def test_no_weights_are_downloaded_for_the_vocabulary_alone(hub: Hub) -> None:
    calls = hub(("config.json", "vocab.txt", "pytorch_model.bin"))
    find_encoder("bert-base-chinese", needs_weights=False)
    assert calls == [("bert-base-chinese", ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"])]


def test_name_published_nowhere_says_which_folder_to_fill(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        find_encoder("pai-bert-base-zh", str(tmp_path))
    assert f"model.ckpt files into {tmp_path / 'bert' / 'pai-bert-base-zh'}" in str(error.value)


def test_tf1_checkpoint_prefix(tmp_path: Path) -> None:
    folder = touched(tmp_path / "google", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")
    assert find_encoder(str(folder / "bert_model.ckpt")) == EncoderFiles(folder / "bert_model.ckpt", folder, tanh_gelu=True)


@pytest.mark.parametrize(
    "files, tanh_gelu",
    [
        (("model.ckpt.index",), True),
        (("model.safetensors",), False),
        (("model.ckpt.index", "model.safetensors"), False),
        (("model.ckpt.index", "tf_model.h5"), False),
        (("model.ckpt.index", "pytorch_model.bin"), False),
        ((), False),
    ],
)
def test_folder_counts_as_the_originals_only_if_tf1_weights_are_all_it_has(
    files: tuple[str, ...], tanh_gelu: bool, tmp_path: Path
) -> None:
    folder = touched(tmp_path / "encoder", *files)
    assert find_encoder(str(folder)) == EncoderFiles(folder, folder, tanh_gelu)


def test_weights_file(tmp_path: Path) -> None:
    folder = touched(tmp_path / "encoder", "pytorch_model.bin")
    assert find_encoder(str(folder / "pytorch_model.bin")) == EncoderFiles(folder / "pytorch_model.bin", folder, False)


@pytest.mark.parametrize("name", ["/no/such/model.ckpt", "./model", "~/nothing", "one/two/three", "../model.ckpt", ""])
def test_what_cannot_be_a_hub_name_is_never_asked_for(name: str, hub: Hub) -> None:
    calls = hub(())
    with pytest.raises(UserError, match="not a folder, a weights file or a TF1 checkpoint prefix"):
        find_encoder(name)
    assert calls == []


def test_no_network_gives_the_reason_the_nearest_name_and_all_names() -> None:
    with pytest.raises(UserError) as error:
        find_encoder("google-bert-base-hz")
    text = str(error.value)
    assert "ConnectionError: no route to the hub" in text and "more lines" not in text
    assert "Did you mean 'google-bert-base-zh'?" in text
    assert "brightmart-roberta-large-zh" in text


def test_no_nearest_name_for_a_name_unlike_all() -> None:
    with pytest.raises(UserError) as error:
        find_encoder("xyzzy")
    assert "Did you mean" not in str(error.value)


def test_config_file_is_either_of_two_names(tmp_path: Path) -> None:
    files = EncoderFiles(tmp_path, tmp_path, False)
    with pytest.raises(UserError, match="no config.json"):
        _ = files.config_file
    touched(tmp_path, "bert_config.json")
    assert files.config_file == tmp_path / "bert_config.json"
    touched(tmp_path, "config.json")
    assert files.config_file == tmp_path / "config.json"
    assert files.vocabulary_file == tmp_path / "vocab.txt"


@pytest.mark.parametrize("name", ["google-albert-base-en", "pai-albert-xxlarge-en"])
def test_english_alberts_of_easytransfers_are_refused_without_asking_the_hub(name: str, hub: Hub) -> None:
    calls = hub(())
    with pytest.raises(UserError, match="SentencePiece") as error:
        find_encoder(name)
    assert name.replace("-en", "-zh") in str(error.value) and calls == []


def test_easytransfers_alberts_are_in_their_folder_of_the_zoo(tmp_path: Path) -> None:
    folder = touched(tmp_path / "albert" / "pai-albert-large-zh")
    assert find_encoder("pai-albert-large-zh", str(tmp_path)) == EncoderFiles(folder, folder, tanh_gelu=True)


CONFIG = '{"hidden_size": 8, "num_hidden_layers": 2}'


def holding(folder: Path, **contents: str) -> Path:
    """Makes a folder of files with contents; in their names __ stands for a dot."""
    touched(folder)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "prefix, config, vocabulary",
    [
        ("albert_model.ckpt", "albert_config_tiny_g.json", "vocab.txt"),
        ("albert_model.ckpt", "albert_config_small_google.json", "vocab_chinese.txt"),
        ("model.ckpt-1375000", "bert_config_large.json", "vocab.txt"),
        ("roberta_zh_large_model.ckpt", "bert_config_large.json", "vocab.txt"),
        ("bert_model.ckpt", "bert_config.json", "bert-vocab.txt"),
        ("electra_180g_base.ckpt", "discriminator.json", "vocab.txt"),
        ("my-weights", "config_of_mine.json", "vocabulary.txt"),
    ],
)
def test_other_names_are_found_where_there_is_one_of_each(prefix: str, config: str, vocabulary: str, tmp_path: Path) -> None:
    folder = touched(tmp_path / "encoder", f"{prefix}.index", f"{prefix}.data-00000-of-00001", f"{prefix}.meta", vocabulary)
    (folder / config).write_text(CONFIG, encoding="utf-8")
    for other in ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json"):
        (folder / other).write_text('{"do_lower_case": true}', encoding="utf-8")
    found = find_encoder(str(folder))
    assert find_weights(found.location) == (folder / prefix, "tf1") and found.tanh_gelu
    assert (found.config_file, found.vocabulary_file) == (folder / config, folder / vocabulary)
    for name in (prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001"):
        assert find_encoder(str(folder / name)) == EncoderFiles(folder / prefix, folder, tanh_gelu=True)


@pytest.mark.parametrize("name", ["chinese_bert.safetensors", "weights.h5", "bert_wwm.bin", "encoder.pt"])
def test_a_single_weights_file_of_another_name(name: str, tmp_path: Path) -> None:
    folder = touched(tmp_path / "encoder", name, "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")
    assert find_weights(folder)[0] == folder / name


def test_several_of_other_names_are_listed(tmp_path: Path) -> None:
    several = {"bert_config_a__json": CONFIG, "bert_config_b__json": CONFIG, "vocab_a__txt": "", "vocab_b__txt": ""}
    folder = holding(tmp_path / "encoder", **several)
    files = find_encoder(str(folder))
    with pytest.raises(UserError, match="no config.json, but bert_config_a.json, bert_config_b.json; rename the one"):
        _ = files.config_file
    with pytest.raises(UserError, match="no vocab.txt, but vocab_a.txt, vocab_b.txt; rename the one.*to vocab.txt"):
        _ = files.vocabulary_file
    touched(folder, "one.ckpt.index", "two.ckpt.index", "three.bin")
    with pytest.raises(UserError, match="several checkpoints; give one of .*one.ckpt.*two.ckpt.*three.bin"):
        find_weights(folder)
    touched(folder, "config.json", "vocab.txt")
    assert (files.config_file, files.vocabulary_file) == (folder / "config.json", folder / "vocab.txt")


def test_what_is_there_is_listed_where_nothing_fits(tmp_path: Path) -> None:
    folder = holding(tmp_path / "encoder", spiece__model="", tokenizer_config__json="{}", readme__txt="")
    files = find_encoder(str(folder))
    with pytest.raises(UserError, match="no config.json.*Found: readme.txt, spiece.model, tokenizer_config.json"):
        _ = files.config_file
    with pytest.raises(UserError, match="vocab.txt does not exist.*Found: readme.txt, spiece.model"):
        _ = files.vocabulary
