"""The description of a task, and the three tasks of the contest."""

import math
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from easytransfer_mtl.config.sections import TABLE_FORMATS
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import read_json

CLASSIFY, MULTI_LABEL, SCORE, TAGS = "classify", "multi_label", "score", "tags"
_OF_LABELS = ("macro_f1", "micro_f1", "weighted_f1", "accuracy")
AUC = "auc"
"""The metric that needs the probabilities of all labels, and no threshold."""
METRICS = {
    CLASSIFY: (*_OF_LABELS, "matthews", AUC),
    MULTI_LABEL: (*_OF_LABELS, AUC),
    SCORE: ("pearson", "spearman", "mean_absolute_error"),
    TAGS: ("entity_f1", "macro_f1", "weighted_f1", "accuracy"),
}
"""Type of a task -> the metrics that it may have; the first is the default."""
ERRORS = ("mean_absolute_error",)
"""Metrics that are better when smaller."""
METRIC_NAMES = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "weighted_f1": "weighted F1",
    "accuracy": "accuracy",
    "matthews": "Matthews",
    AUC: "AUC",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "mean_absolute_error": "mean absolute error",
    "entity_f1": "entity F1",
}
"""Metric -> its name for readers."""
LABEL_SEPARATOR = ","
"""Between the labels of a row with several, as in EasyTransfer."""
UNITS = CHARACTER, WORD_UNIT = "character", "word"
"""What has a tag of its own in a text of the type ``tags``."""
OUTSIDE = "O"
"""The tag of what belongs to no entity."""
TAG = re.compile(r"O|[BI]-\S+")
LONGEST_NAME, LONGEST_WORD = 64, 256
"""In characters; file names contain the task's name."""
LONGEST_FILE_NAME = 3 * LONGEST_NAME
ENCODINGS = {
    "utf8": "utf-8", "utf8sig": "utf-8", "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030", "cp936": "gb18030",
    "utf16": "utf-16", "utf16le": "utf-16", "utf16be": "utf-16", "auto": "auto",
}  # fmt: skip
"""Names of encodings, without signs -> the encoding that is read: GB18030 reads whatever GBK and GB2312 wrote."""
FROM_DATA = "from data"
"""Stands for the labels of a task whose labels are those of its train file."""
NO_ID = "idx"
"""The id column's name where none is given: a table without such a column has none, and rows are numbered."""
WORD = f"text of 1 to {LONGEST_WORD} characters without control characters such as tabs or line ends"


@dataclass(frozen=True)
class Task:
    """One task: the format of its rows, and what there is to predict.

    A row has one label of a list (``classify``), any number of labels of it (``multi_label``), a number (``score``), or a
    label for each character or word of its text (``tags``).

    Attributes:
        name: upper- or lower-case identifier, for instance ``TNEWS``; names the head (``tnews_dense``), the logits
            (``tnews_logits``) and the submission file (``tnews_predict.json``).
        columns: columns of a labelled row, in order; an unlabelled row lacks the label column. Empty for tables that name
            their columns themselves: with a header, or JSON lines.
        first_sequence: column of the first text.
        label_enumerate_values: label strings; the position is the label id. The order is part of the model. Empty for
            ``score``, and as long as they are not yet learned from the train file (``from data`` in JSON).
        second_sequence: column of the second text of a pair, or None.
        label_name: column of the label.
        id_column: column of the row's id, which is kept unchanged. Without a column ``idx`` rows are numbered from 0, unless
            another name is given.
        metric: the task's score, one of ``METRICS`` of its type; empty for the type's default.
        label_names: label -> its name for readers, for instance ``108`` -> ``教育``; labels may be left out. Nothing that is
            computed depends on it, so tasks that differ in names only are equal.
        type: ``classify``, ``multi_label``, ``score`` or ``tags``.
        more_metrics: metrics that are reported beside ``metric``.
        threshold: of ``multi_label``, the least probability of a predicted label. ``evaluate`` chooses it by the dev rows;
            training does not depend on it, so tasks that differ in it only are equal.
        range: of ``score``, the least and the greatest number; predictions are cut to it. None for any.
        format: of the task's files, one of ``TABLE_FORMATS``; ``auto`` tells it by a file's ending and first lines.
        encoding: of the task's files, one of ``ENCODINGS``; ``auto`` is UTF-8, or another one that is certain.
        label_separator: of ``multi_label``, stands between a row's labels in the task's files; ``LABEL_SEPARATOR`` if None.
        unit: of ``tags``, what has a tag: ``character`` (every one of the text, white space too) or ``word`` (what white
            space separates).
    """

    name: str
    columns: tuple[str, ...]
    first_sequence: str
    label_enumerate_values: tuple[str, ...]
    second_sequence: str | None = None
    label_name: str = "label"
    id_column: str = "idx"
    metric: str = ""
    label_names: dict[str, str] = field(default_factory=dict, compare=False)
    type: str = CLASSIFY
    more_metrics: tuple[str, ...] = ()
    threshold: float = field(default=0.5, compare=False)
    range: tuple[float, float] | None = None
    format: str = field(default="auto", compare=False)
    encoding: str = field(default="auto", compare=False)
    label_separator: str | None = field(default=None, compare=False)
    unit: str = CHARACTER

    def __post_init__(self) -> None:
        where = f"task {shown(self.name)}"
        if not isinstance(self.name, str) or not re.fullmatch(r"[^\W\d_]\w*", _composed(self.name)):
            raise UserError(f"{where}: the name must be letters, digits and _, and start with a letter.")
        object.__setattr__(self, "name", _composed(self.name))
        if len(self.name) > LONGEST_NAME:
            raise UserError(f"{where}: the name has {len(self.name):,} characters; at most {LONGEST_NAME} are allowed.")
        if len(self.file_name) > LONGEST_FILE_NAME:
            raise UserError(f"{where}: the name has {len(self.name)} characters; that is too long for names of files.")
        _check_words("columns", self.columns, where)
        _check_words("label_enumerate_values", self.label_enumerate_values, where)
        for role in ("first_sequence", "second_sequence", "label_name", "id_column"):
            column = getattr(self, role)
            if column is None and role == "second_sequence":
                continue
            if not self.columns and not (isinstance(column, str) and _is_word(column)):
                raise UserError(f"{where}: {role} is {shown(column)}; it must be a column's name, {WORD}.")
            if self.columns and column not in self.columns and (role, column) != ("id_column", NO_ID):
                raise UserError(f"{where}: {role} {shown(column)} is not one of its columns {listed(self.columns)}.")
        if self.label_name in (self.first_sequence, self.second_sequence):
            raise UserError(f"{where}: {shown(self.label_name)} is both the label and a text; they are different columns.")
        if not isinstance(self.type, str) or self.type not in METRICS:
            raise UserError(f"{where}: type {shown(self.type)} is not one of {list(METRICS)}.")
        self._check_labels(where)
        self._check_unit(where)
        object.__setattr__(self, "metric", METRICS[self.type][0] if self.metric == "" else self.metric)
        _check_metrics(self.metrics, self.type, where)
        _check_label_names(self.label_names, self.label_enumerate_values, where)
        if not _is_number(self.threshold) or not 0 < self.threshold < 1:
            raise UserError(f"{where}: threshold is {shown(self.threshold)}; it must be a number above 0 and below 1.")
        if self.threshold != 0.5 and self.type != MULTI_LABEL:
            raise UserError(f"{where}: threshold is for tasks of the type {MULTI_LABEL} only, and this one is {self.type}.")
        _check_range(self.range, self.type, where)
        _check_table(self, where)

    def _check_labels(self, where: str) -> None:
        found, least = list(self.label_enumerate_values), {CLASSIFY: 2, MULTI_LABEL: 1, SCORE: 0, TAGS: 2}[self.type]
        if self.type == SCORE and found:
            raise UserError(
                f"{where}: label_enumerate_values is {found}; a task of the type {SCORE} has numbers, no labels."
            )
        if len(found) < least and found:
            count = "at least two different labels" if least == 2 else "at least one label"
            raise UserError(f"{where}: label_enumerate_values needs {count}, found {found}.")
        joined = [label for label in found if LABEL_SEPARATOR in label]
        if joined and self.type == MULTI_LABEL:
            raise UserError(
                f"{where}: label_enumerate_values has {shown(joined[0])}; a label of a {MULTI_LABEL} task must be without "
                f"{LABEL_SEPARATOR!r}, which separates the labels of a row."
            )
        wrong = [label for label in found if not TAG.fullmatch(label)]
        if self.type == TAGS and found and (wrong or OUTSIDE not in found):
            what = f"has {shown(wrong[0])}" if wrong else f"lacks {OUTSIDE}"
            raise UserError(
                f"{where}: label_enumerate_values {what}; the tags of a task of the type {TAGS} are {OUTSIDE} and, for each "
                "kind of entity, B-KIND at its beginning and I-KIND inside."
            )

    def _check_unit(self, where: str) -> None:
        if self.unit not in UNITS:
            raise UserError(f"{where}: unit {shown(self.unit)} is not one of {list(UNITS)}.")
        if self.unit != CHARACTER and self.type != TAGS:
            raise UserError(f"{where}: unit is for tasks of the type {TAGS} only, and this one is {self.type}.")
        if self.type == TAGS and self.second_sequence is not None:
            raise UserError(
                f"{where}: second_sequence is {shown(self.second_sequence)}; a task of the type {TAGS} has one text, whose "
                f"{self.unit}s are tagged. Leave it out."
            )

    @property
    def learns_labels(self) -> bool:
        """Whether the labels are still to be learned from the train file."""
        return not self.label_enumerate_values and self.type != SCORE

    @property
    def num_labels(self) -> int:
        """Number of labels, which is the number of the head's logits: one for ``score``."""
        return len(self.label_enumerate_values) or 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """``metric`` and ``more_metrics``."""
        return (self.metric, *self.more_metrics)

    @property
    def label_ids(self) -> dict[str, int]:
        """Label -> its id, the place among the labels."""
        return {label: place for place, label in enumerate(self.label_enumerate_values)}

    @property
    def entity_kinds(self) -> tuple[str, ...]:
        """Of ``tags``, the kinds of entities in the order of their first tags: ``LOC`` of ``B-LOC`` and ``I-LOC``."""
        return tuple(dict.fromkeys(tag[2:] for tag in self.label_enumerate_values if tag != OUTSIDE))

    @property
    def head_name(self) -> str:
        """EasyTransfer's name of the task's dense layer, for instance ``tnews_dense``."""
        return f"{self.scope}_dense"

    @property
    def logits_name(self) -> str:
        """Key of the task's logits in ``build_logits``, for instance ``tnews_logits``."""
        return f"{self.scope}_logits"

    @property
    def submission_file(self) -> str:
        """The contest's name for the task's prediction file."""
        return f"{self.scope}_predict.json"

    @property
    def unlabelled_columns(self) -> tuple[str, ...]:
        """The columns of a row without its label."""
        return tuple(column for column in self.columns if column != self.label_name)

    @property
    def file_name(self) -> str:
        """The name in the names of files and folders: the task's own, with the code points of what is not ASCII."""
        return ascii_name(self.name)

    @property
    def scope(self) -> str:
        """The name in the names of layers, variables and outputs: ``file_name`` in lower case."""
        return self.file_name.lower()

    def named(self, label: str) -> str:
        """Returns a label with its name behind it, ``108 (教育)``, or the label alone if it has none."""
        return f"{label} ({self.label_names[label]})" if label in self.label_names else label

    def is_label(self, text: str) -> bool:
        """Returns whether a text of the label column is a label, different labels or none, a number, or tags, by type.

        Whether a text has as many characters or words as tags is not asked here.
        """
        if self.type == CLASSIFY:
            return text != "" if self.learns_labels else text in self.label_enumerate_values
        if self.type == MULTI_LABEL:
            labels = _parts(text)
            known = set(self.label_enumerate_values) or set(labels)
            return len(set(labels)) == len(labels) and set(labels) <= known
        if self.type == TAGS:
            tags = text.split()
            return all(map(TAG.fullmatch, tags)) if self.learns_labels else set(tags) <= set(self.label_enumerate_values)
        number = _number(text)
        return number is not None and (self.range is None or self.range[0] <= number <= self.range[1])

    def target(self, text: str) -> int | list[int] | float:
        """Returns what a text of the label column stands for: a label id, 0 or 1 for every label, the number, or tags' ids.

        Raises:
            ValueError: ``is_label`` is false.
        """
        if not self.is_label(text):
            raise ValueError(f"{self.name}: {text!r} is no label")
        if self.type == CLASSIFY:
            return self.label_ids[text]
        if self.type == MULTI_LABEL:
            labels = _parts(text)
            return [int(label in labels) for label in self.label_enumerate_values]
        if self.type == TAGS:
            ids = self.label_ids
            return [ids[tag] for tag in text.split()]
        return float(text)

    def label_text(self, target: Any) -> str:
        """Returns a label id, a vector of 0 and 1, a number, or tags' ids as a text of the label column.

        It is the reverse of ``target``. Of tags, ids of -1, which are none, are left out.
        """
        if self.type == CLASSIFY:
            return self.label_enumerate_values[int(target)]
        if self.type == MULTI_LABEL:
            return LABEL_SEPARATOR.join(self.labels_of(target))
        if self.type == TAGS:
            return " ".join(self.label_enumerate_values[int(tag)] for tag in target if tag >= 0)
        return f"{float(target):.6g}"

    def labels_of(self, chosen: Iterable[int]) -> list[str]:
        """Returns the labels of a ``multi_label`` row, given as 0 or 1 for every label."""
        return [label for label, is_chosen in zip(self.label_enumerate_values, chosen, strict=True) if is_chosen]

    @property
    def allowed_labels(self) -> str:
        """What ``is_label`` allows, in words."""
        if self.type == SCORE:
            return "a number" if self.range is None else f"a number from {self.range[0]:g} to {self.range[1]:g}"
        labels = listed(self.label_enumerate_values, ",")
        if self.type == TAGS:
            return f"{labels}, one a {self.unit}, separated by spaces" if labels else "O, B-KIND and I-KIND"
        return labels if self.type == CLASSIFY else f"none or some of {labels}, each once, separated by {LABEL_SEPARATOR!r}"

    def to_json(self) -> dict[str, Any]:
        """Returns the task as a JSON object that ``task_from_json`` reads back."""
        value = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        of_one_label = {"label_names": {}, "type": CLASSIFY, "more_metrics": [], "threshold": 0.5, "range": None}
        of_contest_files: dict[str, Any] = {
            "columns": [],
            "format": "auto",
            "encoding": "auto",
            "label_separator": None,
            "unit": CHARACTER,
        }
        usual = of_one_label | of_contest_files  # left out, as in the files of earlier versions
        if self.learns_labels:
            value["label_enumerate_values"] = FROM_DATA
        return {key: part for key, part in value.items() if key not in usual or part != usual[key]}


def ascii_name(task_name: str) -> str:
    """Returns a task's ``file_name``: ``TNEWS`` for ``TNEWS``, ``u60c5_u611f`` for ``情感``."""
    return re.sub(r"[^\x00-\x7f]+", lambda part: "_".join(f"u{ord(char):x}" for char in part[0]), task_name)


def _composed(name: str) -> str:
    """Returns a name in the one form (NFC) by which it is found, however a file system or editor writes it."""
    return unicodedata.normalize("NFC", name)


def _parts(text: str) -> list[str]:
    return text.split(LABEL_SEPARATOR) if text else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(text: str) -> float | None:
    """Returns the number that a text is, as training computes it; None if it is none, or too large for float32."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if text.isascii() and "_" not in text and abs(number) < 3e38 else None


def _check_metrics(metrics: Sequence[Any], kind: str, where: str) -> None:
    for metric in metrics:
        if not isinstance(metric, str) or metric not in METRICS[kind]:
            raise UserError(f"{where}: metric {shown(metric)} is not one of {list(METRICS[kind])}.")
    if len(set(metrics)) != len(metrics):
        raise UserError(f"{where}: metrics has one twice, {list(metrics)}; each may be there once.")
    if metrics[0] in ERRORS:
        raise UserError(
            f"{where}: metric {metrics[0]} is better when smaller, and the first metric counts in the tasks' mean; put "
            f"{METRICS[kind][0]} before it."
        )


def _check_range(value: Any, kind: str, where: str) -> None:
    if value is None:
        return
    if kind != SCORE:
        raise UserError(f"{where}: range is for tasks of the type {SCORE} only, and this one is {kind}.")
    if not isinstance(value, tuple) or len(value) != 2 or not all(map(_is_number, value)) or not value[0] < value[1]:
        raise UserError(f"{where}: range is {shown(value)}; it must be [least, greatest], two finite numbers.")


def _check_words(key: str, words: tuple[str, ...], where: str) -> None:
    """Checks column names or labels: they must differ and be able to stand in a line of a tab separated UTF-8 file."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            what = "labels must be different labels" if key == "label_enumerate_values" else "the columns must differ"
            raise UserError(f"{where}: {key} has {shown(word)} twice; {what}.")
        seen.add(word)
        if not _is_word(word):
            raise UserError(f"{where}: {key} has {shown(word)}; each must be {WORD}.")


def _is_word(word: str) -> bool:
    return 0 < len(word) <= LONGEST_WORD and not any(unicodedata.category(char) in ("Cc", "Cs") for char in word)


def _check_table(task: Task, where: str) -> None:
    """Checks what is said about the task's files, and writes the encoding's usual name into the task."""
    if task.format not in ("auto", *TABLE_FORMATS):
        raise UserError(f"{where}: format {shown(task.format)} is not one of {listed(('auto', *TABLE_FORMATS))}.")
    if task.format == "contest" and not task.columns:
        raise UserError(f"{where}: files of the format contest have no header; list their columns, in order, as columns.")
    known = ENCODINGS.get(re.sub(r"[-_ ]", "", task.encoding).lower()) if isinstance(task.encoding, str) else None
    if known is None:
        raise UserError(f"{where}: encoding {shown(task.encoding)} is not one of auto, utf-8, gb18030 (gbk), utf-16.")
    object.__setattr__(task, "encoding", known)
    separator = task.label_separator
    if separator is None:
        return
    if task.type != MULTI_LABEL:
        raise UserError(
            f"{where}: label_separator is for tasks of the type {MULTI_LABEL} only, and this one is {task.type}."
        )
    if not isinstance(separator, str) or not 0 < len(separator) <= LONGEST_NAME:
        raise UserError(f'{where}: label_separator is {shown(separator)}; it must be text, such as "|".')
    for label in task.label_enumerate_values:
        if separator in label:
            raise UserError(f"{where}: the label {shown(label)} has the label_separator {shown(separator)} in it.")


def _check_label_names(names: Any, labels: tuple[str, ...], where: str) -> None:
    if not isinstance(names, dict):
        raise UserError(f'{where}: label_names must be an object {{"label": "name", ...}}, found {shown(names)}.')
    label_of: dict[str, str] = {}
    for label, name in names.items():
        if labels and label not in labels:  # without labels: they are not learned yet
            raise UserError(f"{where}: label_names has {shown(label)}, which is no label; the labels are {listed(labels)}.")
        if not isinstance(name, str) or not _is_word(name):
            raise UserError(f"{where}: label_names of {shown(label)} is {shown(name)}; it must be {WORD}.")
        if label_of.setdefault(name, label) != label:
            both = f"{shown(label_of[name])} and {shown(label)}"
            raise UserError(
                f"{where}: label_names has {shown(name)} twice, of {both}; different labels need different names."
            )


TNEWS = Task(
    name="TNEWS",
    columns=("idx", "sentence1", "label"),
    first_sequence="sentence1",
    label_enumerate_values=tuple("115,114,108,109,116,110,113,112,102,103,100,101,106,107,104".split(",")),
    label_names={
        "100": "故事", "101": "文化", "102": "娱乐", "103": "体育", "104": "财经", "106": "房产", "107": "汽车",
        "108": "教育", "109": "科技", "110": "军事", "112": "旅游", "113": "国际", "114": "股票",
        "115": "农业", "116": "游戏",
    },
)  # fmt: skip
"""The labels are the codes of Toutiao's news sections, the names those of its list of codes."""

OCEMOTION = Task(
    name="OCEMOTION",
    columns=("idx", "sentence1", "label"),
    first_sequence="sentence1",
    label_enumerate_values=("like", "happiness", "sadness", "anger", "disgust", "fear", "surprise"),
    label_names={  # this program's translations
        "like": "喜欢", "happiness": "高兴", "sadness": "悲伤", "anger": "愤怒", "disgust": "厌恶", "fear": "恐惧",
        "surprise": "惊讶",
    },
)  # fmt: skip

OCNLI = Task(
    name="OCNLI",
    columns=("idx", "sentence1", "sentence2", "label"),
    first_sequence="sentence1",
    second_sequence="sentence2",
    label_enumerate_values=("0", "1", "2"),
    label_names={"0": "蕴含", "1": "中立", "2": "矛盾"},
)

CONTEST_TASKS: tuple[Task, ...] = (TNEWS, OCEMOTION, OCNLI)
"""EasyTransfer's order: step s trains the head of task s mod 3."""


def task_from_json(value: Any, where: str = "task") -> Task:
    """Builds a task from a JSON object with the field names of ``Task``.

    Lists may be JSON lists or EasyTransfer's comma-separated strings. ``metrics``, a list, may stand for ``metric`` and
    ``more_metrics``. A task of the type ``score`` needs no ``label_enumerate_values``.

    Raises:
        UserError: a key is unknown or missing, or a value is invalid.
    """
    known = [field.name for field in fields(Task)] + ["metrics"]
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object with the keys {known}, found {shown(value)}.")
    value = {"label_enumerate_values": [], **value} if value.get("type") == SCORE else dict(value)
    unknown = sorted(set(value) - set(known))
    missing = [key for key in ("name", "first_sequence", "label_enumerate_values") if key not in value]
    if unknown or missing:
        raise UserError(f"{where}: unknown keys {shown(unknown)}, missing keys {missing}; the keys are {known}.")
    if "metrics" in value and {"metric", "more_metrics"} & set(value):
        raise UserError(f"{where}: metrics stands for metric and more_metrics; give one or the other.")
    value = {"columns": [], **value}
    if value["label_enumerate_values"] == FROM_DATA:
        value["label_enumerate_values"] = []
    elif value["label_enumerate_values"] in ([], "") and value.get("type") != SCORE:
        raise UserError(f'{where}: label_enumerate_values is empty; list the labels, or write "{FROM_DATA}".')
    for key in ("columns", "label_enumerate_values", "more_metrics", "metrics"):
        if key in value:
            parts = value[key].split(",") if isinstance(value[key], str) else value[key]
            if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
                raise UserError(f"{where}: {key} must be a list of strings or a comma string, found {shown(value[key])}.")
            value[key] = tuple(parts)
    if "metrics" in value:
        value["metric"], *more = value.pop("metrics") or ("",)
        value["more_metrics"] = tuple(more)
    if isinstance(value.get("range"), list):
        value["range"] = tuple(value["range"])
    return Task(**value)


def check_tasks(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Returns ``tasks``; raises UserError if there are none or two share a name (upper and lower case are the same)."""
    names = [task.scope for task in tasks]
    if not names or len(set(names)) != len(names):
        raise UserError(f"Tasks need different names (upper and lower case are the same), found {listed(names) or 'none'}.")
    return tasks


def require_labels(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Returns ``tasks``; raises UserError if the labels of one are still to be learned from its train file."""
    for task in tasks:
        if task.learns_labels:
            raise UserError(
                f'{task.name}: its labels are "{FROM_DATA}", and this command reads no train file. Give the tasks.json of a '
                "trained model (in the run's best/) as --tasks_file, or list the labels."
            )
    return tasks


def load_tasks(path: str | os.PathLike[str]) -> tuple[Task, ...]:
    """Reads tasks from a JSON file ``{"tasks": [{...}, ...]}``.

    Raises:
        UserError: the file or a task in it is invalid.
    """
    value = read_json(path, "tasks file")
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise UserError(f'tasks file {path}: expected {{"tasks": [...]}}.')
    tasks = check_tasks(tuple(task_from_json(item, f"{path}: task {i}") for i, item in enumerate(value["tasks"])))
    for task in tasks:
        if task.id_column == task.label_name:
            raise UserError(f"{path}: task {task.name}: {shown(task.id_column)} is both the id and the label column.")
    return tasks


def read_model_tasks(folder: str | os.PathLike[str]) -> tuple[tuple[Task, ...], dict[str, Any]]:
    """Returns the tasks in the tasks.json of a run or an exported model, and the file's whole content.

    Raises:
        UserError: the folder is neither, or the file is damaged.
    """
    path = os.path.join(folder, "tasks.json")
    if not os.path.exists(path):
        others = any(name.endswith(".index") for name in os.listdir(folder)) if os.path.isdir(folder) else False
        hint = " Checkpoints of EasyTransfer's are given one by one, by their prefix." if others else ""
        raise UserError(f"{folder} holds no tasks.json: it is not the folder of a run, nor its best/ folder.{hint}")
    value = read_json(path, "tasks.json")
    if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
        raise UserError(f"{path} is damaged: it lists no tasks.")
    return check_tasks(tuple(task_from_json(item, path) for item in value["tasks"])), value


def task_named(name: str, tasks: tuple[Task, ...]) -> Task:
    """Returns the task called ``name`` (upper and lower case are the same).

    Raises:
        UserError: there is none.
    """
    for task in tasks:
        if isinstance(name, str) and task.name.lower() == _composed(name).lower():
            return task
    raise UserError(f"No task is called {shown(name)}; the tasks are {listed([task.name for task in tasks])}.")


def require_one_label(tasks: Iterable[Task], what: str) -> None:
    """Raises UserError if a task does not have one label a row, as every row of a submission, which ``what`` is about."""
    for task in tasks:
        if task.type != CLASSIFY:
            raise UserError(
                f"{what}: a row of a submission has one label, and {task.name} is of the type {task.type}; leave it "
                "out, and take the predict command for it."
            )
