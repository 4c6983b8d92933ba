"""run_recipe.sh: which commands it gives and where it goes on, with a Python that only writes them down; then the same
commands on the sample."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Record = Callable[[str, str, Path, Path], Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def recorder(root: Path, record: Record, tmp_path: Path) -> Any:
    """Over the sample."""
    return record("run_recipe.sh", "--seed=", tmp_path, root / "data/sample")


def test_a_vocabulary_alone_is_pre_trained_and_every_seed_starts_from_the_result(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run("--vocab", encoder / "vocab.txt", "--num_epochs=2")
    assert done.returncode == 0, done.stderr
    trainings = ["train --seed=1", "train --seed=2", "train --seed=3"]
    assert recorder.names(commands) == ["convert", "pretrain", *trainings, "submit", "evaluate"]
    pretrain = commands[1]
    assert f"--pretrain_model_name_or_path={recorder.output}/encoder" in pretrain and "--random_init" in pretrain
    for words in commands[2:5]:
        assert f"--pretrain_model_name_or_path={recorder.output}/pretrain/final" in words and "--num_epochs=2" in words
    models = ",".join(f"{recorder.output}/seed_{seed}/best" for seed in (1, 2, 3))
    assert all(f"--checkpoints={models}" in words for words in commands[-2:])
    configs = {word for words in commands for word in words if word.startswith("--config=")}
    assert configs == {"--config=run_scripts/config/recipe_from_scratch.json"}


def test_a_downloaded_encoder_is_fine_tuned_as_it_is(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run("--encoder", encoder, "--seeds", "7")
    assert done.returncode == 0, done.stderr
    assert recorder.names(commands) == ["convert", "train --seed=7", "submit", "evaluate"]
    assert "--config=run_scripts/config/recipe_pretrained.json" in commands[1]
    assert f"--pretrain_model_name_or_path={encoder}" in commands[1]


def test_both_weights_of_each_training_are_averaged_if_asked_for(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run("--encoder", encoder, "--both", "--seeds", "1,2")
    assert done.returncode == 0, done.stderr
    kinds = [f"{recorder.output}/seed_{seed}/model.ckpt-*{kind}" for seed in (1, 2) for kind in ("", "@ema")]
    assert all(f"--checkpoints={','.join(kinds)}" in words for words in commands[-2:])


@pytest.mark.parametrize("sign", ["=", " "])
def test_an_encoder_with_a_pruned_vocabulary_and_settings_of_its_own(
    recorder: Any, encoder: Path, root: Path, sign: str
) -> None:
    settings = root / "run_scripts/config/recipe_multilingual_small.json"
    words = ("--encoder", encoder, "--prune", *f"--config{sign}{settings}".split(), "--seeds", "7")
    done, commands = recorder.run(*words)
    assert done.returncode == 0, done.stderr
    assert recorder.names(commands) == ["prune_vocabulary", "convert", "train --seed=7", "submit", "evaluate"]
    assert f"--pretrain_model_name_or_path={encoder}" in commands[0]
    pruned = f"{recorder.output}/encoder"
    assert f"--output_dir={pruned}" in commands[0] and f"--tokenizer_name_or_path={pruned}" in commands[1]
    assert f"--pretrain_model_name_or_path={pruned}" in commands[2]
    configs = {word for words in commands for word in words if word.startswith("--config=")}
    assert configs == {f"--config={settings}"}
    (recorder.output / "encoder").mkdir(parents=True)
    (recorder.output / "encoder/pruning.json").touch()
    assert recorder.names(recorder.run(*words)[1])[0] == "convert"


def test_a_small_model_over_another_vocabulary_is_trained_beside_each_training(
    recorder: Any, encoder: Path, root: Path
) -> None:
    words = ("--encoder", encoder, "--both", "--seeds", "1,2", "--beside", encoder / "vocab.txt", "--num_epochs=2")
    done, commands = recorder.run(*words)
    assert done.returncode == 0, done.stderr
    once = ["train --seed=1", "train --seed=2"]
    assert recorder.names(commands) == ["convert", "convert", *once, *once, "submit", "evaluate"]
    beside = recorder.output / "beside"
    small = json.loads((beside / "encoder/config.json").read_text(encoding="utf-8"))
    assert (small["num_hidden_layers"], small["hidden_size"]) == (2, 128)
    assert (beside / "encoder/vocab.txt").read_bytes() == (encoder / "vocab.txt").read_bytes()
    for words in commands[2:4]:
        assert f"--pretrain_model_name_or_path={beside}/encoder" in words and "--random_init" in words
        assert f"--train_input_fp={beside}/data/train.list_tfrecord" in words and "--num_epochs=2" not in words
    assert all("--config=run_scripts/config/recipe_from_scratch.json" in words for words in commands[1:4])
    for words in commands[4:6]:
        assert f"--pretrain_model_name_or_path={encoder}" in words and "--num_epochs=2" in words
    kinds = [f"{recorder.output}/seed_{seed}/model.ckpt-*{kind}" for seed in (1, 2) for kind in ("", "@ema")]
    models = ",".join([*kinds, f"{beside}/seed_1/best", f"{beside}/seed_2/best"])
    for words in commands[-2:]:
        assert f"--checkpoints={models}" in words and f"--data_dir={root / 'data/sample'}" in words
        assert "--checkpoint_weights=1:1:1:1:0:0,tnews=1:1:1:1:2:2" in words
    assert "--config=run_scripts/config/recipe_pretrained.json" in commands[-1]


@pytest.mark.parametrize(
    "words, weights",
    [
        (("--seeds=7",), "1:0,tnews=1:1"),
        (("--both", "--seeds=10"), "1:1:0,tnews=1:1:2"),
        ((), "1:1:1:0:0:0,tnews=1:1:1:1:1:1"),
    ],
)
def test_small_models_beside_have_half_of_tnews(recorder: Any, encoder: Path, words: tuple[str, ...], weights: str) -> None:
    done, commands = recorder.run("--encoder", encoder, "--beside", encoder / "vocab.txt", *words)
    assert done.returncode == 0, done.stderr
    assert all(f"--checkpoint_weights={weights}" in words for words in commands[-2:])


def test_a_vocabulary_that_does_not_fit_is_known_before_the_encoder_is_trained(recorder: Any, encoder: Path) -> None:
    words = ("--encoder", encoder, "--seeds=7", "--beside", encoder / "vocab.txt")
    done, commands = recorder.run(*words, fails="--random_init")
    assert (done.returncode, recorder.names(commands)) == (3, ["convert", "convert", "train --seed=7"])
    assert "--random_init" in commands[-1]
    done, commands = recorder.run(*words)
    once = ["convert", "convert", "train --seed=7", "train --seed=7"]
    assert (done.returncode, recorder.names(commands)) == (0, [*once, "submit", "evaluate"])


def test_a_small_model_beside_needs_an_encoder_and_a_vocabulary(recorder: Any, encoder: Path, tmp_path: Path) -> None:
    for words in (
        ("--vocab", encoder / "vocab.txt", "--beside", encoder / "vocab.txt"),
        ("--encoder", encoder, "--beside", tmp_path / "none.txt"),
        ("--encoder", encoder, "--beside"),
    ):
        done, commands = recorder.run(*words)
        assert done.returncode == 2 and "usage: bash run_scripts/run_recipe.sh" in done.stderr
        assert commands == []


def test_a_vocabulary_without_weights_cannot_be_pruned(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run("--vocab", encoder / "vocab.txt", "--prune")
    assert done.returncode == 2 and "usage: bash run_scripts/run_recipe.sh" in done.stderr
    assert commands == []


def test_own_flags_may_be_written_with_a_sign(recorder: Any, encoder: Path) -> None:
    done, commands = recorder.run(f"--encoder={encoder}", "--seeds=4,5", "--num_epochs=2")
    assert done.returncode == 0, done.stderr
    assert recorder.names(commands) == ["convert", "train --seed=4", "train --seed=5", "submit", "evaluate"]
    assert all("--num_epochs=2" in words for words in commands[1:3])


@pytest.mark.parametrize(
    "words", [("--seed", "7"), ("--seed=7",), ("--seeds", "1,1"), ("--seeds", "1,"), ("--seeds=a",), ("--seeds",)]
)
def test_seeds_that_would_not_make_an_average_are_refused(recorder: Any, encoder: Path, words: tuple[str, ...]) -> None:
    done, commands = recorder.run("--encoder", encoder, *words)
    assert done.returncode == 2 and "usage: bash run_scripts/run_recipe.sh" in done.stderr
    assert commands == []


@pytest.mark.parametrize(
    "fails, first, second",
    [
        ("pretrain", ["convert", "pretrain"], ["convert", "pretrain", "train --seed=1", "train --seed=2"]),
        ("--seed=2", ["convert", "pretrain", "train --seed=1", "train --seed=2"], ["convert", "train --seed=2"]),
    ],
)
def test_it_goes_on_where_it_stopped(recorder: Any, encoder: Path, fails: str, first: list[str], second: list[str]) -> None:
    words = ("--vocab", encoder / "vocab.txt", "--seeds", "1,2")
    done, commands = recorder.run(*words, fails=fails)
    assert (done.returncode, recorder.names(commands)) == (3, first)
    done, commands = recorder.run(*words)
    assert (done.returncode, recorder.names(commands)) == (0, [*second, "submit", "evaluate"])


def test_the_recipe_on_the_sample_ends_with_a_submission_of_the_average(
    root: Path, encoder: Path, record: Record, new_session: Callable[[], Run], tmp_path: Path
) -> None:
    small = ("--num_epochs=0.2", "--length_buckets=1", "--features=tnews=cls+ngrams:64:4,ocemotion=cls+mean")
    words = ("--vocab", encoder / "vocab.txt", "--seeds", "1,2", "--both", *small)
    _, commands = record("run_recipe.sh", "--seed=", tmp_path, root / "data/sample").run(*words)
    for made in ("pretrain", "seed_1", "seed_2"):
        shutil.rmtree(tmp_path / "out" / made)
    shutil.copyfile(encoder / "config.json", tmp_path / "out/encoder/config.json")
    commands[1] += ["--train_steps=3", "--length_buckets=1"]
    trainings, scores = new_session(), new_session()
    for words in commands:
        done = (scores if words[0] in ("submit", "evaluate") else trainings)(*words, cwd=root)
        assert done.returncode == 0, done.stderr
    models = json.loads((tmp_path / "out/evaluation/models.json").read_text(encoding="utf-8"))["models"]
    assert len(models) == 5 and {score["rows"] for score in models[-1]["scores"]} == {111, 97, 120}
    assert (tmp_path / "out/submission/result.zip").exists()
