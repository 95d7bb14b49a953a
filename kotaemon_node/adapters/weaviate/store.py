"""``ports.vectors.VectorStore`` on Weaviate.

A set is an index by itself (a tenant of a collection), so to drop one costs nothing, and no search
ever has to leave out what belongs to others. Each answer carries the size of the set it was found
in: a set that somebody wiped, or that is just being filled again, is told from a whole one without
a second question and without anything that a pod would have to remember. The last object of a set
is its seal, without a vector: one that has all but the seal was not written to the end.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.weaviate import names
from kotaemon_node.adapters.weaviate.address import WeaviateAddress
from kotaemon_node.adapters.weaviate.connection import Connection
from kotaemon_node.ports.vectors import Ask, VectorBlock, VectorSet, VectorsUnavailable

_CONNECTIONS_MAX: Final = 16
_BATCH_NUMBERS: Final = 100_000  # about 1 MiB of JSON, and as much comes back
_ASKED_AT_ONCE: Final = 64
# A batch goes into a graph, on a server that may be busy; others only read.
_BATCH_TIMEOUT_S: Final = 120.0

# Graph index with Weaviate's own M and ef; what it finds is scored again, exactly, by the pods. The
# inner product is that of the vectors as they are, so nothing is normalised a second time.
_INDEX: Final = {"distance": "dot", "efConstruction": 128, "ef": -1, "dynamicEfMin": 128}


class WeaviateStore:
    """One server, or several behind one name."""

    def __init__(self, address: WeaviateAddress, *, timeout_s: float) -> None:
        """``timeout_s``: how long the server may be silent before a call fails."""
        self._area = address.area
        self._connection = Connection(
            address, connections_max=_CONNECTIONS_MAX, timeout_s=timeout_s
        )

    def nearest(
        self, asks: Sequence[Ask], vector: NDArray[np.float32]
    ) -> Mapping[VectorSet, NDArray[np.int64]]:
        numbers = ",".join(f"{value:.8g}" for value in vector.tolist())
        found: dict[VectorSet, NDArray[np.int64]] = {}
        for collection, group in self._by_collection(asks):
            answer = self._query(
                [
                    "Get",
                    "{",
                    *(
                        f's{at}:{collection}(tenant:"{names.shard(ask.of)}",limit:{ask.k},'
                        f"nearVector:{{vector:[{numbers}]}}){{_additional{{id}}}}"
                        for at, ask in enumerate(group)
                    ),
                    "}",
                    *_counting(collection, [ask.of for ask in group]),
                ]
            )
            sizes, rows = answer["Aggregate"], answer["Get"]
            for at, ask in enumerate(group):
                if _size(sizes.get(f"s{at}")) == ask.vectors:
                    hits = _rows(rows.get(f"s{at}"))
                    if len(hits) == min(ask.k, ask.vectors):
                        found[ask.of] = hits
        return found

    def check(self) -> None:
        self._connection.check_version()

    def sizes(self, sets: Collection[VectorSet]) -> Mapping[VectorSet, int]:
        found: dict[VectorSet, int] = {}
        asks = [Ask(of, vectors=0, k=1) for of in sets]
        for collection, group in self._by_collection(asks):
            answer = self._query(_counting(collection, [ask.of for ask in group]))["Aggregate"]
            for at, ask in enumerate(group):
                size = _size(answer.get(f"s{at}"))
                if size is not None:
                    found[ask.of] = size
        return found

    def write(self, of: VectorSet, blocks: Iterable[VectorBlock]) -> None:
        collection = self._collection(of)
        self._make_empty(of, collection)
        size = max(1, _BATCH_NUMBERS // of.dimension)
        for rows, vectors in blocks:
            for start in range(0, len(rows), size):
                batch = slice(start, start + size)
                self._put(
                    {
                        "class": collection,
                        "tenant": names.shard(of),
                        "id": names.uuid_of(row),
                        "vector": vector,
                    }
                    for row, vector in zip(rows[batch].tolist(), vectors[batch], strict=True)
                )
        # By now the server has flushed all before it.
        self._put([{"class": collection, "tenant": names.shard(of), "id": names.SEAL}])

    def keep_only(self, tenant: str, kb: str, segments: Collection[str]) -> int:
        prefix = names.collection_prefix(self._area, tenant, kb)
        dropped = 0
        for collection in self._collections(prefix):
            shards = self._shards(collection)
            doomed = sorted(shards - set(segments))
            if doomed and len(doomed) == len(shards):
                self._connection.delete(f"/v1/schema/{collection}")
            elif doomed:
                self._connection.delete(f"/v1/schema/{collection}/tenants", doomed)
            dropped += len(doomed)
        return dropped

    # Below: how Weaviate is spoken to.

    def _collection(self, of: VectorSet) -> str:
        return names.collection(self._area, of)

    def _by_collection(self, asks: Sequence[Ask]) -> Iterable[tuple[str, list[Ask]]]:
        """Yield what goes into one query: a collection that is not there spoils all of its own."""
        groups: dict[str, list[Ask]] = defaultdict(list)
        for ask in asks:
            groups[self._collection(ask.of)].append(ask)
        for collection, group in groups.items():
            for start in range(0, len(group), _ASKED_AT_ONCE):
                yield collection, group[start : start + _ASKED_AT_ONCE]

    def _query(self, parts: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return what was found below ``Get`` and ``Aggregate``; {} for what was not.

        Errors of a query are those of its parts: a collection or a tenant that is not there. The
        others answer all the same, so nobody has to read the texts of errors.
        """
        answer = self._connection.query("{" + " ".join(parts) + "}")
        if answer is None:
            return {"Get": {}, "Aggregate": {}}
        if not isinstance(answer, Mapping) or not answer.keys() & {"data", "errors"}:
            raise VectorsUnavailable("what answers as the vector store is no Weaviate server")
        data = answer.get("data") or {}
        return {name: data.get(name) or {} for name in ("Get", "Aggregate")}

    def _put(self, objects: Iterable[Mapping[str, Any]]) -> None:
        batch = list(objects)
        results = self._connection.post(
            "/v1/batch/objects", {"objects": batch}, timeout_s=_BATCH_TIMEOUT_S
        )
        if not isinstance(results, list) or len(results) != len(batch):
            raise VectorsUnavailable("the vector store does not say what it took")
        for result in results:
            problem = result.get("result", {}).get("errors")
            if problem:
                raise VectorsUnavailable(f"the vector store did not take vectors: {problem}")

    def _make_empty(self, of: VectorSet, collection: str) -> None:
        """Make the tenant of a set without any vector, and its collection where there is none."""
        shard = names.shard(of)
        if self._connection.get(f"/v1/schema/{collection}") is None:
            self._connection.post(
                "/v1/schema",
                {
                    "class": collection,
                    "description": names.description(self._area, of),
                    "vectorizer": "none",
                    "vectorIndexType": "hnsw",
                    "vectorIndexConfig": _INDEX,
                    "multiTenancyConfig": {"enabled": True},
                    "properties": [],
                },
            )
        else:
            # Never written over: a server that was killed may have an object and not its place in
            # the index, and leaves out of both what it takes for unchanged.
            self._connection.delete(f"/v1/schema/{collection}/tenants", [shard])
        self._connection.post(f"/v1/schema/{collection}/tenants", [{"name": shard}])

    def _shards(self, collection: str) -> set[str]:
        found = self._connection.get(f"/v1/schema/{collection}/tenants")
        return {shard["name"] for shard in found or ()}

    def _collections(self, prefix: str) -> list[str]:
        schema = self._connection.get("/v1/schema") or {}
        found = (made["class"] for made in schema.get("classes") or ())
        return sorted(name for name in found if name.startswith(prefix))


def _counting(collection: str, sets: Sequence[VectorSet]) -> Sequence[str]:
    counted = (
        f's{at}:{collection}(tenant:"{names.shard(of)}"){{meta{{count}}}}'
        for at, of in enumerate(sets)
    )
    return ["Aggregate", "{", *counted, "}"]


def _size(answer: Any) -> int | None:
    """Return how many vectors a set has beside its seal; None where an aggregate says nothing."""
    try:
        objects = int(answer[0]["meta"]["count"])
    except (LookupError, TypeError, ValueError):
        return None
    return objects - 1 if objects else None


def _rows(answer: Any) -> NDArray[np.int64]:
    """Return the rows found; none where the answer makes no sense."""
    try:
        rows = [names.row_of(hit["_additional"]["id"]) for hit in answer]
    except (LookupError, TypeError, ValueError):
        rows = []
    return np.array(rows, dtype=np.int64)
