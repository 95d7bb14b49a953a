"""Artifacts in a bucket of S3, or of a server that speaks its protocol: reading."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from urllib3.exceptions import HTTPError

from kotaemon_node.adapters.store.names import INCOMING
from kotaemon_node.adapters.store.origin import (
    CHUNK_BYTES,
    CONNECT_TIMEOUT_S,
    SILENT_TIMEOUT_S,
    Body,
    OriginAway,
)
from kotaemon_node.ports.artifacts import ArtifactsUnavailable

_ATTEMPTS: Final = 3  # of one request; who asks repeats further
_REFUSED: Final = frozenset({401, 403})
_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_OTHER_CONTENT: Final = frozenset({"PreconditionFailed", "412", "InvalidRange", "416"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """A client with the place of our artifacts in a bucket."""

    client: Any
    name: str
    prefix: str
    """Empty, or ending with a slash."""

    def at(self, name: str) -> dict[str, str]:
        """Return the arguments that name an artifact to the client."""
        return {"Bucket": self.name, "Key": self.prefix + name}


def bucket_at(url: str, *, endpoint: str, region: str, ca_file: Path | None = None) -> Bucket:
    """Return the bucket of ``s3://bucket/prefix``; ``ValueError`` where the address is none.

    Credentials are found where every AWS tool finds them: environment, files, role of the machine.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.netloc != parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"ARTIFACT_URL must be s3://bucket/prefix, not {url!r}")
    prefix = unquote(parts.path).strip("/")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=SILENT_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        # Servers of one's own seldom have a host name for each bucket.
        s3={"addressing_style": "path"} if endpoint else None,
    )
    try:
        client = Session().client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or None,
            config=config,
            verify=str(ca_file) if ca_file is not None else None,
        )
    except BotoCoreError as error:
        raise ValueError(f"ARTIFACT_S3_ENDPOINT or ARTIFACT_S3_REGION: {error}") from error
    return Bucket(client, parts.hostname, f"{prefix}/" if prefix else "")


@contextmanager
def failures_named() -> Iterator[None]:
    """Turn what the client raises into ``OriginAway`` or ``ArtifactsUnavailable``."""
    try:
        yield
    except ClientError as error:
        reason = f"the S3 server answers {code_of(error)}"
        if status_of(error) in _REFUSED or code_of(error) == "NoSuchBucket":
            raise ArtifactsUnavailable(reason) from error
        raise OriginAway(reason) from error
    except NoCredentialsError as error:
        raise ArtifactsUnavailable("no credentials for S3 are found") from error
    except (BotoCoreError, HTTPClientError, HTTPError, OSError) as error:
        raise OriginAway(f"the S3 server does not answer: {error}") from error


def code_of(error: ClientError) -> str:
    """Return the server's word for what is wrong, or its status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the answer; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


class S3Origin:
    """``Origin`` over a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @contextmanager
    def open(self, name: str, *, start: int = 0, tag: str = "") -> Iterator[Body | None]:
        with failures_named():
            answer = self._answer(name, start, tag)
        if answer is None:
            yield None
            return
        size = int(answer["ContentLength"]) + answer["start"]
        with closing(answer["Body"]) as stream:
            yield Body(answer["start"], size, answer.get("ETag", ""), _chunks(stream))

    def names(self, prefix: str) -> Iterator[str]:
        place = self._bucket
        pages = place.client.get_paginator("list_objects_v2").paginate(
            Bucket=place.name, Prefix=place.prefix + prefix
        )
        with failures_named():
            for page in pages:
                for row in page.get("Contents", ()):
                    name = str(row["Key"]).removeprefix(place.prefix)
                    if not name.startswith(f"{INCOMING}/"):
                        yield name

    def _answer(self, name: str, start: int, tag: str) -> dict[str, Any] | None:
        part = {"Range": f"bytes={start}-", "IfMatch": tag} if start and tag else {}
        try:
            answer = self._bucket.client.get_object(**self._bucket.at(name), **part)
        except ClientError as error:
            if part and code_of(error) in _OTHER_CONTENT:
                return self._answer(name, 0, "")
            if code_of(error) in _ABSENT:
                return None
            raise
        continued = bool(part) and status_code(answer) == 206
        return {**answer, "start": start if continued else 0}


def status_code(answer: dict[str, Any]) -> int:
    """Return the HTTP status of an answer that is none of an error."""
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def _chunks(stream: Any) -> Iterator[bytes]:
    with failures_named():
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
