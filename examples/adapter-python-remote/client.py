"""Sends requests to the server, and turns its errors into bridge errors."""

import http.client
import json
import select
import urllib.parse

import bridge_plugin as bp

PATIENCE = 600  # seconds that a server may be silent
REMEDY = "see the server's log; remote.json has the settings of the adapter"


class Refused(bp.Error):
    """The server answered with an error."""


class Client:
    def __init__(self, url, model, key=""):
        """``url`` is the base of all paths: http://127.0.0.1:8000/v1"""
        self.url, self.model = url.rstrip("/"), model
        self.headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def get(self, path, context):
        return self._ask("GET", path, None, context)

    def post(self, path, body, context):
        return self._ask("POST", path, json.dumps({"model": self.model, "stream": False, **body}), context)

    def _ask(self, method, path, body, context):
        """Returns the server's answer. If bridge gives up the call, the connection is closed,
        and the server stops computing."""
        url = urllib.parse.urlsplit(self.url + path)
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = connect(url.netloc, timeout=PATIENCE)
        try:
            connection.request(method, url.path, body, self.headers)
            while not select.select([connection.sock], [], [], 0.05)[0]:
                context.check()
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            if answer.status != 200:
                raise Refused(_kind(answer.status), f"{self.url}{path} answers {answer.status}: {text[:2000]}", REMEDY)
            return json.loads(text)
        except (OSError, ValueError, http.client.HTTPException) as err:
            raise bp.Error(bp.Kind.UNAVAILABLE, f"{self.url}{path}: {err or type(err).__name__}", "start the server, or correct the url in remote.json") from None
        finally:
            connection.close()


def _kind(status):
    known = {401: bp.Kind.UNAVAILABLE, 403: bp.Kind.UNAVAILABLE, 404: bp.Kind.NOT_FOUND, 413: bp.Kind.EXHAUSTED, 429: bp.Kind.UNAVAILABLE}
    return known.get(status, bp.Kind.UNAVAILABLE if status >= 500 else bp.Kind.INVALID)
