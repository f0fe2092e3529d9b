"""Connections to the service, new or kept, with TLS and through a proxy."""

import asyncio
import select
import sys
import weakref
from functools import partial
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from yarl import URL

from batch_updater.api.connection_errors import LATE, ConnectionReasons, NoConnectionError
from batch_updater.api.network import Network

MOST_UNREAD = 100  # answers that are not read yet, interim ones (1xx) too


class UnconnectedError(asyncio.CancelledError):
    """A request was cancelled while there was no connection for it yet, so it was certainly not sent."""


class _Handler(ResponseHandler):
    """Parses answers, and closes the connection when they do not end, or after a 5xx.

    Some servers close a connection after a 5xx without saying so, and the next request on it would be lost.

    aiohttp stops reading while a body waits to be read, but not while answers do: an endless stream of 1xx, which
    uvloop reads 8 MB at a time, took 146 MB for one connection.
    """

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        super().data_received(data)
        if len(self) > MOST_UNREAD:
            self.abort()

    async def read(self) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """Return the next answer and its body."""
        message, content = await super().read()
        if message.code >= 500:
            self.force_close()
        return message, content


class Connector(aiohttp.TCPConnector):
    """Connections over one network. Raises NoConnectionError.

    A kept connection on which something has arrived since is never used again: it would be taken for the answer to
    the next request, and a late yes to one update would confirm another.
    """

    def __init__(self, network: Network, *, limit: int) -> None:
        super().__init__(limit=limit, ssl=network.trust or True)
        handler: type[ResponseHandler] = _Handler
        self._factory = partial(handler, loop=self._loop)
        self._used: weakref.WeakSet[Any] = weakref.WeakSet()
        self._reasons = ConnectionReasons(network)
        self._proxy = URL(network.proxy.address) if network.proxy else None
        self._proxy_headers: dict[str, str] = {}
        if network.proxy and network.proxy.user and network.proxy.password:
            basic = aiohttp.encode_basic_auth(network.proxy.user.reveal(), network.proxy.password.reveal())
            self._proxy_headers[hdrs.PROXY_AUTHORIZATION] = basic

    async def connect(self, req: aiohttp.ClientRequest, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        """Return a new connection, or a kept one on which nothing waits to be read."""
        if self._proxy:
            req.update_proxy(self._proxy, None, {hdrs.HOST: req.headers[hdrs.HOST], **self._proxy_headers})
        while True:
            try:
                connection = await super().connect(req, *args, **kwargs)
            except asyncio.CancelledError:
                raise UnconnectedError from None
            protocol = connection.protocol
            if protocol is not None and protocol not in self._used:
                self._used.add(protocol)
                return connection
            if protocol is not None and not protocol.should_close and not _has_unread(connection):
                return connection
            connection.close()

    async def _create_connection(self, req: aiohttp.ClientRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._create_connection(req, *args, **kwargs)
        except TimeoutError:
            raise NoConnectionError(LATE) from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoConnectionError(self._reasons.explain(error, req.host)) from None


def _has_unread(connection: aiohttp.connector.Connection) -> bool:
    """Return whether the peer has sent something, or closed, since the connection was last used."""
    sock = None if connection.transport is None else connection.transport.get_extra_info("socket")
    if sock is None:
        return True
    if sys.platform == "win32":
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
