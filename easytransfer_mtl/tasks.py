"""The description of a task, and the three tasks of the contest."""

import os
import re
import unicodedata
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.files import read_json

METRICS = ("macro_f1", "accuracy")
LONGEST_NAME, LONGEST_WORD = 64, 256
"""In characters; file names contain the task's name."""
WORD = f"text of 1 to {LONGEST_WORD} characters without control characters such as tabs or line ends"


@dataclass(frozen=True)
class Task:
    """One classification task: the format of its rows and its labels.

    Attributes:
        name: upper- or lower-case identifier, for instance ``TNEWS``; names the head (``tnews_dense``), the logits
            (``tnews_logits``) and the submission file (``tnews_predict.json``).
        columns: columns of a labelled row, in order; an unlabelled row lacks the label column.
        first_sequence: column of the first text.
        label_enumerate_values: label strings; the position is the label id. The order is part of the model.
        second_sequence: column of the second text of a pair, or None.
        label_name: column of the label.
        id_column: column of the row's id, which is kept unchanged.
        metric: the task's score, one of ``METRICS``.
        label_names: label -> its name for readers, for instance ``108`` -> ``教育``; labels may be left out. Nothing that is
            computed depends on it, so tasks that differ in names only are equal.
    """

    name: str
    columns: tuple[str, ...]
    first_sequence: str
    label_enumerate_values: tuple[str, ...]
    second_sequence: str | None = None
    label_name: str = "label"
    id_column: str = "idx"
    metric: str = "macro_f1"
    label_names: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        where = f"task {shown(self.name)}"
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise UserError(f"{where}: the name must be letters, digits and _, and start with a letter.")
        if len(self.name) > LONGEST_NAME:
            raise UserError(f"{where}: the name has {len(self.name):,} characters; at most {LONGEST_NAME} are allowed.")
        _check_words("columns", self.columns, where)
        _check_words("label_enumerate_values", self.label_enumerate_values, where)
        for role in ("first_sequence", "second_sequence", "label_name", "id_column"):
            column = getattr(self, role)
            if column not in self.columns and (column is not None or role != "second_sequence"):
                raise UserError(f"{where}: {role} {shown(column)} is not one of its columns {listed(self.columns)}.")
        if self.label_name in (self.first_sequence, self.second_sequence):
            raise UserError(f"{where}: {shown(self.label_name)} is both the label and a text; they are different columns.")
        if len(self.label_enumerate_values) < 2:
            found = list(self.label_enumerate_values)
            raise UserError(f"{where}: label_enumerate_values needs at least two different labels, found {found}.")
        if self.metric not in METRICS:
            raise UserError(f"{where}: metric {shown(self.metric)} is not one of {list(METRICS)}.")
        _check_label_names(self.label_names, self.label_enumerate_values, where)

    @property
    def num_labels(self) -> int:
        """Number of labels."""
        return len(self.label_enumerate_values)

    @property
    def label_ids(self) -> dict[str, int]:
        """Label -> its id, the place among the labels."""
        return {label: place for place, label in enumerate(self.label_enumerate_values)}

    @property
    def head_name(self) -> str:
        """EasyTransfer's name of the task's dense layer, for instance ``tnews_dense``."""
        return f"{self.name.lower()}_dense"

    @property
    def logits_name(self) -> str:
        """Key of the task's logits in ``build_logits``, for instance ``tnews_logits``."""
        return f"{self.name.lower()}_logits"

    @property
    def submission_file(self) -> str:
        """The contest's name for the task's prediction file."""
        return f"{self.name.lower()}_predict.json"

    @property
    def unlabelled_columns(self) -> tuple[str, ...]:
        """The columns of a row without its label."""
        return tuple(column for column in self.columns if column != self.label_name)

    def named(self, label: str) -> str:
        """Returns a label with its name behind it, ``108 (教育)``, or the label alone if it has none."""
        return f"{label} ({self.label_names[label]})" if label in self.label_names else label

    def to_json(self) -> dict[str, Any]:
        """Returns the task as a JSON object that ``task_from_json`` reads back."""
        value = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        if not self.label_names:
            del value["label_names"]
        return value


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


def _check_label_names(names: Any, labels: tuple[str, ...], where: str) -> None:
    if not isinstance(names, dict):
        raise UserError(f'{where}: label_names must be an object {{"label": "name", ...}}, found {shown(names)}.')
    label_of: dict[str, str] = {}
    for label, name in names.items():
        if label not in labels:
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

    Lists may be JSON lists or EasyTransfer's comma-separated strings.

    Raises:
        UserError: a key is unknown or missing, or a value is invalid.
    """
    known = [field.name for field in fields(Task)]
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object with the keys {known}, found {shown(value)}.")
    unknown = sorted(set(value) - set(known))
    missing = [key for key in known[:4] if key not in value]
    if unknown or missing:
        raise UserError(f"{where}: unknown keys {shown(unknown)}, missing keys {missing}; the keys are {known}.")
    value = dict(value)
    for key in ("columns", "label_enumerate_values"):
        parts = value[key].split(",") if isinstance(value[key], str) else value[key]
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise UserError(f"{where}: {key} must be a list of strings or a comma string, found {shown(value[key])}.")
        value[key] = tuple(parts)
    return Task(**value)


def check_tasks(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Returns ``tasks``; raises UserError if there are none or two share a name (upper and lower case are the same)."""
    names = [task.name.lower() for task in tasks]
    if not names or len(set(names)) != len(names):
        raise UserError(f"Tasks need different names (upper and lower case are the same), found {listed(names) or 'none'}.")
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
        if isinstance(name, str) and task.name.lower() == name.lower():
            return task
    raise UserError(f"No task is called {shown(name)}; the tasks are {listed([task.name for task in tasks])}.")
