"""The error for a weight file that cannot be read."""

import os

from easytransfer_mtl.errors import UserError


def damaged(path: str | os.PathLike[str], kind: str, why: object) -> UserError:
    """Returns the error for a file of format ``kind`` that is cut short, corrupt or of another format."""
    reason = str(why).strip().rstrip(".") or type(why).__name__
    return UserError(
        f"{kind} file {path} cannot be read: {reason}. It is incomplete, corrupt or of another format; "
        "download or copy it again and compare its size with the original's."
    )
