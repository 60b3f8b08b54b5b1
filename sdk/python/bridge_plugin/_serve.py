"""Runs a plugin from the start of the process to its end."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import shlex
import signal
import sys
from concurrent import futures
from typing import Callable, NoReturn, Optional, Tuple

import grpc

from . import _process
from ._arenas import Arenas
from ._folder import PrivateFolder
from ._server import MAX_MESSAGE_BYTES, Service
from .contract import Model
from .errors import Error, Kind

PROTOCOLS = (1,)  # major versions that this SDK speaks
THREADS = 128  # for calls, pings and shutdown together; started when they are needed

LEVELS = {"trace": _process.TRACE, "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

log = logging.getLogger("bridge_plugin")


def serve(model: Callable[[], Model], *, name: str = "", version: str = "") -> NoReturn:
    """Serves a model to the bridge that started this process, and ends the process.

    ``model`` is a subclass of LanguageModel or VisionEncoder, or a function that makes
    an instance. ``name`` and ``version`` are for logs and errors; BRIDGE_REATTACH also uses
    the name. By default they come from the plugin.toml beside the program. If there is
    none, they are the program's name and "unknown".

    If the program was started by hand, serve prints its purpose and exits with status 2.
    With the variable ``BRIDGE_DEBUG=1`` or the argument ``--debug``, it serves without a
    host: it prints the variable that makes bridge connect to it, and stops at Ctrl-C.
    """
    name = name or _manifest("name") or os.path.splitext(os.path.basename(sys.argv[0]))[0] or "plugin"
    version = version or _manifest("version") or "unknown"
    if not _process.started_by_host():
        if "--debug" in sys.argv[1:] or os.environ.get("BRIDGE_DEBUG", "").lower() in ("1", "t", "true"):
            _debug(model, name, version)
        sys.stderr.write("this program is a plugin of bridge and was started by hand (name it by its path in a recipe; "
                         "to run it in a debugger, pass --debug or set BRIDGE_DEBUG=1)\n")
        raise SystemExit(2)
    try:
        _serve_host(model, name, version)
    except Error as err:
        sys.stderr.write(f"{err}\n")
        _leave(2)


def _manifest(key: str) -> str:
    """Returns a key's value in the plugin.toml beside the program, or ""."""
    try:
        with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "plugin.toml"), encoding="utf-8") as file:
            found = re.search(rf'^{key}\s*=\s*"([^"\\]*)"', file.read(1 << 16), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found else ""


def _serve_host(model: Callable[[], Model], name: str, version: str) -> NoReturn:
    _process.protect()
    _start_logging()
    service = Service(model, name, version, _map_arenas())
    server = _new_server(service)
    given = os.environ.get("PLUGIN_UNIX_SOCKET_DIR", "")
    own = None if given else PrivateFolder()
    path = os.path.join(own.path if own else given, f"plugin-{os.getpid()}.sock")
    credentials, certificate = _credentials()
    if credentials is not None:
        server.add_secure_port("unix:" + path, credentials)
    else:
        server.add_insecure_port("unix:" + path)
    server.start()
    _process.say(f"1|{_protocol()}|unix|{path}|grpc|{certificate}")
    service.stop.wait()
    stopped = server.stop(0.2)
    service.end()
    stopped.wait(0.3)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if own:
        own.remove()
    _leave(0)


def _leave(status: int) -> NoReturn:
    """Ends the process without waiting for running threads."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)


def _debug(model: Callable[[], Model], name: str, version: str) -> NoReturn:
    _start_logging()
    service = Service(model, name, version, again=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop.set())
    server = _new_server(service)
    folder = PrivateFolder()
    path = os.path.join(folder.path, "plugin.sock")
    server.add_insecure_port("unix:" + path)
    server.start()
    attach = {name: {"Protocol": "grpc", "ProtocolVersion": _protocol(), "Pid": os.getpid(), "Test": True,
                     "Addr": {"Network": "unix", "String": path}}}
    variable = "BRIDGE_REATTACH=" + shlex.quote(json.dumps(attach))
    print(f"The plugin is running and waits for bridge. In the shell where bridge runs:\n\n    export {variable}\n", flush=True)
    while not service.stop.wait(0.5):  # signal handlers run in between
        pass
    server.stop(0.2)
    service.end()
    folder.remove()
    _leave(0)


def _new_server(service: Service) -> grpc.Server:
    server = grpc.server(futures.ThreadPoolExecutor(THREADS, "rpc"), options=[
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ])
    service.register(server)
    return server


def _start_logging() -> None:
    """Sends the log to the standard error, from the level that the host has set."""
    logging.addLevelName(_process.TRACE, "TRACE")
    level = LEVELS.get(os.environ.get("BRIDGE_LOG_LEVEL", ""), logging.INFO)
    logging.addLevelName(logging.WARNING, "WARN")
    # The host logs a line at the level at its beginning.
    logging.basicConfig(level=level, stream=sys.stderr, format="level=%(levelname)s %(name)s: %(message)s")


def _protocol() -> int:
    """Returns the highest protocol version that both sides speak, or else the highest of this
    side: the host's error then says which version to get."""
    theirs = {int(word) for word in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "").split(",") if word.strip().isdigit()}
    return max(theirs & set(PROTOCOLS) or PROTOCOLS)


def _map_arenas() -> Optional[Arenas]:
    value = os.environ.get(_process.ARENAS_KEY, "")
    if not value:
        return None
    try:
        return Arenas.map(value)
    except (OSError, ValueError, OverflowError) as err:
        log.warning("no shared memory, tensors are sent as chunks: %s", err)
        return None


def _credentials() -> Tuple[Optional[grpc.ServerCredentials], str]:
    """Returns the server's credentials, and its certificate for the handshake."""
    client = os.environ.get("PLUGIN_CLIENT_CERT", "")
    if not client:
        return None, ""
    value = os.environ.get(_process.CERTIFICATE_KEY, "")
    if not value.isdigit():
        raise Error(Kind.UNSUPPORTED, f"this version of bridge gives plugins no certificate ({_process.CERTIFICATE_KEY} is {value!r})",
                    "use a newer version of bridge, or an older one of bridge-plugin")
    with os.fdopen(int(value), "rb") as pipe:
        pem = pipe.read().decode("ascii", "replace")
    blocks = re.findall(r"-----BEGIN ([A-Z ]+)-----\s+(.*?)-----END \1-----", pem, re.DOTALL)
    key = [b for b in blocks if b[0].endswith("PRIVATE KEY")]
    certificate = [b for b in blocks if b[0] == "CERTIFICATE"]
    if len(key) != 1 or len(certificate) != 1:
        raise Error(Kind.INVALID, f"{_process.CERTIFICATE_KEY} has {[b[0] for b in blocks]}, want a private key and a certificate")
    pair = [f"-----BEGIN {label}-----\n{body.strip()}\n-----END {label}-----\n".encode() for label, body in (key[0], certificate[0])]
    credentials = grpc.ssl_server_credentials([(pair[0], pair[1])], client.encode(), require_client_auth=True)
    der = base64.b64decode("".join(certificate[0][1].split()))
    return credentials, base64.b64encode(der).decode().rstrip("=")
