"""The artifact store on S3, for a coordinator: the bucket may be written.

That a name is put once is decided by the server (``If-None-Match: *``), so it holds for writers on
different machines. A server that ignores the header would let two coordinators overwrite each
other: it is tried before the first write, and such a server is refused.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from kotaemon_node.adapters.store.cache import LocalCache
from kotaemon_node.adapters.store.download import BREAKS_MAX, Native, backoff_s
from kotaemon_node.adapters.store.names import INCOMING, check_name
from kotaemon_node.adapters.store.origin import OriginAway
from kotaemon_node.adapters.store.remote_store import RemoteArtifactStore
from kotaemon_node.adapters.store.s3_origin import (
    Bucket,
    S3Origin,
    code_of,
    failures_named,
    status_of,
)
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.runtime import Clock

PART_BYTES: Final = 16 * 1024 * 1024  # 10,000 parts at most: files of up to 160 GB
_ONCE: Final = "*"
_PUT_BY: Final = "put-by"
_TRIAL: Final = f"{INCOMING}/trial-of-conditional-writes"


class S3ArtifactStore(RemoteArtifactStore):
    """``ports.artifacts.ArtifactStore`` that writes to ``bucket``."""

    def __init__(self, bucket: Bucket, cache: LocalCache, *, native: Native, clock: Clock) -> None:
        super().__init__(S3Origin(bucket), cache, native=native, clock=clock, remembers=False)
        self._bucket = bucket
        self._tried = False

    def put_if_absent(self, name: str, content: bytes) -> bool:
        check_name(name)
        self._try_server()
        return self._put(name, lambda by: self._put_whole(name, content, by))

    def put_file_if_absent(self, name: str, source: Path) -> bool:
        check_name(name)
        self._try_server()
        if source.stat().st_size <= PART_BYTES:
            content = source.read_bytes()
            return self._put(name, lambda by: self._put_whole(name, content, by))
        # Spares sending gigabytes; what counts is decided by the server at the end all the same.
        if self._patiently(lambda: self._mark(name)) is not None:
            return False
        return self._put(name, lambda by: self._put_parts(name, source, by))

    def delete(self, name: str) -> None:
        check_name(name)
        self._patiently(lambda: self._delete(name))
        self._cache.remove(name)

    def _put(self, name: str, put: Callable[[str], None]) -> bool:
        """Run ``put`` until the server has decided; True when what lies there is ours."""
        by = secrets.token_hex(16)
        breaks = 0
        while True:
            try:
                with failures_named():
                    return self._decided(name, lambda: put(by), by)
            except OriginAway as error:
                breaks += 1
                if breaks >= BREAKS_MAX:
                    raise ArtifactsUnavailable(f"{name} cannot be put: {error}") from error
            self._clock.sleep(backoff_s(breaks))

    def _decided(self, name: str, put: Callable[[], None], by: str) -> bool:
        try:
            put()
        except ClientError as error:
            # "Precondition failed" and "no such upload" are also what a repetition is told after
            # a first try that succeeded and whose answer was lost: then our mark is on it.
            if status_of(error) == 412:
                return self._put_by(name) == by
            if code_of(error) == "NoSuchUpload" and (marked := self._put_by(name)) is not None:
                return marked == by
            raise  # 409: another writer is at it in this moment; asked again, it is decided
        return True

    def _mark(self, name: str) -> str | None:
        with failures_named():
            return self._put_by(name)

    def _put_by(self, name: str) -> str | None:
        try:
            answer = self._bucket.client.head_object(**self._bucket.at(name))
        except ClientError as error:
            if status_of(error) == 404:
                return None
            raise
        return str(answer.get("Metadata", {}).get(_PUT_BY, ""))

    def _put_whole(self, name: str, content: bytes, by: str) -> None:
        self._bucket.client.put_object(
            **self._bucket.at(name), Body=content, IfNoneMatch=_ONCE, Metadata={_PUT_BY: by}
        )

    def _put_parts(self, name: str, source: Path, by: str) -> None:
        client, at = self._bucket.client, self._bucket.at(name)
        upload = client.create_multipart_upload(**at, Metadata={_PUT_BY: by})["UploadId"]
        try:
            parts = [
                {"PartNumber": number, "ETag": self._part(at, upload, number, block)["ETag"]}
                for number, block in enumerate(_blocks(source), start=1)
            ]
            client.complete_multipart_upload(
                **at, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch=_ONCE
            )
        except BaseException:
            # Its parts would be kept, and paid for, for ever.
            with suppress(ClientError, BotoCoreError):
                client.abort_multipart_upload(**at, UploadId=upload)
            raise

    def _part(self, at: dict[str, str], upload: str, number: int, block: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = self._bucket.client.upload_part(
            **at, UploadId=upload, PartNumber=number, Body=block
        )
        return answer

    def _delete(self, name: str) -> None:
        with failures_named():
            self._bucket.client.delete_object(**self._bucket.at(name))

    def _try_server(self) -> None:
        """Raise ``OSError`` where the server puts a name twice, whole or in parts; asked once."""
        if not self._tried:
            self._patiently(self._put_twice)
            self._tried = True

    def _put_twice(self) -> None:
        client, at = self._bucket.client, self._bucket.at(_TRIAL)
        with failures_named():
            client.put_object(**at, Body=b"1")
            upload = client.create_multipart_upload(**at)["UploadId"]
            tag = self._part(at, upload, 1, b"3")["ETag"]
            parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
            how = {"UploadId": upload, "MultipartUpload": parts, "IfNoneMatch": _ONCE}
            obeyed = _refuses(lambda: client.put_object(**at, Body=b"2", IfNoneMatch=_ONCE))
            in_parts = _refuses(lambda: client.complete_multipart_upload(**at, **how))
            with suppress(ClientError):
                client.abort_multipart_upload(**at, UploadId=upload)
        if not (obeyed and in_parts):
            raise OSError("the S3 server ignores If-None-Match: two writers could overwrite")


def _refuses(put: Callable[[], Any]) -> bool:
    try:
        put()
    except ClientError as error:
        if status_of(error) == 412:
            return True
        raise
    return False


def _blocks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while block := file.read(PART_BYTES):
            yield block
