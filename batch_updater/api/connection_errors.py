"""Why there is no connection, and what a person can do about it."""

import ssl
from typing import NamedTuple

import aiohttp
from yarl import URL

from batch_updater.api.network import PROXY_NAMES, Route
from batch_updater.common.errors import Hint
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.remedies import Remedy

_CREDENTIALS = " and ".join(PROXY_NAMES)
_EXPIRED, _TOO_EARLY = 10, 9  # OpenSSL's X509_V_ERR_*
_NOT_THIS_HOST = {62, 64}
_UNTRUSTED = {2, 18, 19, 20, 21, 24, 27}
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
_OLD_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
LATE = Answer(Verdict.RETRY, "timeout", "no connection in time", left=False)


class NoConnectionError(Exception):
    """There is no connection, so the request has certainly not left; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.detail)
        self.answer = answer


class _Peer(NamedTuple):
    """Who a connection was to be made with."""

    host: str
    name: str  # as a sentence has it
    setting: Remedy
    code: str


class _Reasons:
    """What a failure to connect means, told from the library's exceptions. Their own texts may hold headers."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._proxy = URL(route.proxy.address) if route.proxy else None

    def explain(self, error: Exception, host: str) -> Answer:
        """Whether another attempt can help, why there is no connection, and what to do."""
        if isinstance(error, aiohttp.ClientConnectorError):
            peer = self._peer(error.host, error.port)
            if isinstance(error, aiohttp.ClientConnectorDNSError):
                return _unreachable(peer, f"the name of {peer.name} can't be resolved")
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                return self._certificate(error.certificate_error, peer)
            if isinstance(error, aiohttp.ClientSSLError):
                return _no_tls(error.os_error, peer)
            return _unreachable(peer, f"{peer.name} can't be reached")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return self._refused(error.status, host)
        if isinstance(error, aiohttp.ClientResponseError):
            return _bad_proxy(f"{self._proxy} does not answer like a proxy", Remedy("check {proxy}, then run again"))
        code = "proxy_error" if self._proxy else "connection_error"
        return Answer(Verdict.RETRY, code, "the connection broke while it was made", left=False)

    def _peer(self, host: str, port: int | None) -> _Peer:
        if self._proxy and (host, port) == (self._proxy.raw_host, self._proxy.port):
            return _Peer(host, "the proxy", Remedy("{proxy}"), "proxy_error")
        return _Peer(host, "the service", Remedy("the base URL"), "connection_error")

    def _certificate(self, error: Exception, peer: _Peer) -> Answer:
        verify = getattr(error, "verify_code", None)
        says = getattr(error, "verify_message", "") or "no reason given"
        whose = f"the certificate of {peer.host}"
        if verify in {_EXPIRED, _TOO_EARLY}:
            state = "has expired" if verify == _EXPIRED else "is not valid yet"
            hint = "look at this machine's clock; if it is right, the certificate has to be renewed there"
            return _bad_tls(f"{whose} {state}", hint)
        if verify in _NOT_THIS_HOST:
            detail = f"{peer.name} has a certificate that is not made out for {peer.host}"
            return _bad_tls(detail, Remedy("check {what}, then run again", {"what": peer.setting}))
        if verify not in _UNTRUSTED:
            return _bad_tls(f"{whose} is refused: {says}", "look at it, then run again")
        if self._route.ca_file:
            detail = f"{whose} is signed by nobody in {self._route.ca_file} ({says})"
            return _bad_tls(detail, Remedy("check that {ca_file} holds the authority of {host}", {"host": peer.host}))
        detail = f"{whose} is signed by nobody whom this machine trusts ({says})"
        own = Remedy("if it has, or a proxy puts in, a certificate authority of its own: name its file with {ca_file}")
        return _bad_tls(detail, own)

    def _refused(self, status: int, host: str) -> Answer:
        if status == 407 and self._route.proxy and self._route.proxy.user:
            hint = f"check {_CREDENTIALS}, then run again"
            return _bad_proxy(f"the proxy {self._proxy} does not accept the credentials", hint)
        if status == 407:
            hint = f"set {_CREDENTIALS}, or these names with _FILE, then run again"
            return _bad_proxy(f"the proxy {self._proxy} wants a user and a password", hint)
        if status >= 500 or status in {408, 429}:
            return Answer(Verdict.RETRY, "proxy_error", f"the proxy can't connect to {host} ({status})", left=False)
        detail = f"the proxy {self._proxy} refuses to connect to {host} ({status})"
        return _bad_proxy(detail, Remedy("ask those who run it to allow it, or check {proxy}; then run again"))


def _no_tls(error: OSError, peer: _Peer) -> Answer:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason in _NO_TLS:
        return _bad_tls(f"{peer.name} does not speak TLS at this port", Remedy("check {what}", {"what": peer.setting}))
    if reason in _OLD_TLS:
        return _bad_tls(
            f"{peer.name} speaks no version of TLS that is safe", Remedy("check {what}", {"what": peer.setting})
        )
    return Answer(Verdict.RETRY, "tls_error", f"no TLS connection to {peer.name}", left=False)


def _unreachable(peer: _Peer, detail: str) -> Answer:
    return Answer(Verdict.RETRY, peer.code, detail, left=False)


def _bad_tls(detail: str, hint: Hint) -> Answer:
    return Answer(Verdict.STOP, "tls_error", detail, left=False, hint=hint)


def _bad_proxy(detail: str, hint: Hint) -> Answer:
    return Answer(Verdict.STOP, "proxy_error", detail, left=False, hint=hint)
