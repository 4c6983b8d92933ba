"""The settings of EasyTransfer's engine, common to its commands, and the settings of convert and split."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import BadRowSettings, CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import (
    LARGEST_SEED,
    LONGEST_ROW,
    MOST_STEPS,
    NORMALIZATIONS,
    PREPROCESS,
    SEQUENCE_LENGTH,
    SMALLEST_SEED,
    TOKENIZER,
    TOKENIZERS,
    VOCABULARY_RULE,
    VOCABULARY_RULES,
)
from easytransfer_mtl.seeding import DEFAULT_SEED


@dataclass(frozen=True, kw_only=True)
class EasyTransferSettings(CommonSettings):
    """EasyTransfer's engine flags."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    modelZooBasePath: str | None = option("", "folder of EasyTransfer's model zoo; default ~/.eztransfer_modelzoo")
    mode: str | None = option(None, "EasyTransfer's run mode; checked against the command, changes nothing")
    tables: str | None = option(None, "comma list of input paths; overrides the configured input(s), in order")
    outputs: str | None = option(None, "output path; overrides the configured one (convert only)")
    worker_hosts: str = option("", "training: comma list of every worker's host:port", "localhost:5001")
    task_index: int = option("", "training: this worker's place in worker_hosts, from 0", 0, minimum=0, maximum=10_000)
    job_name: str = option("", "EasyTransfer flag; only worker", "worker")
    workerGPU: int = option(
        "", "training: GPUs a worker; 0 is the same as 1", 1, json_key="num_gpus", minimum=0, maximum=10_000
    )
    workerCount: int = option(
        "",
        "training: workers; may be left out with worker_hosts",
        1,
        json_key="num_workers",
        minimum=0,
        maximum=10_000,
    )
    workerCPU: int = option(None, "EasyTransfer flag without effect, there and here", 1, minimum=0, maximum=1_000_000)


@dataclass(frozen=True, kw_only=True)
class ConvertSettings(BadRowSettings, EasyTransferSettings):
    """Settings of convert: CSV to TFRecord, one file or all contest files of a folder."""

    data_dir: str | None = option(PREPROCESS, "folder of contest files; converts train and dev of every task")
    output_dir: str | None = option(PREPROCESS, "with data_dir: where TFRecords, train.list_tfrecord, dev.list_tfrecord go")
    dev_share: float = option(
        PREPROCESS,
        "with data_dir: share of the train file's end used as dev without a dev file; 0: none",
        0.1,
        minimum=0,
        maximum=1,
    )
    preprocess_input_fp: str | None = option(PREPROCESS, "one data file, in place of data_dir")
    preprocess_output_fp: str | None = option(PREPROCESS, "its TFRecord file")
    preprocess_batch_size: int = option(
        PREPROCESS, "EasyTransfer key without effect here", 16, minimum=0, maximum=MOST_STEPS
    )
    task: str | None = option(PREPROCESS, "task of the one file; not needed where the label list determines it")
    input_schema: str | None = option(PREPROCESS, "columns, for instance idx:str:1,sentence1:str:1,label:str:1")
    first_sequence: str | None = option(PREPROCESS, "column of the first text")
    second_sequence: str | None = option(PREPROCESS, "column of the second text")
    label_name: str | None = option(PREPROCESS, "column of the label")
    label_enumerate_values: str | None = option(PREPROCESS, "comma list of labels; the position is the id")
    labelled: bool = option(PREPROCESS, "whether the file has the label column", True)
    output_schema: str = option(PREPROCESS, "features to write", "input_ids,input_mask,segment_ids,label_id")
    tokenizer_name_or_path: str = option(
        PREPROCESS, "encoder (name, folder or checkpoint prefix) whose vocab.txt is used", required=True
    )
    tokenizer: str = option(PREPROCESS, TOKENIZER, "auto", choices=TOKENIZERS)
    vocabulary_rule: str = option(PREPROCESS, VOCABULARY_RULE, "auto", choices=VOCABULARY_RULES)
    sequence_length: int = option(PREPROCESS, "padded length in tokens", SEQUENCE_LENGTH, minimum=5, maximum=LONGEST_ROW)
    text_normalization: str = option(
        PREPROCESS,
        "nfkc folds full-width punctuation and letters to half-width (differs from the original)",
        "none",
        choices=NORMALIZATIONS,
    )
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)


@dataclass(frozen=True, kw_only=True)
class SplitSettings(BadRowSettings):
    """Settings of split: labelled files to folds."""

    tasks_file: str | None = option("", "JSON file with your own tasks; default: TNEWS, OCEMOTION, OCNLI")
    data_dir: str = option(PREPROCESS, "folder of contest files; every task's train file is split", required=True)
    output_dir: str = option(PREPROCESS, "where folds.json and a CSV a task go", required=True)
    folds: int = option(PREPROCESS, "number of folds", 5, json_key="num_folds", minimum=2, maximum=100_000)
    seed: int = option(
        PREPROCESS, "seed of the order in which rows are dealt", DEFAULT_SEED, minimum=SMALLEST_SEED, maximum=LARGEST_SEED
    )
    include_dev: bool = option(PREPROCESS, "split the dev files' rows too, together with the train files'", False)
    header: bool = option(PREPROCESS, "pass over the first line of every CSV file", False)
