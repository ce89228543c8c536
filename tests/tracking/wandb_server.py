"""A local W&B server: it answers the requests of a training, and stores them."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0" * 40
LIMIT = 120  # seconds that a silent server keeps a request open


class WandbServer:
    """The state of the server. status: of every answer; silent: whether it never answers."""

    def __init__(self, *, status: int = 200, silent: bool = False) -> None:
        self.status, self.silent = status, silent
        self.url = ""
        self.runs: dict[str, dict[str, Any]] = {}  # by id, with the latest values
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.exit_codes: dict[str, int] = {}  # of runs that have ended
        self.resumed: list[str] = []
        self.uploads: dict[str, bytes] = {}  # by path
        self.artifacts: list[dict[str, Any]] = []
        self.sweep: str | None = None  # its YAML
        self.requests: list[bytes] = []  # all requests, path and body
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that point wandb to the server."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def take(self, path: str, body: bytes) -> dict[str, Any]:
        """Store a request and return the answer."""
        with self.lock:
            self.requests.append(path.encode() + b"\n" + body)
            if path == "/graphql":
                query = json.loads(body)
                _, operation, *_ = re.findall(r"\w+", query["query"])
                return {"data": getattr(self, operation)(**query.get("variables") or {})}
            if path.endswith("/file_stream"):
                self._keep_history(path.split("/")[-2], json.loads(body))
            elif path.startswith("/upload/"):
                self.uploads[path.removeprefix("/upload/")] = body
            return {}

    def _keep_history(self, run: str, sent: dict[str, Any]) -> None:
        if sent.get("complete"):
            self.exit_codes[run] = sent["exitcode"]
        rows = (sent.get("files") or {}).get("wandb-history.jsonl", {}).get("content", [])
        self.history.setdefault(run, []).extend(map(json.loads, rows))

    def metrics(self, run: str) -> list[dict[str, Any]]:
        """Return the metrics of each epoch, without the tables of samples."""
        return [row for row in self.history[run] if "cross_entropy" in row]

    # The queries of wandb's own process, by name.

    def Viewer(self, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {"viewer": {"id": "v", "entity": "us", "username": "us", "email": "", "flags": "{}", "teams": {"edges": []}}}

    def ServerFeaturesQuery(self, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def OrganizationCoreWeaveOrganizationID(self, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def RunResumeStatus(self, *, project: str, name: str, **_: Any) -> dict[str, Any]:  # noqa: N802
        self.resumed.append(name)
        rows = [json.dumps(row) for row in self.history.get(name, [])]
        bucket = {
            "id": name,
            "name": name,
            "summaryMetrics": rows[-1] if rows else "{}",
            "displayName": name,
            "logLineCount": 0,
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "historyTail": json.dumps(rows[-1:]),
            "eventsTail": "[]",
            "config": self.runs.get(name, {}).get("config"),
            "tags": [],
            "notes": "",
            "wandbConfig": '{"t": 1}',
        }
        found = bucket if name in self.runs else None
        return {"model": {"id": project, "name": project, "entity": {"id": "e", "name": "us"}, "bucket": found}}

    def UpsertBucket(self, **run: Any) -> dict[str, Any]:  # noqa: N802
        name = run["name"]
        self.runs.setdefault(name, {}).update({key: value for key, value in run.items() if value is not None})
        project = {"id": "p", "name": run["project"], "entity": {"id": "e", "name": "us"}}
        known = {"id": name, "name": name, "displayName": run["displayName"], "description": "", "config": run["config"]}
        rest = {"sweepName": run["sweep"], "historyLineCount": len(self.history.get(name, [])), "project": project}
        return {"upsertBucket": {"bucket": known | rest, "inserted": True}}

    def CreateRunFiles(self, *, run: str, files: list[str], **_: Any) -> dict[str, Any]:  # noqa: N802
        places = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in files]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": places}}

    def ArtifactType(self, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {"project": {"artifact": None}}

    def CreateArtifact(self, *, input: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.artifacts.append(input)
        created = {"id": f"{len(self.artifacts) - 1}", "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": created}}

    def CreateArtifactManifest(self, *, artifactID: str, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {"createArtifactManifest": self._manifest(artifactID)}

    def UpdateArtifactManifest(self, *, artifactManifestID: str, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {"updateArtifactManifest": self._manifest(artifactManifestID)}

    def _manifest(self, artifact: str) -> dict[str, Any]:
        place = {"id": artifact, "uploadUrl": f"{self.url}/upload/{artifact}/manifest", "uploadHeaders": []}
        return {"artifactManifest": {"id": artifact, "file": place}}

    def CreateArtifactFiles(self, *, input: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        edges = []
        for file in input["artifactFiles"]:
            place = f"{file['artifactID']}/{file['name']}"
            node = {"storagePath": place, "uploadUrl": f"{self.url}/upload/{place}", "uploadHeaders": []}
            edges.append({"node": node | {"uploadMultipartUrls": None, "artifact": {"id": file["artifactID"]}}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def CommitArtifact(self, *, artifactID: str) -> dict[str, Any]:  # noqa: N802
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": ""}}}

    def ArtifactByID(self, *, id: str) -> dict[str, Any]:  # noqa: N802
        created = self.artifacts[int(id)]
        project = {"__typename": "Project", "id": "p", "internalId": "1", "name": "chargen", "entity": {"name": "us"}}
        sequence = {"__typename": "ArtifactSequence", "id": "s", "name": created["artifactCollectionName"], "project": project}
        artifact = {
            "__typename": "Artifact",
            "id": id,
            "artifactSequence": sequence,
            "versionIndex": int(id),
            "artifactType": {"name": created["artifactTypeName"]},
            "description": None,
            "metadata": None,
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 1,
            "digest": "",
            "commitHash": "",
            "fileCount": 1,
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": None,
            "aliases": [],
        }
        return {"artifact": artifact}

    # The queries of `wandb sweep`.

    def UpsertSweep(self, *, config: str, projectName: str, **_: Any) -> dict[str, Any]:  # noqa: N802
        self.sweep = config
        project = {"id": "p", "name": projectName, "entity": {"id": "e", "name": "us"}}
        return {"upsertSweep": {"sweep": {"name": "search", "project": project}, "configValidationWarnings": []}}


@contextmanager
def serving(known: WandbServer) -> Iterator[WandbServer]:
    """Run the server within the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if known.silent:
                known.take("", body)
                known.released.wait(LIMIT)
                self.close_connection = True
                return
            payload = json.dumps(
                known.take(self.path, body) if known.status == 200 else {"errors": [{"message": "no"}]}
            ).encode()
            self.send_response(known.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Print nothing: clients are killed in the middle of a request."""

    server = Server(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield known
    finally:
        known.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
