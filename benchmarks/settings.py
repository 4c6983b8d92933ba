"""The settings of the benchmark."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import LONGEST_ROW, MOST_ROWS


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(CommonSettings):
    """Speed of conversion, training and prediction on this machine."""

    modelZooBasePath: str | None = option("", "folder of EasyTransfer's model zoo; default ~/.eztransfer_modelzoo")
    data_dir: str | None = option(None, "contest files; default: generated ones with the contest's lengths")
    tokenizer_name_or_path: str | None = option(None, "with data_dir: encoder whose vocab.txt is used")
    output: str | None = option(None, "write the results, every round's numbers included, to this JSON file too")
    parts: str = option(
        None,
        "what to measure; can be added: curves (cost against batch size, length, layers, width), profile (one step), "
        "weighting (a joint step of every loss weighting)",
        "conversion,training,shapes,prediction,first_step,start_up",
    )
    rounds: int = option(
        None, "rounds; everything is measured once a round, medians are compared", 3, minimum=1, maximum=10_000
    )
    sizes: str = option(None, "encoders, layers x width; all parts measure the first, shapes all", "12x768,4x256")
    shapes: str = option(None, "batches of the part shapes, rows x tokens", "32x40,16x128")
    train_batch_size: int = option(None, "rows a batch of our training and prediction", 64, minimum=1, maximum=MOST_ROWS)
    sequence_length: int = option(
        None, "longest row, and what the original's recipe pads to", 128, minimum=5, maximum=LONGEST_ROW
    )
