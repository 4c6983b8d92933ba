"""The error for a weight file that cannot be read."""

import os

from easytransfer_mtl.errors import UserError, clipped

LONGEST_REASON = 300


def damaged(path: str | os.PathLike[str], kind: str, why: object) -> UserError:
    """Returns the error for a file of format ``kind`` that is cut short, corrupt or of another format."""
    # Libraries quote the bytes that they stumbled over, however many.
    reason = clipped(" ".join(str(why).split()), LONGEST_REASON).rstrip(".") or type(why).__name__
    return UserError(
        f"{kind} file {path} cannot be read: {reason}. It is incomplete, corrupt or of another format; "
        "download or copy it again and compare its size with the original's."
    )
