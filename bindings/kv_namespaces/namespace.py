"""`env.KV`: what a handler holds. Every rule of the product is here, in `options.py` and in `values.py`; no I/O.

Source: Cloudflare docs, "Workers KV API"; spec "Handler-side contract", 4 and 6.1.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NoReturn

from ...runtime.core.errors import BindingError
from ...runtime.core.js_dict import JsDict
from .options import bulk_keys, failed, get_kind, key_bytes, list_options, put_options
from .store import Entry
from .values import VALUE_BYTES_MAX, from_json, value_bytes, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .store import KVStore, ListedKey


class KVNamespaces:
    """All namespaces of one store, by id: what the command line and the REST API work on."""

    def __init__(self, store: KVStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def namespace(self, namespace_id: str) -> KVNamespace:
        """The namespace of that id; it exists as soon as it holds a key."""
        return KVNamespace(self._store, namespace_id, self._now)


class KVNamespace:
    """One namespace. Options are a dict or keywords, or both; a keyword wins. Names are spelled as Cloudflare's.

    Every method may also raise BackendError: the storage failed, nothing was acknowledged, a retry is safe.
    """

    __slots__ = ("_id", "_now", "_store")

    def __init__(self, store: KVStore, namespace_id: str, now: Callable[[], float]) -> None:
        self._store = store
        self._id = namespace_id
        self._now = now

    async def get(self, key: Any, options: Any = None, /, **keywords: Any) -> Any:
        """The value of a key, or None when it is absent or expired.

        Args:
            key: a name of at most 512 bytes, or a list of 1 to 100 of them.
            options: "text" (default), "json", "arrayBuffer", "stream", or a dict with `type` and `cacheTtl`
                (at least 30; reads are never cached, so it has no other effect).

        Returns:
            str, JSON value, memoryview or ReadableStream by type. For a list a dict of key -> value or None, in order.

        Raises:
            BindingError: Cloudflare's refusals, in Cloudflare's words.
        """
        if isinstance(key, list):
            return await self._get_bulk(key, options, keywords, has_metadata=False)
        entry, kind = await self._get_one(key, options, keywords)
        return value_of(entry.value, kind) if entry else None

    async def getWithMetadata(self, key: Any, options: Any = None, /, **keywords: Any) -> JsDict:  # noqa: N802
        """As `get`, but `{value, metadata, cacheStatus}`, each None when there is none.

        For a list a dict of key -> `{value, metadata}` or None.
        """
        if isinstance(key, list):
            return await self._get_bulk(key, options, keywords, has_metadata=True)
        entry, kind = await self._get_one(key, options, keywords)
        if entry is None:
            return JsDict(value=None, metadata=None, cacheStatus=None)
        return JsDict(value=value_of(entry.value, kind), metadata=_metadata(entry), cacheStatus=None)

    async def put(self, key: Any, value: Any, options: Any = None, /, **keywords: Any) -> None:
        """Store a value; durable on return. Metadata and expiration of an earlier put are replaced too.

        Args:
            key: a name of at most 512 bytes.
            value: str, bytes, memoryview, number, or an async iterable of bytes; at most 25 MiB.
            options: `expirationTtl` (seconds, at least 60) or `expiration` (Unix seconds), the first wins;
                `metadata`: at most 1,024 bytes of JSON.

        Raises:
            BindingError: Cloudflare's refusals, in Cloudflare's words; nothing was stored.
            TypeError: a value Python Workers cannot send (a tuple, a bytearray).
        """
        name = key_bytes(key, "PUT")
        given = put_options(options, keywords, self._now())
        data = await value_bytes(value)
        await self._store.put(self._id, name, Entry(data, given.metadata, given.expires_at))

    async def delete(self, key: Any) -> None:
        """Make a key absent, also when it is; durable on return.

        Raises:
            BindingError: the name cannot be a key.
        """
        await self._store.delete(self._id, key_bytes(key, "DELETE"))

    async def list(self, options: Any = None, /, **keywords: Any) -> JsDict:
        """Live keys in byte order: `{keys: [{name, expiration?, metadata?}], list_complete, cursor?, cacheStatus}`.

        Args:
            options: `prefix`, `limit` (default and most 1,000), `cursor` (from the page before; only there when
                `list_complete` is False).

        Raises:
            BindingError: the limit or the prefix is too large.
        """
        given = list_options(options, keywords)
        after = _position(given.cursor)
        page = await self._store.list(self._id, prefix=given.prefix, after=after, limit=given.limit, now=self._now())
        listing = JsDict(keys=[_listed(key) for key in page.keys], list_complete=not page.has_more)
        if page.has_more:
            listing["cursor"] = base64.b64encode(page.keys[-1].name).decode()
        listing["cacheStatus"] = None
        return listing

    async def _get_one(self, key: Any, options: Any, keywords: dict[str, Any]) -> tuple[Entry | None, str]:
        name = key_bytes(key, "GET")
        kind = get_kind(options, keywords, "GET")
        (entry,) = await self._store.get(self._id, (name,), self._now())
        return entry, kind

    async def _get_bulk(
        self, keys: Sequence[Any], options: Any, keywords: dict[str, Any], *, has_metadata: bool
    ) -> JsDict:
        kind = get_kind(options, keywords, "GET_BULK")
        names = bulk_keys(keys, kind)
        entries = await self._store.get(self._id, tuple(names.values()), self._now())
        found = dict(zip(names, entries, strict=True))
        try:
            values = {name: value_of(entry.value, kind) for name, entry in found.items() if entry}
        except BindingError as error:
            raise failed(
                "GET_BULK", 400, "At least one of the requested keys corresponds to a non-json value"
            ) from error
        if sum(len(entry.value) for entry in entries if entry) > VALUE_BYTES_MAX:
            raise failed("GET_BULK", 413, "Total size of request exceeds the limit of 25MB")
        if not has_metadata:
            return JsDict({name: values.get(name) for name in found})
        return JsDict(
            {
                name: JsDict(value=values[name], metadata=_metadata(entry)) if entry else None
                for name, entry in found.items()
            }
        )

    # As the SDK's wrapper of a JavaScript object: true, without length or items, `kv["get"]` is `kv.get`.

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __getattr__(self, name: str) -> NoReturn:
        hint = " Write getWithMetadata." if name == "get_with_metadata" else ""
        msg = f"'KvNamespace' object has no attribute {name!r}.{hint}"
        raise AttributeError(msg)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> NoReturn:
        raise TypeError("'KvNamespace' object is not iterable")

    def __len__(self) -> NoReturn:
        raise TypeError("object of type 'KvNamespace' has no len()")

    def __repr__(self) -> str:
        return f"<KvNamespace {self._id}>"


def _metadata(entry: Entry) -> Any:
    return from_json(entry.metadata) if entry.metadata is not None else None


def _listed(key: ListedKey) -> JsDict:
    listed = JsDict(name=key.name.decode())
    if key.expires_at is not None:
        listed["expiration"] = int(key.expires_at)
    if key.metadata is not None:
        listed["metadata"] = from_json(key.metadata)
    return listed


def _position(cursor: str) -> bytes:
    """A cursor is base64 of the last key of the page before; of anything else what can be read is read, as in Node."""
    letters = re.sub(r"=.*|[^A-Za-z0-9+/]", "", cursor.replace("-", "+").replace("_", "/"), flags=re.DOTALL)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return base64.b64decode(letters + "=" * (-len(letters) % 4))
