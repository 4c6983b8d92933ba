"""``python -m easytransfer_mtl COMMAND --flags`` and the console script ``easytransfer_mtl``."""

import contextlib
import difflib
import importlib
import itertools
import logging
import os
import signal
import sys
from typing import NamedTuple

from easytransfer_mtl import __version__
from easytransfer_mtl.config.base import CommonSettings, load_settings, settings_for
from easytransfer_mtl.config.convert_settings import ConvertSettings, SplitSettings
from easytransfer_mtl.config.data_settings import CheckDataSettings, EdaSettings
from easytransfer_mtl.config.docker_settings import DockerSettings
from easytransfer_mtl.config.doctor_settings import DoctorSettings
from easytransfer_mtl.config.export_settings import ExportSettings
from easytransfer_mtl.config.help_text import command_help
from easytransfer_mtl.config.predict_settings import (
    CheckSubmissionSettings,
    EvaluateSettings,
    PredictSettings,
    ServeSettings,
    SubmitSettings,
)
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.config.prune_settings import PruneVocabularySettings
from easytransfer_mtl.config.study_settings import CompareSettings, PlotSettings, ReportSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.environment import check_environment, import_tensorflow, lasting_streams
from easytransfer_mtl.errors import Stopped, UserError, problem_of


class Command(NamedTuple):
    """A command.

    Attributes:
        settings: its settings class.
        purpose: one line for the help.
        uses_tensorflow: whether TensorFlow is imported before it runs.
        uses_bert: whether TensorFlow's import includes BERT.
        main_settings: settings whose values may come first on the command line, in this order and without the flags' names.
        takes_many: whether the values in front are all of the first of these, which gets them joined by commas.
    """

    settings: type[CommonSettings]
    purpose: str
    uses_tensorflow: bool = True
    uses_bert: bool = True
    main_settings: tuple[str, ...] = ()
    takes_many: bool = False


COMMANDS: dict[str, Command] = {
    "check_data": Command(
        CheckDataSettings, "what is wrong with the contest's files", False, False, main_settings=("data_dir",)
    ),
    "eda": Command(
        EdaSettings, "what is in the files: labels, lengths, words, as a page", False, False, main_settings=("data_dir",)
    ),
    "split": Command(SplitSettings, "labelled files to stratified folds", False, False),
    "convert": Command(ConvertSettings, "CSV files to TFRecord", uses_bert=False),
    "pretrain": Command(PretrainSettings, "further pre-training of an encoder on the tasks' own texts"),
    "train": Command(TrainSettings, "train, evaluate every checkpoint, export the best"),
    "evaluate": Command(EvaluateSettings, "score every checkpoint of a run and export the best; or score an average"),
    "predict": Command(PredictSettings, "labels and probabilities of unlabelled files"),
    "submit": Command(SubmitSettings, "predictions of the test files as a checked result.zip"),
    "check_submission": Command(CheckSubmissionSettings, "check a result.zip", uses_tensorflow=False, uses_bert=False),
    "export": Command(
        ExportSettings,
        "a trained model as a SavedModel or an ONNX file, for other programs",
        main_settings=("checkpoint_path", "export_dir_base"),
    ),
    "serve": Command(
        ServeSettings,
        "answer requests over HTTP, and a page to try the model on",
        # It imports TensorFlow itself, after it has found its packages and its port.
        uses_tensorflow=False,
        main_settings=("predict_checkpoint_path",),
    ),
    "plot": Command(
        PlotSettings, "a run's losses, weights and gradients as pictures", False, False, main_settings=("model_dir",)
    ),
    "report": Command(
        ReportSettings,
        "evaluated runs and their mistakes as one web page",
        False,
        False,
        main_settings=("runs",),
        takes_many=True,
    ),
    "prune_vocabulary": Command(PruneVocabularySettings, "an encoder without the tokens that given texts do not use"),
    "compare": Command(CompareSettings, "train several settings over several seeds, and their table"),
    "docker": Command(
        DockerSettings,
        "a model as the build context of an image for the contest",
        main_settings=("predict_checkpoint_path", "output_dir"),
    ),
    "doctor": Command(DoctorSettings, "what this machine can do, what is wrong with it, which flags fit it", False, False),
}
"""A command's code is in ``easytransfer_mtl.commands.<command>``."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0 success, 1 the command reports a failure, 2 user error."""
    with lasting_streams() as lost:
        status = _status(sys.argv[1:] if arguments is None else arguments)
        problem = lost()
        if problem is None:
            return status
        print(f"error: the standard output: {problem_of(problem)}", file=sys.stderr)
        return 2


def _status(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    try:
        return _run(command, rest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("easytransfer_mtl"):
            raise
        print(f"error: {command}: Python has no module {error.name}; run easytransfer_mtl doctor.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        print(f"error: {command}: {problem}", file=sys.stderr)
        return 2


def _run(command: str, arguments: list[str]) -> int:
    if command in ("--help", "-h", "-help", "help"):
        return _show(_overview())
    if command == "--version":
        return _show(__version__)
    if command not in COMMANDS:
        near = difflib.get_close_matches(command.lower(), COMMANDS, n=1)
        hint = f"did you mean {near[0]}? The" if near else "the"
        raise UserError(f"unknown command {command!r}; {hint} commands are {', '.join(COMMANDS)}.")
    chosen = COMMANDS[command]
    if any(word in ("--help", "-h", "-help", "--helpfull", "--helpshort") for word in arguments):
        declared = chosen.settings
        with contextlib.suppress(UserError):  # --help works even if other flags are wrong
            declared = settings_for(declared, arguments)
        return _show(command_help(f"easytransfer_mtl {command}", chosen.purpose, declared))
    _check_current_folder()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("absl").setLevel(logging.WARNING)
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    rest = arguments[len(words) :]
    if chosen.takes_many and words:
        words = [",".join(words)]
    named = [f"--{name}={word}" for name, word in zip(chosen.main_settings, words, strict=False)]
    arguments = [*named, *words[len(named) :], *rest]
    settings = load_settings(chosen.settings, arguments, command)
    if chosen.uses_tensorflow:
        check_environment()
        import_tensorflow(chosen.uses_bert)
    return importlib.import_module(f"easytransfer_mtl.commands.{command}").run(settings)


def _check_current_folder() -> None:
    try:
        os.getcwd()
    except OSError:
        raise UserError("The current folder is gone or may not be read; go to another (cd) and start again.") from None


def _show(text: str) -> int:
    print(text)
    return 0


def _overview() -> str:
    lines = [f"easytransfer_mtl {__version__}: EasyTransfer's multi-task baseline on TensorFlow 2", "", "commands:"]
    lines += [f"  {name:<18} {chosen.purpose}" for name, chosen in COMMANDS.items()]
    return "\n".join([*lines, "", "easytransfer_mtl COMMAND --help shows the flags of a command."])


if __name__ == "__main__":
    sys.exit(main())
