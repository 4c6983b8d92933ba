"""The address is taken before anything else is done, and said in a sentence if it cannot be had."""

import re

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.serving.address import bound, is_loopback, url_of


def test_a_free_port_and_a_taken_one() -> None:
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert url_of(first) == f"http://127.0.0.1:{port}" and is_loopback(first)
        with pytest.raises(UserError, match=f"--host=127.0.0.1 --port={port}: .*; give another --port, or 0 for a free one"):
            bound("127.0.0.1", port)
    bound("127.0.0.1", port).close()


def test_all_addresses_are_not_loopback() -> None:
    with bound("0.0.0.0", 0) as listener:
        assert not is_loopback(listener)


@pytest.mark.parametrize("host", ["no such host", "a" * 300, "999.1.1.1", "天..地"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"--host={host} --port=0: ") + ".* is no name or address of this machine"):
        bound(host, 0)
