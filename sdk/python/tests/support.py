"""Shared code of the tests."""

from __future__ import annotations

import os
import pathlib
import unittest

# Tests start processes while gRPC runs in this one. Python 3.9 forks for that, and gRPC's
# fork handlers may wait forever. The variable must be set before gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

SDK = pathlib.Path(__file__).resolve().parents[1]
ROOT = SDK.parents[1]


def lacking(what: str, reason: object) -> None:
    """Skips a test because something is missing, or fails it if BRIDGE_TEST_REQUIRE is set."""
    if os.environ.get("BRIDGE_TEST_REQUIRE"):
        raise AssertionError(f"this machine lacks {what}, and BRIDGE_TEST_REQUIRE is set: {reason}")
    raise unittest.SkipTest(f"this machine lacks {what}: {reason}")
