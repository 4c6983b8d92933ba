"""A description of data files as one HTML page that needs no other file and asks for none."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from easytransfer_mtl.inspection.charts import label_charts, length_charts
from easytransfer_mtl.inspection.description import MOST_CUT, SEQUENCE_LENGTHS, TaskDescription
from easytransfer_mtl.inspection.description_text import numbers, suggestion
from easytransfer_mtl.inspection.label_text import NUMBERS, number_cells

TEMPLATE = "page.html.jinja"


def page(described: Sequence[TaskDescription], data_dir: str, tokenizer: str | None, normalization: str) -> str:
    """Returns the page.

    Args:
        described: the tasks' files.
        data_dir: the folder that they are in.
        tokenizer: the name of what counted the tokens, or None.
        normalization: what was done to texts before.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"count": "{:,}".format, "share": "{:.1%}".format}
    return environment.get_template(TEMPLATE).render(
        described=described, data_dir=data_dir, tokenizer=tokenizer, normalization=normalization, numbers=numbers,
        suggestion=suggestion, lengths_cut=SEQUENCE_LENGTHS, most_cut=MOST_CUT, length_charts=length_charts,
        label_charts=label_charts, number_cells=number_cells, number_columns=NUMBERS,
    )  # fmt: skip
