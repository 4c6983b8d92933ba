"""The contest's mix of lengths, as rows without content."""

from collections import Counter
from pathlib import Path

import numpy as np

from easytransfer_mtl.data.contest_files import require_files
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.features import RowEncoder
from easytransfer_mtl.data.table_reader import check_rows, read_table
from easytransfer_mtl.files import read_json
from easytransfer_mtl.seeding import generator
from easytransfer_mtl.tasks import Task

HISTOGRAM = Path(__file__).with_name("contest_lengths.json")
"""Task name -> {tokens of a row: number of rows}, counted on the contest's train files, specials included."""
FIRST_ID = 200


def stored_histograms() -> dict[str, dict[int, int]]:
    """Returns the histograms that come with the package."""
    return {
        name: {int(size): count for size, count in sizes.items()} for name, sizes in read_json(HISTOGRAM)["lengths"].items()
    }


def measured_histograms(folder: str, tasks: tuple[Task, ...], builder: RowEncoder) -> dict[str, dict[int, int]]:
    """Counts the lengths of a folder's train files."""
    files = require_files(folder, "train", tasks)
    histograms = {}
    for task in tasks:
        content = read_table(files[task.name], task, True)
        check_rows(content)
        lengths = Counter(len(builder.encode(row.texts).input_ids) for row in content.rows)
        histograms[task.name] = dict(sorted(lengths.items()))
    return histograms


def rows_of_lengths(
    histogram: dict[int, int], sequence_length: int, vocabulary_size: int, task: Task, seed: int
) -> EncodedRows:
    """Makes rows of random tokens and labels with the lengths of a histogram, cut to ``sequence_length``."""
    random = generator(seed, "benchmark rows", task.name)
    lengths = np.minimum(np.repeat(list(histogram), list(histogram.values())), sequence_length)
    total = int(lengths.sum())
    return EncodedRows(
        input_ids=random.integers(min(FIRST_ID, vocabulary_size // 2), vocabulary_size, total).astype(np.int32),
        segment_ids=np.zeros(total, np.uint8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        label_ids=random.integers(0, task.num_labels, len(lengths)).astype(np.int32),
    )
