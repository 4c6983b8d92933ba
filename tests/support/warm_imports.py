"""Imported by the server of ``warm_processes`` before it forks: what the commands import."""

import gc

from easytransfer_mtl.environment import check_environment, import_tensorflow

check_environment()
import_tensorflow(with_bert=True)

from easytransfer_mtl.commands import convert, evaluate, predict, pretrain, submit, train  # noqa: E402, F401

gc.collect()
gc.freeze()  # what is imported stays: no process looks at it again, nor copies the pages on which that would be noted
