"""The error for a weight file that cannot be read."""

import os
from pathlib import Path

from easytransfer_mtl.errors import UserError, clipped
from easytransfer_mtl.files import placeholder

LONGEST_REASON = 300


def damaged(path: str | os.PathLike[str], kind: str, why: object) -> UserError:
    """Returns the error for a file of format ``kind`` that is truncated, corrupt or of another format."""
    # Libraries quote the bytes that they failed on, however many.
    reason = clipped(" ".join(str(why).split()), LONGEST_REASON).rstrip(".") or type(why).__name__
    return UserError(
        f"{kind} file {path} cannot be read: {reason}. It is incomplete, corrupt or of another format; "
        "download or copy it again and compare its size with the original's."
    )


def refuse_placeholder(path: Path) -> None:
    """Checks that a file holds weights, not the remains of a failed or partial download.

    Raises:
        UserError: the file is empty, a web page or a git-lfs pointer.
    """
    with open(path, "rb") as stream:
        head = stream.read(1024)
    if not head:
        raise UserError(f"Weight file {path} is empty; download or copy it again.")
    if found := placeholder(head):
        raise UserError(f"Weight file {path} is {found[0]}, not the weights; {found[1]}.")
