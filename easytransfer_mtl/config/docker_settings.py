"""The settings of docker."""

from dataclasses import dataclass

from easytransfer_mtl.config.base import CommonSettings
from easytransfer_mtl.config.options import option
from easytransfer_mtl.config.sections import BOARDS, PREDICT


@dataclass(frozen=True, kw_only=True)
class DockerSettings(CommonSettings):
    """Settings of docker: the build context of an image for the contest."""

    predict_checkpoint_path: str = option(
        PREDICT,
        "the model: the folder of a run with best/, or best/ itself; several, A,B,... or a pattern, are averaged; may stand "
        "first, without the flag's name",
        required=True,
    )
    output_dir: str = option(
        None, "new or empty folder for the context; may stand second, without the flag's name", required=True
    )
    data_dir: str | None = option(
        None, "folder of contest files, whose test files go into the image; without it they are mounted at /tcdata"
    )
    board: str = option(
        PREDICT, "which test files; auto takes the first of test, b, a that is there", "auto", choices=BOARDS
    )
    header: bool = option(None, "pass over the first line of every test file", False)
    submission: str | None = option(None, "a result.zip to put into the image; it is checked first")
    registry: str | None = option(None, "repository that the image is pushed to, HOST/NAMESPACE/NAME, for the commands")
    base_image: str = option(None, "image with Python 3.10 to 3.12 to build on", "python:3.11-slim")
