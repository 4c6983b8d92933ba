"""``python -m benchmarks --flags``: speed of conversion, training and prediction on this machine."""

import logging
import sys

from benchmarks.settings import BenchmarkSettings
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.help_text import command_help
from easytransfer_mtl.environment import check_environment, import_tensorflow
from easytransfer_mtl.errors import UserError


def main(arguments: list[str]) -> int:
    """Measures what the flags say and returns the exit status: 0 well, 2 a mistake of the user's."""
    if {"--help", "-h"} & set(arguments):
        print(command_help("python -m benchmarks", "speed of conversion and training on this machine", BenchmarkSettings))
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        settings = load_settings(BenchmarkSettings, arguments, "benchmarks")
        check_environment()
        import_tensorflow(with_bert=True)
        from benchmarks.measuring import run

        return run(settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
