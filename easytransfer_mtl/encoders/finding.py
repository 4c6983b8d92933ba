"""Finds the files of an encoder by a name, a folder or a checkpoint prefix."""

import difflib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, load_published
from easytransfer_mtl.data.tokenization import PUBLISHED
from easytransfer_mtl.encoders.names import EASYTRANSFER_ENCODERS, ENGLISH_ALBERTS, encoder_table
from easytransfer_mtl.encoders.recorded_hashes import check_hashes
from easytransfer_mtl.encoders.vocabularies import (
    AUTO,
    LARGEST_CONFIG,
    TOKENIZER_CONFIG,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    check_beside,
    check_needs_no_code,
    read_vocabulary,
    tokenizer_of,
)
from easytransfer_mtl.encoders.weight_files.find import TF1_FORMAT, find_weights, tf1_prefix
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.files import home_expanded, read_json

CONFIG_NAMES = ("config.json", "bert_config.json", "albert_config.json")
DOWNLOADED = ("config.json", "vocab.txt", TOKENIZER_FILE, TOKENIZER_CONFIG, "*.safetensors", "*.safetensors.index.json")
MAKE_FILE = (
    "If the encoder is published with vocab.json and merges.txt, or with a SentencePiece model (*.model), transformers "
    "makes its tokenizer.json (of the latter with the package sentencepiece): "
    "AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)."
)
DOWNLOADED_INSTEAD = (
    ("tf_model*.h5", "tf_model.h5.index.json"),
    ("pytorch_model*.bin", "pytorch_model.bin.index.json"),
)


@dataclass(frozen=True)
class EncoderFiles:
    """Where an encoder's files are.

    Attributes:
        location: folder, TF1 checkpoint prefix or weights file.
        folder: holds config and vocabulary.
        tanh_gelu: whether to use the tanh GELU where the config says GELU, as EasyTransfer and Google did.
        vocabulary_rule: how to read vocab.txt, see ``read_vocabulary``.
        requested_tokenizer: what makes the ids, see ``tokenizer_of``.
    """

    location: Path
    folder: Path
    tanh_gelu: bool
    vocabulary_rule: str = AUTO
    requested_tokenizer: str = AUTO

    @property
    def config_file(self) -> Path:
        """config.json, or Google's bert_config.json or albert_config.json, or else the folder's only encoder config.

        Raises:
            UserError: there is none of these, or there are several with other names.
        """
        for name in CONFIG_NAMES:
            if (self.folder / name).is_file():
                return self.folder / name
        others = [path for path in sorted(self.folder.glob("*.json")) if _is_encoder_config(path)]
        if len(others) == 1:
            return others[0]
        _refuse_several(self.folder, others, "config.json")
        raise UserError(
            f"{self.folder} has no config.json (nor {' or '.join(CONFIG_NAMES[1:])}, nor another .json file that has "
            f"hidden_size and num_hidden_layers); it belongs beside the weights. Found: {_names_in(self.folder)}."
        )

    @property
    def tokenizer(self) -> str:
        """One of ``TOKENIZERS``; errors as in ``tokenizer_of``."""
        return tokenizer_of(self.folder, self.requested_tokenizer)

    @property
    def vocabulary_file(self) -> Path:
        """The file that the ids follow from: tokenizer.json if the tokenizer is a published one, else vocab.txt.

        Instead of vocab.txt the only .txt file with vocab in its name is taken, if there is no tokenizer.json either.

        Raises:
            UserError: there are several with other names. A missing file is reported only when it is read.
        """
        return self.folder / TOKENIZER_FILE if self.tokenizer == PUBLISHED else self._vocab_txt

    @property
    def _vocab_txt(self) -> Path:
        usual = self.folder / VOCABULARY_FILE
        if usual.is_file():
            return usual
        others = [path for path in sorted(self.folder.glob("*.txt")) if "vocab" in path.name.lower()]
        _refuse_several(self.folder, others, VOCABULARY_FILE)
        return others[0] if others else usual

    @cached_property
    def vocabulary(self) -> AnyVocabulary:
        """The vocabulary; errors as in ``read_vocabulary``, ``load_published`` and the checks of what lies beside it."""
        path = self.vocabulary_file
        check_needs_no_code(self.folder, self.tokenizer, self.requested_tokenizer)
        if self.tokenizer == PUBLISHED:
            if not path.is_file():
                raise UserError(
                    f"{path} does not exist, which --tokenizer=published reads. Found: {_names_in(self.folder)}. {MAKE_FILE}"
                )
            if self.vocabulary_rule != AUTO:
                raise UserError(f"--vocabulary_rule={self.vocabulary_rule} concerns vocab.txt, not {path}; leave it out.")
            return load_published(path)
        if not path.is_file():
            hint = "" if (self.folder / TOKENIZER_FILE).is_file() else f" {MAKE_FILE}"
            raise UserError(
                f"vocabulary {path} does not exist; it is the vocab.txt that belongs to the encoder (or a tokenizer.json in "
                f"its place). Found: {_names_in(self.folder)}.{hint}"
            )
        vocabulary = read_vocabulary(path, self.location, self.vocabulary_rule)
        check_beside(vocabulary, path, self.requested_tokenizer)
        return vocabulary


def _is_encoder_config(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > LARGEST_CONFIG:
        return False
    try:
        value = read_json(path)
    except UserError:
        return False
    return isinstance(value, dict) and {"hidden_size", "num_hidden_layers"} <= value.keys()


def _refuse_several(folder: Path, candidates: list[Path], usual: str) -> None:
    if len(candidates) > 1:
        raise UserError(
            f"{folder} has no {usual}, but {listed([path.name for path in candidates])}; rename the one that belongs to "
            f"the weights to {usual}."
        )


def _names_in(folder: Path) -> str:
    return listed(sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []) or "nothing"


def find_encoder(
    name: str,
    model_zoo: str | None = None,
    needs_weights: bool = True,
    vocabulary_rule: str = AUTO,
    tokenizer: str = AUTO,
) -> EncoderFiles:
    """Finds the files of an encoder; downloads them if the name is one on the Hugging Face hub.

    Search order: a name of EasyTransfer's (its folder in the model zoo, then its Hugging Face counterpart), a folder, a TF1
    checkpoint prefix, a weights file, a Hugging Face name.

    Args:
        name: the user's ``pretrain_model_name_or_path`` or ``tokenizer_name_or_path``.
        model_zoo: EasyTransfer's ``modelZooBasePath``; ``~/.eztransfer_modelzoo`` if None.
        needs_weights: False looks for config and vocabulary only.
        vocabulary_rule: how to read vocab.txt, see ``read_vocabulary``.
        tokenizer: what makes the ids, see ``tokenizer_of``.

    Raises:
        UserError: nothing is found, or the folder is an export whose files differ from the exported ones.
    """
    found = _find(name, model_zoo, needs_weights)
    return replace(found, vocabulary_rule=vocabulary_rule, requested_tokenizer=tokenizer)


def _find(name: str, model_zoo: str | None, needs_weights: bool) -> EncoderFiles:
    if name in EASYTRANSFER_ENCODERS:
        return _find_in_zoo(name, home_expanded(model_zoo or "~/.eztransfer_modelzoo"), needs_weights)
    if name in ENGLISH_ALBERTS:
        raise UserError(
            f"{name} is an English ALBERT, whose texts SentencePiece splits; by names of EasyTransfer's, "
            f"only encoders with a WordPiece vocabulary (vocab.txt) are supported. Chinese ones are "
            f"{name[:-2]}zh and the others of:\n{encoder_table()}"
        )
    path = home_expanded(name)
    if name and path.is_dir():
        check_hashes(path, needs_weights)
        return EncoderFiles(path, path, _has_tf1_checkpoint(path))
    prefix = tf1_prefix(path) if name else None
    if prefix is not None:
        return EncoderFiles(prefix, prefix.parent, True)
    if path.is_file():
        check_hashes(path.parent, needs_weights)
        return EncoderFiles(path, path.parent, False)
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or not name:
        raise UserError(
            f"{name!r} is not a folder, a weights file or a TF1 checkpoint prefix (no {name}.index), and cannot be a "
            "Hugging Face name (NAME or OWNER/NAME)."
        )
    return _downloaded(name, tanh_gelu=False, needs_weights=needs_weights)


def _has_tf1_checkpoint(folder: Path) -> bool:
    """Returns whether a folder's weights are a TF1 checkpoint, which EasyTransfer and Google computed with the tanh GELU."""
    try:
        return find_weights(folder)[1] == TF1_FORMAT
    except UserError:
        return any(folder.glob("*.index"))


def _find_in_zoo(name: str, zoo: Path, needs_weights: bool) -> EncoderFiles:
    entry = EASYTRANSFER_ENCODERS[name]
    folder = zoo / entry.kind / name
    if folder.is_dir():
        return EncoderFiles(folder, folder, True)
    if entry.hugging_face:
        return _downloaded(entry.hugging_face, tanh_gelu=True, needs_weights=needs_weights)
    raise UserError(
        f"{name} is a name of EasyTransfer's model zoo that is published nowhere else. Put its config.json, vocab.txt and "
        f"model.ckpt files into {folder}, or set modelZooBasePath to the folder that holds {entry.kind}/{name}."
    )


def _downloaded(name: str, tanh_gelu: bool, needs_weights: bool) -> EncoderFiles:
    """Downloads config, vocabulary and one format of weights from the hub, or takes them from its cache."""
    from huggingface_hub import snapshot_download

    wanted = DOWNLOADED if needs_weights else DOWNLOADED[:4]
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(wanted)))
        for patterns in DOWNLOADED_INSTEAD if needs_weights else ():
            if any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "tf_model*.h5")):
                break
            folder = Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # the hub client raises many types: no network, no such model, no access
        near = difflib.get_close_matches(name, EASYTRANSFER_ENCODERS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UserError(
            f"{name!r} is no folder, no checkpoint here, and could not be had from the Hugging Face hub "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}). {hint}Download the "
            f"encoder's folder and give its path, or use a name of EasyTransfer's:\n{encoder_table()}"
        ) from None
    return EncoderFiles(folder, folder, tanh_gelu)
